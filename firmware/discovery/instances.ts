import type { Random } from '../clock/index.js';
import type { FoundService } from './service.js';
import { grown, SlotIndex } from './slot-index.js';
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

/**
 * What is known of one instance on one link, while something is done with it; see `Instances`. Times in whole ms since the
 * start.
 */
export class Instance {
  host = '';
  port = 0;
  addresses: readonly string[] = [];
  /** The strings of its TXT record, one a line. */
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
  /** It is asked although all is known: what is heard meanwhile may be of somebody else, and ends nothing. */
  verifying = false;

  constructor(
    readonly slot: number,
    readonly name: string,
  ) {}

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
    this.answered();
  }

  expiresMs(): number {
    return this.heardMs + this.ttlMs;
  }

  /** More than half of its life is left, and all of it was told: it need not be told again (section 7.1). */
  isFresh(nowMs: number): boolean {
    return nowMs - this.heardMs < this.ttlMs / 2 && !this.leaving && !this.changed;
  }

  /** Puts a question, and the ones after it if there is no answer, on the way. */
  ask(nowMs: number): void {
    this.asked = 0;
    this.askAtMs = nowMs + ASK_AFTER_MS[0];
  }

  /** It will be asked for once more at least. */
  hasQuestionLeft(): boolean {
    return this.askAtMs >= 0 && this.asked + 1 < ASK_AFTER_MS.length;
  }

  /** A question has gone out. @returns false when there is no further one */
  nextAsk(nowMs: number): boolean {
    this.asked += 1;
    const waitMs = ASK_AFTER_MS[this.asked];
    this.askAtMs = waitMs === undefined ? -1 : nowMs + waitMs;
    if (waitMs === undefined) this.verifying = false;
    return waitMs !== undefined;
  }

  /** What was asked for has been heard. */
  answered(): void {
    if (!this.verifying) this.askAtMs = -1;
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

/** What is due, see `Instances.look`. */
export interface Due {
  readonly expired: readonly Instance[];
  readonly toAsk: readonly Instance[];
  /** An instance comes to the end of its life, and is to be asked for. */
  readonly refresh: boolean;
  /** When the next one is due. */
  readonly nextMs: number;
}

const CHANGED = 1;
const LEAVING = 2;
const VERIFYING = 4;

/**
 * The instances of one link, by name and by host. Names are compared without regard to case (RFC 6762 section 16).
 *
 * Ten thousand of them are kept in some 250 bytes each: numbers in columns, and what they say of themselves in one text.
 * An `Instance` is made of that when something is done with one, is the same until `settle`, and is put away by it.
 */
export class Instances {
  /** By slot, without the type; an empty name is a free one. */
  readonly #names: string[] = [];
  /** Host, port, addresses and TXT record, one a line; without the last line while there is no TXT record. */
  readonly #texts: string[] = [];
  readonly #identities: (string | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #open = new Map<number, Instance>();
  readonly #byName: SlotIndex;
  readonly #byHost: SlotIndex;
  #ttlMs = new Int32Array(0);
  #heardMs = new Float64Array(0);
  #askAtMs = new Float64Array(0);
  #asked = new Uint8Array(0);
  #refreshes = new Uint8Array(0);
  #flags = new Uint8Array(0);
  #size = 0;
  #incomplete = 0;

  /** @param suffix what all names end with, in lower case: `._omadm-notify._udp.local` */
  constructor(
    random: Random,
    private readonly suffix: string,
  ) {
    const seed = (): number => Math.floor(random() * 2 ** 32);
    this.#byName = new SlotIndex(seed());
    this.#byHost = new SlotIndex(seed());
  }

  get size(): number {
    return this.#size;
  }

  get(name: string): Instance | undefined {
    const own = this.#ownPart(name);
    if (own === '') return undefined;
    for (const slot of this.#byName.of(this.#byName.hashOf(own))) {
      if (isSame(this.#names[slot] ?? '', own)) return this.#opened(slot);
    }
    return undefined;
  }

  /** Those that the listener knows under one of these names: one look at all there are. */
  knownAs(identities: ReadonlySet<string>): Instance[] {
    this.settle();
    const found: Instance[] = [];
    for (let slot = 0; slot < this.#identities.length; slot += 1) {
      const identity = this.#identities[slot];
      if (identity !== undefined && identities.has(identity)) found.push(this.#opened(slot));
    }
    return found;
  }

  /** Each as it is now. */
  *all(): Generator<Instance, void, undefined> {
    for (let slot = 0; slot < this.#names.length; slot += 1) {
      if (this.#names[slot] !== '') yield this.#open.get(slot) ?? this.#unpack(slot);
    }
  }

  /** @returns undefined when no more fit, or when it is of another type */
  add(name: string): Instance | undefined {
    const own = this.#ownPart(name);
    if (own === '') return undefined;
    if (this.#size >= MAX_INSTANCES || this.#incomplete >= MAX_INCOMPLETE) return undefined;
    const slot = this.#free.pop() ?? this.#names.length;
    if (slot >= this.#ttlMs.length) this.#grow(Math.min(MAX_INSTANCES, Math.max(64, 2 * slot)));
    // In memory of its own: a part of a text keeps the whole.
    this.#names[slot] = Buffer.from(own).toString();
    this.#texts[slot] = '';
    this.#identities[slot] = undefined;
    this.#byName.add(slot, this.#byName.hashOf(own));
    this.#size += 1;
    this.#incomplete += 1;
    const instance = new Instance(slot, `${own}${this.suffix}`);
    this.#open.set(slot, instance);
    return instance;
  }

  remove(instance: Instance): void {
    const { slot } = instance;
    if (this.#names[slot] === '' || this.#opened(slot) !== instance) return;
    if (instance.identity === undefined) this.#incomplete -= 1;
    if (instance.host !== '') this.#byHost.remove(slot);
    this.#byName.remove(slot);
    this.#open.delete(slot);
    this.#names[slot] = '';
    this.#texts[slot] = '';
    this.#identities[slot] = undefined;
    this.#ttlMs[slot] = 0;
    this.#askAtMs[slot] = -1;
    this.#free.push(slot);
    this.#size -= 1;
  }

  /** The listener knows it from now on, under this name. */
  recognise(instance: Instance, identity: string): void {
    if (instance.identity === undefined) this.#incomplete -= 1;
    instance.identity = identity;
  }

  /** Where it is; its addresses are those of the host from now on, and not known yet. A crowded host is not taken. */
  setHost(instance: Instance, host: string): void {
    if (isSame(instance.host, host)) return;
    if (this.atHost(host).length >= MAX_PER_HOST) return;
    if (instance.host !== '') this.#byHost.remove(instance.slot);
    instance.host = host.toLowerCase();
    instance.changed = true;
    instance.setAddresses([]);
    this.#byHost.add(instance.slot, this.#byHost.hashOf(host));
  }

  atHost(host: string): readonly Instance[] {
    const found: Instance[] = [];
    for (const slot of this.#byHost.of(this.#byHost.hashOf(host))) {
      const instance = this.#opened(slot);
      if (isSame(instance.host, host)) found.push(instance);
    }
    return found;
  }

  /**
   * What is due, by a look at the numbers alone. One that is to be asked for before the end of its life is counted as asked.
   * @param byLife whether the life of records counts
   */
  look(nowMs: number, byLife: boolean): Due {
    this.settle();
    const expired: Instance[] = [];
    const toAsk: Instance[] = [];
    let refresh = false;
    let nextMs = Infinity;
    for (let slot = 0; slot < this.#names.length; slot += 1) {
      const ttlMs = this.#ttlMs[slot] ?? 0;
      const heardMs = this.#heardMs[slot] ?? 0;
      if (byLife && ttlMs > 0 && nowMs >= heardMs + ttlMs) {
        expired.push(this.#opened(slot));
        continue;
      }
      const askAtMs = this.#askAtMs[slot] ?? -1;
      if (askAtMs >= 0 && askAtMs <= nowMs) toAsk.push(this.#opened(slot));
      else if (askAtMs >= 0) nextMs = Math.min(nextMs, askAtMs);
      if (!byLife || ttlMs === 0) continue;
      const refreshes = this.#refreshes[slot] ?? 0;
      let refreshMs = heardMs + ttlMs * (REFRESH_AT[refreshes] ?? 1);
      if (refreshMs <= nowMs) {
        refresh = true;
        this.#refreshes[slot] = refreshes + 1;
        const opened = this.#open.get(slot);
        if (opened) opened.refreshes = refreshes + 1;
        refreshMs = heardMs + ttlMs * (REFRESH_AT[refreshes + 1] ?? 1);
      }
      nextMs = Math.min(nextMs, refreshMs);
    }
    return { expired, toAsk, refresh, nextMs };
  }

  /** Puts away those with which something was done. */
  settle(): void {
    for (const instance of this.#open.values()) this.#pack(instance);
    this.#open.clear();
  }

  /** Empty for a name of another type. */
  #ownPart(name: string): string {
    return name.toLowerCase().endsWith(this.suffix) ? name.slice(0, -this.suffix.length) : '';
  }

  #grow(count: number): void {
    this.#ttlMs = grown(this.#ttlMs, count);
    this.#heardMs = grown(this.#heardMs, count);
    this.#askAtMs = grown(this.#askAtMs, count);
    this.#asked = grown(this.#asked, count);
    this.#refreshes = grown(this.#refreshes, count);
    this.#flags = grown(this.#flags, count);
    this.#byName.grow(count);
    this.#byHost.grow(count);
  }

  #opened(slot: number): Instance {
    const open = this.#open.get(slot);
    if (open) return open;
    const instance = this.#unpack(slot);
    this.#open.set(slot, instance);
    return instance;
  }

  #unpack(slot: number): Instance {
    const instance = new Instance(slot, `${this.#names[slot] ?? ''}${this.suffix}`);
    const [host = '', port = '0', addresses = '', ...txt] = (this.#texts[slot] ?? '').split('\n');
    instance.host = host;
    instance.port = Number(port);
    instance.addresses = addresses === '' ? [] : addresses.split(' ');
    instance.txt = txt.length === 0 ? undefined : txt.join('\n');
    instance.identity = this.#identities[slot];
    instance.ttlMs = this.#ttlMs[slot] ?? 0;
    instance.heardMs = this.#heardMs[slot] ?? 0;
    instance.askAtMs = this.#askAtMs[slot] ?? -1;
    instance.asked = this.#asked[slot] ?? 0;
    instance.refreshes = this.#refreshes[slot] ?? 0;
    const flags = this.#flags[slot] ?? 0;
    instance.changed = (flags & CHANGED) !== 0;
    instance.leaving = (flags & LEAVING) !== 0;
    instance.verifying = (flags & VERIFYING) !== 0;
    return instance;
  }

  #pack(instance: Instance): void {
    const { slot, host, port, addresses, txt } = instance;
    const parts = [host, port, addresses.join(' '), ...(txt === undefined ? [] : [txt])];
    const text = parts.join('\n');
    // The one that is there is kept: it is old, and the other one is young garbage.
    if (text !== this.#texts[slot]) this.#texts[slot] = text;
    this.#identities[slot] = instance.identity;
    this.#ttlMs[slot] = instance.ttlMs;
    this.#heardMs[slot] = instance.heardMs;
    this.#askAtMs[slot] = instance.askAtMs;
    this.#asked[slot] = instance.asked;
    this.#refreshes[slot] = instance.refreshes;
    this.#flags[slot] =
      (instance.changed ? CHANGED : 0) | (instance.leaving ? LEAVING : 0) | (instance.verifying ? VERIFYING : 0);
  }
}

function isSame(a: string, b: string): boolean {
  return a === b || a.toLowerCase() === b.toLowerCase();
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
