/** A service instance in the LAN, as its own records describe it. Hostile until somebody has checked it. */
export interface FoundService {
  /** Name of the instance, without its type. */
  readonly instance: string;
  /** Name of the network interface on which it was heard. */
  readonly link: string;
  readonly port: number;
  /** A link-local IPv6 address has its zone: `fe80::1%eth0`. */
  readonly addresses: readonly string[];
  /** Keys in lower case. */
  readonly txt: Readonly<Record<string, string>>;
  /** What the listener knows this instance as, if it was found before. */
  readonly knownAs: string | undefined;
}

/** The answer of a listener that has no room now, whatever the instance is to it. */
export const LATER = Symbol('later');

/** Who wants to know of service instances. Called synchronously; must not throw, nor call discovery back at once. */
export interface ServiceListener {
  /**
   * The instance is there: for the first time, again, or with other data than before.
   * @returns the name under which the listener knows it, which `heard` and `gone` hand back; undefined when it is of no
   *   interest, and then nothing of it is kept; `LATER` to be offered it again, and until then one that is known stays
   *   what it was
   */
  found(service: FoundService): string | typeof LATER | undefined;
  /** It gave a sign of life, with the same data as before. @param unasked not as an answer to a question of ours */
  heard(identity: string, instance: string, unasked: boolean): void;
  /** It said goodbye, or did not answer any more, or is something else now. */
  gone(identity: string, instance: string): void;
}

/** A service instance of ours. */
export interface AnnouncedService {
  /** Name of the instance: at most 63 bytes, no dots. */
  readonly instance: string;
  /** Such as `_dmgw._tcp`. */
  readonly type: string;
  readonly port: number;
  readonly txt: Readonly<Record<string, string>>;
  /** First label of the host name: letters, digits, `-`. */
  readonly host: string;
  /** Default: those of the interface that lie in the LAN. */
  readonly addresses?: readonly string[];
}

export type DiscoveryBackend = 'daemon' | 'builtin';

/** `away`: it does not work, and is tried again; `joining`: it is being tried. */
export type DaemonState = 'away' | 'joining' | 'working';

export interface DiscoveryStatus {
  /** Who works now. */
  readonly backend: DiscoveryBackend;
  /** How it is with the system's daemon; absent where none is used. */
  readonly daemon?: DaemonState;
  /** Interfaces on which it works. */
  readonly links: readonly string[];
  /** Datagrams that were not looked at, because more came than the budget allows. */
  readonly dropped: number;
}

/** Discovery in the LAN. What it finds goes to its listener. */
export interface Discovery {
  start(): void;
  /** Announces a service on every link, or tells of its change. @param key by which it is changed */
  announce(key: string, service: AnnouncedService): void;
  status(): DiscoveryStatus;
  /** Asks the network again for all that was said of the instances that the listener knows under these names. */
  verify(identities: ReadonlySet<string>): void;
  /** Says goodbye and ends. Idempotent. */
  close(): Promise<void>;
}

/** All that mDNS names end with. */
const DOMAIN = '.local';

/** `_dmgw._tcp` as the name of a record. */
export function typeName(type: string): string {
  return `${type}${DOMAIN}`;
}

/** The type of service of which such a name is. */
export function typeOf(name: string): string {
  return name.endsWith(DOMAIN) ? name.slice(0, -DOMAIN.length) : name;
}

/** The host's own name as the name of a record. */
export function hostName(host: string): string {
  return `${host}${DOMAIN}`;
}

/** The name of the records of an instance. */
export function instanceName(instance: string, type: string): string {
  return `${instance}.${typeName(type)}`;
}
