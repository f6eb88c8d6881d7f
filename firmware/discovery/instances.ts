import type { FoundService } from './service.js';
import { readTxt } from './txt.js';

/** Of one link; more than the largest LAN that the gateway is made for. New ones are not taken when it is full. */
export const MAX_INSTANCES = 16_384;

/** Instances whose data is not complete yet. More are left for the next query. */
export const MAX_INCOMPLETE = 512;

/** TTLs are taken within these bounds: RFC 6762 section 10 recommends 75 minutes for what does not depend on a host. */
const MIN_TTL_SECONDS = 15;
const MAX_TTL_SECONDS = 4_500;

/** Instances of one host: a record of the host concerns them all. */
const MAX_PER_HOST = 16;

/** Addresses of one host that are kept. */
const MAX_ADDRESSES = 8;

/** Section 5.2: a record is asked for again at these parts of its life. */
const REFRESH_AT = [0.8, 0.85, 0.9, 0.95] as const;

/** A goodbye, or a question, is given so long for an answer; asked again in between. */
const ASK_AFTER_MS = [30, 1_000, 2_000] as const;

/** What is known of one instance on one link. Times in whole ms since the start: small integers are cheap. */
export class Instance {
  host = '';
  port = 0;
  addresses: readonly string[] = [];
  /** The strings of its TXT record, one a line; as one text it takes least memory. */
  txt: string | undefined;
  /** Its data differs from what was told last. */
  changed = false;
  identity: string | undefined;
  ttlMs = 0;
  heardMs = 0;
  refreshes = 0;
  /** It said goodbye, or somebody in its name. */
  leaving = false;
  /** When it is to be asked for next; -1 when not. */
  askAtMs = -1;
  asked = 0;

  constructor(readonly name: string) {}

  /** Its PTR record was heard. */
  alive(ttlSeconds: number, nowMs: number): void {
    this.ttlMs = Math.min(MAX_TTL_SECONDS, Math.max(MIN_TTL_SECONDS, ttlSeconds)) * 1000;
    this.heardMs = nowMs;
    this.refreshes = 0;
    this.stay();
  }

  /** It is there after all. */
  stay(): void {
    if (!this.leaving) return;
    this.leaving = false;
    this.askAtMs = -1;
  }

  expiresMs(): number {
    return this.heardMs + this.ttlMs;
  }

  /** More than half of its life is left: it need not be told again (section 7.1). */
  isFresh(nowMs: number): boolean {
    return nowMs - this.heardMs < this.ttlMs / 2 && !this.leaving;
  }

  /** When its PTR record should be asked for again. */
  refreshMs(): number {
    const part = REFRESH_AT[this.refreshes];
    return part === undefined ? this.expiresMs() : this.heardMs + this.ttlMs * part;
  }

  /** Puts a question, and the ones after it if there is no answer, on the way. */
  ask(nowMs: number): void {
    this.asked = 0;
    this.askAtMs = nowMs + ASK_AFTER_MS[0];
  }

  /** A question has gone out. @returns false when there is no further one */
  nextAsk(nowMs: number): boolean {
    this.asked += 1;
    const waitMs = ASK_AFTER_MS[this.asked];
    this.askAtMs = waitMs === undefined ? -1 : nowMs + waitMs;
    return waitMs !== undefined;
  }

  isComplete(): boolean {
    return this.host !== '' && this.addresses.length > 0 && this.txt !== undefined;
  }

  setPort(port: number): void {
    this.changed ||= port !== this.port;
    this.port = port;
  }

  setTxt(txt: string): void {
    this.changed ||= txt !== this.txt;
    this.txt = txt;
  }

  setAddresses(addresses: readonly string[]): void {
    const kept = addresses.slice(0, MAX_ADDRESSES);
    if (kept.length === this.addresses.length && kept.every((address) => this.addresses.includes(address))) return;
    this.addresses = kept;
    this.changed = true;
  }
}

/** The instances of one link, by name and by host. Names are compared without regard to case (RFC 6762 section 16). */
export class Instances {
  readonly #byName = new Map<string, Instance>();
  /** Most hosts have one instance. */
  readonly #byHost = new Map<string, Instance | Instance[]>();
  #incomplete = 0;

  get size(): number {
    return this.#byName.size;
  }

  get(name: string): Instance | undefined {
    return this.#byName.get(name.toLowerCase());
  }

  all(): IterableIterator<Instance> {
    return this.#byName.values();
  }

  /** @returns undefined when no more fit */
  add(name: string): Instance | undefined {
    if (this.#byName.size >= MAX_INSTANCES || this.#incomplete >= MAX_INCOMPLETE) return undefined;
    const instance = new Instance(name);
    this.#byName.set(name.toLowerCase(), instance);
    this.#incomplete += 1;
    return instance;
  }

  remove(instance: Instance): void {
    if (!this.#byName.delete(instance.name.toLowerCase())) return;
    if (instance.identity === undefined) this.#incomplete -= 1;
    this.#unlink(instance);
  }

  /** The listener knows it from now on, under this name. */
  recognise(instance: Instance, identity: string): void {
    if (instance.identity === undefined) this.#incomplete -= 1;
    instance.identity = identity;
  }

  /** Where it is; its addresses are those of the host from now on, and not known yet. A crowded host is not taken. */
  setHost(instance: Instance, host: string): void {
    const key = host.toLowerCase();
    if (instance.host === key) return;
    const present = this.#byHost.get(key);
    if (Array.isArray(present) && present.length >= MAX_PER_HOST) return;
    this.#unlink(instance);
    instance.host = key;
    instance.changed = true;
    instance.setAddresses([]);
    if (present === undefined) this.#byHost.set(key, instance);
    else this.#byHost.set(key, [...(Array.isArray(present) ? present : [present]), instance]);
  }

  atHost(host: string): readonly Instance[] {
    const present = this.#byHost.get(host.toLowerCase());
    return present === undefined ? [] : Array.isArray(present) ? present : [present];
  }

  #unlink(instance: Instance): void {
    const others = this.atHost(instance.host).filter((one) => one !== instance);
    if (others.length === 0) this.#byHost.delete(instance.host);
    else this.#byHost.set(instance.host, others);
  }
}

/** The data of an instance as a listener gets it. */
export function asService(instance: Instance, suffix: string, link: string): FoundService {
  return {
    instance: shortName(instance, suffix),
    link,
    port: instance.port,
    addresses: instance.addresses,
    txt: readTxt(instance.txt ?? ''),
    knownAs: instance.identity,
  };
}

/** @param suffix `._omadm-notify._udp.local` */
export function shortName(instance: Instance, suffix: string): string {
  return instance.name.slice(0, -suffix.length);
}
