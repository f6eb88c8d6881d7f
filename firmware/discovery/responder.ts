import type { RemoteInfo } from 'node:dgram';
import type { Answer } from 'dns-packet';
import { jitterMs, type Clock, type Random, type TimerHandle } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { ANY, type LinkSocket, type Query } from './link-socket.js';
import { KnownAnswers, keyOf, OwnRecords } from './own-records.js';
import type { AnnouncedService } from './service.js';

/** RFC 6762 section 8.1: three probes, a quarter of a second apart, after a random delay. */
const PROBES = 3;
const PROBE_PAUSE_MS = 250;

/** Section 8.3: announced twice, a second apart. */
const ANNOUNCEMENTS = 2;
const ANNOUNCE_PAUSE_MS = 1_000;

/** Section 6: answers that others share are delayed at random; longer where more known answers follow (section 7.2). */
const SHARED_DELAY_MS = 20;
const SHARED_JITTER_MS = 100;
const TRUNCATED_DELAY_MS = 400;

/** Section 6.2: a record is not sent more often by multicast. */
const MIN_PAUSE_MS = 1_000;

/** Section 6.7: a resolver that is no mDNS host must not keep it for long. */
const LEGACY_TTL_SECONDS = 10;

/** Another host with our name: so often we take another one. The names have a DevId in them: it should not happen. */
const MAX_CONFLICTS = 8;

/** Records that wait to be sent; more are for the next query. */
const MAX_WAITING = 8_192;

/** Questions of one message that are looked at: whoever asks for more has more than one service of ours in mind. */
const MAX_QUESTIONS = 32;

/** Records in one go, and the pause behind it: a burst would overrun the receivers' buffers. */
const RECORDS_AT_ONCE = 256;
const BURST_PAUSE_MS = 10;

export interface ResponderOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Name of the interface. */
  readonly link: string;
  /** Addresses of services that name none of their own. */
  readonly addresses: readonly string[];
  /** All addresses of this machine: the same name on another link of ours is no conflict. */
  readonly own: ReadonlySet<string>;
  /** Every family of the link. */
  readonly sockets: readonly LinkSocket[];
}

interface Announced {
  records: OwnRecords;
  conflicts: number;
  /** Probes and announcements made so far. */
  stage: number;
  timer: TimerHandle | undefined;
  /** Last time by multicast. */
  sentMs: number;
}

/**
 * Announces services on one link and answers for them (RFC 6762 sections 6 to 10). Two hosts that probe for one name at
 * the same moment are not told apart by their data (section 8.2): they would have to have the same DevId.
 */
export class Responder {
  readonly #announced = new Map<string, Announced>();
  /** Answers on their way, by name, type and data. */
  readonly #waiting = new Map<string, Answer>();
  #flush: TimerHandle | undefined;
  #flushAtMs = 0;
  #closed = false;

  constructor(private readonly options: ResponderOptions) {}

  /** Announces the service, or tells of its change. @param key by which it is replaced and removed */
  set(key: string, service: AnnouncedService): void {
    if (this.#closed) return;
    const known = this.#announced.get(key);
    const conflicts = known?.conflicts ?? 0;
    const records = new OwnRecords(service, service.addresses ?? this.options.addresses, conflicts);
    if (known && known.stage >= PROBES && known.records.name === records.name && known.records.host === records.host) {
      known.records = records;
      known.stage = PROBES;
      this.#advance(known);
      return;
    }
    if (known) this.#sayGoodbye([known]);
    known?.timer?.cancel();
    const announced: Announced = { records, conflicts, stage: 0, timer: undefined, sentMs: -Infinity };
    this.#announced.set(key, announced);
    this.#after(announced, jitterMs(PROBE_PAUSE_MS, this.options.random));
  }

  /** Says goodbye. */
  remove(key: string): void {
    const known = this.#announced.get(key);
    if (!known) return;
    known.timer?.cancel();
    this.#announced.delete(key);
    this.#sayGoodbye([known]);
  }

  take(query: Query, from: RemoteInfo, socket: LinkSocket): void {
    if (this.#closed) return;
    if (query.legacy) return this.#answerLegacy(query, from, socket);
    if (query.questions.length === 0) return this.#suppress(query.answers);
    let delayMs = query.truncated ? TRUNCATED_DELAY_MS + jitterMs(SHARED_JITTER_MS, this.options.random) : 0;
    const nowMs = this.options.clock.monotonicMs();
    const known = new KnownAnswers(query.answers);
    let found = false;
    for (const announced of this.#established()) {
      for (const question of query.questions.slice(0, MAX_QUESTIONS)) {
        const answers = announced.records.answersTo(question);
        const [first] = answers;
        if (!first || known.has(first)) continue;
        // Defending a name against one that probes for it does not wait (section 6).
        if (query.proposed.length === 0 && nowMs - announced.sentMs < MIN_PAUSE_MS) continue;
        if (first.type === 'PTR' && delayMs === 0) {
          delayMs = SHARED_DELAY_MS + jitterMs(SHARED_JITTER_MS, this.options.random);
        }
        announced.sentMs = nowMs;
        for (const answer of answers) this.#queue(answer);
        found = true;
      }
    }
    if (found) this.#flushAfter(delayMs);
  }

  /** Looks whether somebody else uses our names. */
  watch(records: readonly Answer[]): void {
    if (this.#closed) return;
    const nowMs = this.options.clock.monotonicMs();
    for (const announced of this.#announced.values()) {
      if (!records.some((record) => announced.records.isContradictedBy(record, this.options.own))) continue;
      if (announced.stage < PROBES) this.#rename(announced);
      else if (nowMs - announced.sentMs >= MIN_PAUSE_MS) {
        announced.sentMs = nowMs;
        this.#multicast(announced.records.all());
      }
    }
  }

  /** Says goodbye for all. */
  close(): void {
    if (this.#closed) return;
    for (const { timer } of this.#announced.values()) timer?.cancel();
    this.#flush?.cancel();
    this.#sayGoodbye([...this.#announced.values()]);
    this.#closed = true;
  }

  /** Those that were announced. Before that, our own probes come back to us as questions. */
  *#established(): Iterable<Announced> {
    for (const announced of this.#announced.values()) if (announced.stage > PROBES) yield announced;
  }

  #after(announced: Announced, delayMs: number): void {
    announced.timer?.cancel();
    announced.timer = this.options.clock.after(delayMs, () => this.#advance(announced));
  }

  /** The next probe or announcement. */
  #advance(announced: Announced): void {
    const { records, stage } = announced;
    announced.stage += 1;
    if (stage < PROBES) {
      const questions = [
        { name: records.name, type: ANY },
        { name: records.host, type: ANY },
      ];
      // Proposed records are told without the cache-flush bit (section 10.2).
      const proposed = records.unique().map((record) => ({ ...record, flush: false }));
      for (const socket of this.options.sockets) socket.sendQuery(questions, [], proposed);
      return this.#after(announced, PROBE_PAUSE_MS);
    }
    announced.sentMs = this.options.clock.monotonicMs();
    for (const record of records.all()) this.#queue(record);
    this.#flushAfter(0);
    if (stage + 1 < PROBES + ANNOUNCEMENTS) this.#after(announced, ANNOUNCE_PAUSE_MS);
  }

  #rename(announced: Announced): void {
    const { log, link, random, addresses } = this.options;
    const { service, instance } = announced.records;
    announced.conflicts += 1;
    if (announced.conflicts > MAX_CONFLICTS) {
      log.warn('a service is not announced: its name is taken', { interface: link, instance });
      announced.timer?.cancel();
      return;
    }
    announced.records = new OwnRecords(service, service.addresses ?? addresses, announced.conflicts);
    announced.stage = 0;
    log.info('a service has another name, because its own is taken', { instance, now: announced.records.instance });
    this.#after(announced, jitterMs(PROBE_PAUSE_MS, random));
  }

  #queue(answer: Answer): void {
    if (this.#waiting.size < MAX_WAITING) this.#waiting.set(keyOf(answer), answer);
  }

  /** Known answers that come behind their question (section 7.2). */
  #suppress(answers: readonly Answer[]): void {
    const known = new KnownAnswers(answers);
    for (const [key, waiting] of this.#waiting) if (known.has(waiting)) this.#waiting.delete(key);
  }

  #flushAfter(delayMs: number): void {
    const { clock } = this.options;
    const atMs = clock.monotonicMs() + delayMs;
    if (this.#flush && this.#flushAtMs <= atMs) return;
    this.#flush?.cancel();
    this.#flushAtMs = atMs;
    this.#flush = clock.after(delayMs, () => this.#sendWaiting());
  }

  #sendWaiting(): void {
    this.#flush = undefined;
    const answers: Answer[] = [];
    for (const [key, answer] of this.#waiting) {
      if (answers.length >= RECORDS_AT_ONCE) break;
      answers.push(answer);
      this.#waiting.delete(key);
    }
    this.#multicast(answers);
    if (this.#waiting.size > 0) this.#flushAfter(BURST_PAUSE_MS);
  }

  #multicast(answers: readonly Answer[]): void {
    for (const socket of this.options.sockets) socket.sendResponse(answers);
  }

  #answerLegacy({ id, questions }: Query, from: RemoteInfo, socket: LinkSocket): void {
    const answers: Answer[] = [];
    for (const { records } of this.#established()) {
      for (const question of questions.slice(0, MAX_QUESTIONS)) answers.push(...records.answersTo(question));
    }
    if (answers.length === 0) return;
    const plain = answers.map((answer) => ({ ...answer, flush: false, ttl: LEGACY_TTL_SECONDS }));
    socket.sendUnicast(id, questions.slice(0, MAX_QUESTIONS), plain, from);
  }

  #sayGoodbye(those: readonly Announced[]): void {
    const told = those.filter(({ stage }) => stage > PROBES);
    const records = told.flatMap(({ records }) => records.all());
    // The list of types is shared with others: it is not ours to end.
    const ended = records.filter(({ name }) => !name.startsWith('_services.'));
    this.#multicast(ended.map((record) => ({ ...record, ttl: 0 })));
  }
}
