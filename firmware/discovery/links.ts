import type { NetworkInterfaceInfo } from 'node:os';
import type { Clock, TimerHandle } from '../clock/index.js';
import { ipFamily, Prefixes } from '../net/index.js';

/** A network interface in the LAN. */
export interface Link {
  readonly name: string;
  /** Its own addresses, those outside the LAN among them; an IPv6 link-local one without zone. */
  readonly addresses: readonly string[];
  /** Where multicast is sent from and joined; undefined where this family is not used. */
  readonly address4: string | undefined;
  readonly hasIPv6: boolean;
  /** What is on this link: RFC 6762 section 11 lets nobody else be heard. */
  readonly neighbours: Prefixes;
}

export interface LinkChoice {
  /** Names of interfaces; empty: those with an address in the LAN. */
  readonly names: readonly string[];
  readonly lan: Prefixes;
  /** The gateway's own addresses in the LAN. On loopback, where an address need not be set to be used, they decide. */
  readonly own: readonly string[];
}

/** `os.networkInterfaces`. */
export type NetworkInterfaces = () => NodeJS.Dict<NetworkInterfaceInfo[]>;

/** Interfaces more than these are not used: each takes two sockets. */
const MAX_LINKS = 8;

const LINK_LOCAL = 'fe80::/10';

/** The interfaces on which the LAN is, of those that are up and have an address. */
export function lanLinks(interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>, choice: LinkChoice): Link[] {
  const links: Link[] = [];
  for (const [name, infos = []] of Object.entries(interfaces)) {
    if (links.length >= MAX_LINKS) break;
    if (!isChosen(name, infos, choice)) continue;
    const cidrs = infos.flatMap(({ cidr }) => cidr ?? []);
    const neighbours = Prefixes.parse([...cidrs, LINK_LOCAL]);
    if (!neighbours.ok) continue;
    const v4 = infos.filter(({ address }) => ipFamily(address) === 4);
    links.push({
      name,
      addresses: infos.map(({ address }) => address),
      address4: (v4.find(({ address }) => choice.lan.contains(address)) ?? v4[0])?.address,
      hasIPv6: usesIPv6(choice.lan) && infos.some(({ address }) => address.toLowerCase().startsWith('fe80:')),
      neighbours: neighbours.value,
    });
  }
  return links;
}

function isChosen(name: string, infos: readonly NetworkInterfaceInfo[], { names, lan, own }: LinkChoice): boolean {
  if (names.length > 0) return names.includes(name);
  return infos.some(({ address, internal, cidr }) => {
    if (lan.contains(address)) return true;
    const network = internal && cidr !== null ? Prefixes.parse([cidr]) : undefined;
    return network?.ok === true && own.some((one) => network.value.contains(one));
  });
}

function usesIPv6(lan: Prefixes): boolean {
  return lan.texts.some((text) => ipFamily(text.split('/')[0] ?? '') === 6);
}

/** The system does not tell Node.js of changes: it is asked. */
const POLL_MS = 5_000;

/** Follows the interfaces of the LAN as they come, go and change their addresses. */
export class LinkWatch {
  #timer: TimerHandle | undefined;
  #known = new Map<string, string>();

  constructor(
    private readonly interfaces: NetworkInterfaces,
    private readonly choice: LinkChoice,
    private readonly clock: Clock,
    /** Told of each link that is new or has changed, and of the name of each that went. */
    private readonly changed: (present: readonly Link[], gone: readonly string[]) => void,
  ) {}

  start(): void {
    this.#look();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #look(): void {
    this.#timer = this.clock.after(POLL_MS, () => this.#look());
    const links = lanLinks(this.interfaces(), this.choice);
    const now = new Map(links.map((link) => [link.name, fingerprint(link)]));
    const fresh = links.filter(({ name }) => this.#known.get(name) !== now.get(name));
    const gone = [...this.#known.keys()].filter((name) => !now.has(name));
    this.#known = now;
    if (fresh.length > 0 || gone.length > 0) this.changed(fresh, gone);
  }
}

function fingerprint({ addresses, address4, hasIPv6, neighbours }: Link): string {
  return [address4 ?? '', hasIPv6, ...addresses, ...neighbours.texts].join(' ');
}
