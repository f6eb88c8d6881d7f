import type { Answer, Question } from 'dns-packet';
import { jitterMs, type Clock, type Random, type TimerHandle } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { canonicalAddress } from '../net/index.js';
import { Bucket } from './budget.js';
import { asService, Instances, MAX_INSTANCES, shortName, type Instance } from './instances.js';
import { LATER, typeName, type ServiceListener } from './service.js';
import { joinTxt } from './txt.js';

/** RFC 6762 section 5.2: the first query is delayed at random, the next ones come ever more rarely. */
const FIRST_QUERY_MS = 20;
const FIRST_QUERY_JITTER_MS = 100;
const QUERY_FACTOR = 3;
const MIN_QUERY_INTERVAL_MS = 1_000;
const MAX_QUERY_INTERVAL_MS = 3_600_000;

/** Where something that any neighbour can say makes all be asked, the whole link is not to hear of it more often. */
const MIN_DOUBT_INTERVAL_MS = 8_000;

/** An answer to a question of ours comes within this time; the rest is unasked, as after a device's start. */
const ANSWER_WITHIN_MS = 1_500;

/** Instances that are asked for in one message, and messages at once. */
const ASKED_PER_MESSAGE = 8;
const MAX_ASKED_AT_ONCE = 64;
const ASK_PAUSE_MS = 100;

/** Known answers in a query (section 7.1). Where there are more, the devices behind them answer once too often. */
const MAX_KNOWN_ANSWERS = 1_000;

/** What a daemon has told counts as so fresh when the network has the say again: nothing expires at once. */
const DAEMON_TTL_SECONDS = 4_500;

/** Instances that were not known, per second: each costs a look at the database. */
const NEW_PER_SECOND = 500;
const NEW_BURST = 2_000;

/** How long nothing is due at most: then a look is taken all the same. */
const MAX_PAUSE_MS = 60_000;

const FULL_WARNING_MS = 60_000;

/** Who says which instances there are: the records on the network, or the system's daemon, which asks for them. */
export type Authority = 'network' | 'daemon';

export interface BrowserOptions {
  /** Default `network`. */
  readonly authority?: Authority;
  /** Such as `_omadm-notify._udp`. */
  readonly type: string;
  /** Name of the interface. */
  readonly link: string;
  readonly listener: ServiceListener;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Sends by multicast on every family of the link. */
  readonly ask: (questions: readonly Question[], known: readonly Answer[]) => void;
}

/**
 * Browses one type of service on one link (RFC 6762 sections 5.2, 7.1, 10; RFC 6763 section 4).
 *
 * An instance is there as long as its PTR record lives; it is asked for again before the end of its life, and after a
 * goodbye, because anybody can say goodbye in its name. Addresses do not expire: they are what was heard last, and whoever
 * sends to them learns whether they still hold.
 *
 * Where a daemon is the authority, it asks, and tells of instances (`told`) until they are gone (`untold`). What they say
 * of themselves is heard here all the same: the daemon tells neither of another TXT record nor of a device that is back.
 */
export class Browser {
  readonly #instances: Instances;
  readonly #suffix: string;
  readonly #newcomers: Bucket;
  readonly #startMs: number;
  #intervalMs = MIN_QUERY_INTERVAL_MS;
  #nextQueryMs: number;
  /** Not -Infinity: nothing makes the first query come before its random delay. */
  #lastQueryMs = 0;
  /** Something was missed since the last query for all. */
  #missed = false;
  #missedIntervalMs = MIN_DOUBT_INTERVAL_MS;
  /** When all were asked last because something was missed. */
  #missedQueryMs = -Infinity;
  #timer: TimerHandle | undefined;
  #timerAtMs = Infinity;
  #lastAskMs = -Infinity;
  #warnedMs = -Infinity;
  #closed = false;
  #authority: Authority;

  constructor(private readonly options: BrowserOptions) {
    const { authority = 'network', clock, random, type } = options;
    this.#authority = authority;
    this.#suffix = `.${typeName(type)}`.toLowerCase();
    this.#instances = new Instances(random, this.#suffix);
    this.#startMs = clock.monotonicMs();
    this.#newcomers = new Bucket(NEW_PER_SECOND, NEW_BURST, 0);
    this.#nextQueryMs = FIRST_QUERY_MS + jitterMs(FIRST_QUERY_JITTER_MS, random);
  }

  /** Instances on this link. */
  get size(): number {
    return this.#instances.size;
  }

  start(): void {
    this.#schedule(this.#nextQueryMs);
  }

  /** The link came up, or has another address: begins to query anew, with what is known. */
  restart(): void {
    const { random } = this.options;
    this.#intervalMs = MIN_QUERY_INTERVAL_MS;
    this.#nextQueryMs = this.#nowMs() + FIRST_QUERY_MS + jitterMs(FIRST_QUERY_JITTER_MS, random);
    this.#schedule(this.#nextQueryMs);
  }

  /** Ends; what was found is not gone by that. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  /** The link is gone, and everything on it. */
  abandon(): void {
    this.close();
    for (const instance of this.#instances.all()) this.#tellGone(instance);
  }

  /** Another one has the say from now on. What is known stays until that one knows better. */
  follow(authority: Authority): void {
    this.#authority = authority;
    if (authority === 'network') this.restart();
  }

  /** Whether the listener knows it. */
  knows(instance: string): boolean {
    const known = this.#instances.get(`${instance}${this.#suffix}`)?.identity !== undefined;
    this.#instances.settle();
    return known;
  }

  /** The daemon has found an instance, and resolved it. @returns false when it does not fit now */
  told(instance: string, at: { readonly host: string; readonly port: number; readonly txt: Uint8Array[] }): boolean {
    const name = `${instance}${this.#suffix}`;
    const ttl = DAEMON_TTL_SECONDS;
    this.#take(
      [
        { type: 'PTR', name: this.#suffix.slice(1), ttl, data: name },
        { type: 'SRV', name, ttl, data: { target: at.host, port: at.port } },
        { type: 'TXT', name, ttl, data: at.txt.map((string) => Buffer.from(string)) },
      ],
      'daemon',
    );
    const fits = this.#instances.get(name) !== undefined;
    this.#instances.settle();
    return fits;
  }

  /** The daemon has lost an instance: believed when it does not answer. */
  untold(instance: string): void {
    this.#take([{ type: 'PTR', name: this.#suffix.slice(1), ttl: 0, data: `${instance}${this.#suffix}` }], 'daemon');
  }

  /** Those that the daemon does not know any more. */
  untoldBut(told: (instance: string) => boolean): void {
    for (const instance of this.#instances.all()) {
      const name = shortName(instance, this.#suffix);
      if (!told(name)) this.untold(name);
    }
  }

  /**
   * Asks for all that was said of the instances that the listener knows under these names. Where not two have a name, all
   * are asked: the true one may have been said to be gone, and then only what is in doubt is known here.
   */
  verify(identities: ReadonlySet<string>): void {
    const nowMs = this.#nowMs();
    const once = new Set<string>();
    const twice = new Set<string>();
    for (const instance of this.#instances.knownAs(identities)) {
      const { identity = '' } = instance;
      (once.has(identity) ? twice : once).add(identity);
      this.#verify(instance, nowMs);
    }
    this.#instances.settle();
    if (twice.size < identities.size) this.#askSoon(nowMs, MIN_DOUBT_INTERVAL_MS);
  }

  #verify(instance: Instance, nowMs: number): void {
    if (instance.verifying && instance.hasQuestionLeft()) return;
    instance.verifying = true;
    instance.ask(nowMs);
    this.#schedule(instance.askAtMs);
  }

  /**
   * Something was not looked at: whoever was not heard is asked again, before the next query comes by itself. Where the
   * answers of those that are known are too many already, that would go on without end: the interval doubles (section 5.2)
   * until such a query brings somebody new.
   */
  missed(): void {
    if (this.#authority !== 'network') return;
    this.#missed = true;
    this.#askSoon(this.#nowMs(), this.#missedIntervalMs);
  }

  /** Takes the records of a response. */
  take(records: readonly Answer[]): void {
    this.#take(records, 'network');
  }

  #take(records: readonly Answer[], from: Authority): void {
    if (this.#closed) return;
    const nowMs = this.#nowMs();
    const touched = new Set<Instance>();
    for (const record of records) {
      if (record.type === 'PTR' && `.${record.name.toLowerCase()}` === this.#suffix)
        this.#takePtr(record, from, touched, nowMs);
    }
    for (const record of records) this.#takeOfInstance(record, touched);
    this.#takeAddresses(records, touched);
    for (const instance of touched) this.#tell(instance, nowMs);
    this.#instances.settle();
  }

  #takePtr(
    { data, ttl = 0 }: { readonly data: string; readonly ttl?: number | undefined },
    from: Authority,
    touched: Set<Instance>,
    nowMs: number,
  ): void {
    if (!data.toLowerCase().endsWith(this.#suffix) || !isName(data, this.#suffix.length)) return;
    let instance = this.#instances.get(data);
    if (ttl === 0) {
      if (!instance || instance.leaving) return;
      if (instance.identity === undefined) return this.#instances.remove(instance);
      instance.leaving = true;
      instance.ask(nowMs);
      return this.#schedule(instance.askAtMs);
    }
    if (!instance) {
      if (from !== this.#authority) return;
      if (!this.#newcomers.take(1, nowMs)) return;
      instance = this.#instances.add(data);
      if (!instance) return this.#warnFull(nowMs);
      instance.ask(nowMs);
      this.#schedule(instance.askAtMs);
    }
    instance.alive(ttl, nowMs);
    touched.add(instance);
  }

  /** SRV and TXT. They do not make an instance known, but show that a known one is there. */
  #takeOfInstance(record: Answer, touched: Set<Instance>): void {
    if ((record.type !== 'SRV' && record.type !== 'TXT') || (record.ttl ?? 0) === 0) return;
    const instance = this.#instances.get(record.name);
    if (!instance) return;
    if (record.type === 'SRV') {
      const { target, port } = record.data;
      if (port === 0 || !isName(target, 0) || !isHostName(target)) return;
      // The first time that its host is known, the way on is to ask for that.
      if (instance.host === '') instance.answered();
      this.#instances.setHost(instance, target);
      instance.setPort(port);
    } else {
      const strings = Array.isArray(record.data) ? record.data : [record.data];
      instance.setTxt(joinTxt(strings.map((string) => Buffer.from(string))));
    }
    instance.stay();
    touched.add(instance);
  }

  /** Section 10.2: with the cache-flush bit, what is in this message replaces what was known of this type. */
  #takeAddresses(records: readonly Answer[], touched: Set<Instance>): void {
    const hosts = new Map<string, { readonly v4: Heard; readonly v6: Heard }>();
    for (const record of records) {
      if (record.type !== 'A' && record.type !== 'AAAA') continue;
      const key = record.name.toLowerCase();
      if (this.#instances.atHost(key).length === 0) continue;
      const heard = hosts.get(key) ?? { v4: new Heard(), v6: new Heard() };
      hosts.set(key, heard);
      heard[record.type === 'A' ? 'v4' : 'v6'].take(
        this.#withZone(record.data),
        record.ttl ?? 0,
        record.flush === true,
      );
    }
    for (const [host, { v4, v6 }] of hosts) {
      for (const instance of this.#instances.atHost(host)) {
        const isV4 = (address: string): boolean => !address.includes(':');
        instance.setAddresses([
          ...v4.appliedTo(instance.addresses.filter(isV4)),
          ...v6.appliedTo(instance.addresses.filter((address) => !isV4(address))),
        ]);
        touched.add(instance);
      }
    }
  }

  #withZone(address: string): string {
    const canonical = canonicalAddress(address);
    return canonical.startsWith('fe80:') ? `${canonical}%${this.options.link}` : canonical;
  }

  #tell(instance: Instance, nowMs: number): void {
    const { listener, link } = this.options;
    if (instance.leaving) return;
    if (!instance.isComplete()) {
      if (instance.askAtMs < 0) instance.ask(nowMs);
      return this.#schedule(instance.askAtMs);
    }
    instance.answered();
    if (!instance.changed) {
      if (instance.identity !== undefined)
        listener.heard(
          instance.identity,
          shortName(instance, this.#suffix),
          nowMs - this.#lastAskMs > ANSWER_WITHIN_MS,
        );
      return;
    }
    const before = instance.identity;
    const identity = listener.found(asService(instance, this.#suffix, link));
    if (identity === LATER) {
      if (before === undefined) return this.#instances.remove(instance);
      // It stays changed, and so is offered again when it is heard, which the query sees to.
      return this.#askSoon(nowMs, MIN_DOUBT_INTERVAL_MS);
    }
    instance.changed = false;
    if (before !== undefined && before !== identity) {
      this.#tellGone(instance);
      this.#askSoon(nowMs, MIN_DOUBT_INTERVAL_MS);
    }
    if (identity === undefined) return this.#instances.remove(instance);
    this.#instances.recognise(instance, identity);
    if (before === undefined && nowMs - this.#missedQueryMs < MIN_DOUBT_INTERVAL_MS)
      this.#missedIntervalMs = MIN_DOUBT_INTERVAL_MS;
    if (before !== undefined && before !== identity) this.#verify(instance, nowMs);
  }

  /** The next query for all comes as soon as it may after the one before. */
  #askSoon(nowMs: number, intervalMs: number): void {
    this.#nextQueryMs = Math.min(this.#nextQueryMs, Math.max(nowMs, this.#lastQueryMs + intervalMs));
    this.#schedule(this.#nextQueryMs);
  }

  #warnFull(nowMs: number): void {
    if (nowMs - this.#warnedMs < FULL_WARNING_MS) return;
    this.#warnedMs = nowMs;
    const { link, log } = this.options;
    log.warn('service instances are not taken, there are too many', {
      interface: link,
      kept: this.size,
      most: MAX_INSTANCES,
    });
  }

  /** What is due: expired instances, questions for single ones, the query for all. */
  #work(): void {
    this.#timer = undefined;
    this.#timerAtMs = Infinity;
    const nowMs = this.#nowMs();
    const { expired, toAsk, refresh, nextMs: dueMs } = this.#instances.look(nowMs, this.#authority === 'network');
    let nextMs = Math.min(dueMs, nowMs + MAX_PAUSE_MS);
    for (const instance of expired) this.#drop(instance);
    if (refresh) this.#askSoon(nowMs, MIN_QUERY_INTERVAL_MS);
    if (toAsk.length > 0 && this.#askFor(toAsk, nowMs)) nextMs = Math.min(nextMs, nowMs + ASK_PAUSE_MS);
    for (const instance of toAsk) if (instance.askAtMs >= 0) nextMs = Math.min(nextMs, instance.askAtMs);
    this.#instances.settle();
    if (this.#authority === 'network') {
      if (nowMs >= this.#nextQueryMs) this.#queryAll(nowMs);
      nextMs = Math.min(nextMs, this.#nextQueryMs);
    }
    this.#schedule(nextMs);
  }

  #queryAll(nowMs: number): void {
    const known: Answer[] = [];
    for (const instance of this.#instances.all()) {
      if (known.length >= MAX_KNOWN_ANSWERS) break;
      if (instance.identity === undefined || !instance.isFresh(nowMs) || !isAskable(instance.name, this.#suffix))
        continue;
      const ttl = Math.round((instance.expiresMs() - nowMs) / 1000);
      known.push({ type: 'PTR', name: this.#suffix.slice(1), ttl, data: instance.name });
    }
    this.options.ask([{ type: 'PTR', name: this.#suffix.slice(1), class: 'IN' }], known);
    this.#lastQueryMs = nowMs;
    this.#lastAskMs = nowMs;
    this.#nextQueryMs = nowMs + this.#intervalMs;
    this.#intervalMs = Math.min(MAX_QUERY_INTERVAL_MS, this.#intervalMs * QUERY_FACTOR);
    if (!this.#missed) return;
    this.#missed = false;
    this.#missedQueryMs = nowMs;
    this.#missedIntervalMs = Math.min(MAX_QUERY_INTERVAL_MS, this.#missedIntervalMs * 2);
  }

  /** @returns whether some have to wait */
  #askFor(due: readonly Instance[], nowMs: number): boolean {
    const questions: Question[] = [];
    for (const instance of due.slice(0, MAX_ASKED_AT_ONCE)) {
      if (!instance.nextAsk(nowMs)) {
        if (instance.leaving || instance.identity === undefined) this.#drop(instance);
        continue;
      }
      questions.push(...this.#questionsFor(instance));
    }
    for (let at = 0; at < questions.length; at += ASKED_PER_MESSAGE) {
      this.options.ask(questions.slice(at, at + ASKED_PER_MESSAGE), []);
    }
    if (questions.length > 0) this.#lastAskMs = nowMs;
    return due.length > MAX_ASKED_AT_ONCE;
  }

  #questionsFor(instance: Instance): Question[] {
    const { host, name, txt } = instance;
    const ofName = isAskable(name, this.#suffix);
    const anew = instance.verifying && !instance.leaving;
    const questions: Question[] = [];
    if (ofName && (host === '' || instance.leaving || anew)) questions.push({ type: 'SRV', name, class: 'IN' });
    if (ofName && (txt === undefined || anew)) questions.push({ type: 'TXT', name, class: 'IN' });
    if (host !== '' && !instance.leaving) {
      questions.push({ type: 'A', name: host, class: 'IN' }, { type: 'AAAA', name: host, class: 'IN' });
    }
    return questions;
  }

  #drop(instance: Instance): void {
    this.#instances.remove(instance);
    instance.askAtMs = -1;
    this.#tellGone(instance);
  }

  #tellGone(instance: Instance): void {
    if (instance.identity !== undefined)
      this.options.listener.gone(instance.identity, shortName(instance, this.#suffix));
  }

  #schedule(atMs: number): void {
    if (this.#closed || atMs >= this.#timerAtMs) return;
    this.#timer?.cancel();
    this.#timerAtMs = atMs;
    this.#timer = this.options.clock.after(Math.max(0, atMs - this.#nowMs()), () => this.#work());
  }

  #nowMs(): number {
    return Math.trunc(this.options.clock.monotonicMs() - this.#startMs);
  }
}

/** What one message says of a host's addresses of one family. */
class Heard {
  readonly #present = new Set<string>();
  readonly #gone = new Set<string>();
  #flush = false;

  take(address: string, ttl: number, flush: boolean): void {
    (ttl === 0 ? this.#gone : this.#present).add(address);
    if (ttl > 0 && flush) this.#flush = true;
  }

  appliedTo(before: readonly string[]): string[] {
    const kept = this.#flush ? [] : before.filter((address) => !this.#present.has(address));
    return [...this.#present, ...kept].filter((address) => !this.#gone.has(address));
  }
}

/** Longest name, as text without its final dot. */
const MAX_NAME_BYTES = 253;

/** @param suffixChars of its end, which are not looked at */
function isName(name: string, suffixChars: number): boolean {
  const own = name.length - suffixChars;
  return own > 0 && Buffer.byteLength(name) <= MAX_NAME_BYTES && !/[\p{Cc}\ufffd]/u.test(name);
}

/** A label that is empty, as a dot inside of one makes it, cannot be written when the host is asked for. */
function isHostName(name: string): boolean {
  return name.split('.').every((label) => label !== '');
}

/** A dot inside a label is lost in a name as text: such an instance is not asked for, but known by what it says itself. */
function isAskable(name: string, suffix: string): boolean {
  return !name.slice(0, -suffix.length).includes('.');
}
