import { Backoff } from '../clock/index.js';
import type { LogFields } from '../log/index.js';
import { redactUrl, type HttpReply } from '../net/index.js';
import { describeThrown } from '../outcome/index.js';
import { StoreError } from '../store/index.js';
import type { AcceptanceError } from './acceptance.js';
import { UNFOLLOWED } from './arrivals.js';
import { mismatch, readDescribed, sizeMismatch, type Described } from './described.js';
import { isDescriptor, isPackedDescriptor } from './descriptor.js';
import { diskFault, fault, type Fault } from './fault.js';
import { hashKept } from './hash-kept.js';
import type { ImageRecord } from './image.js';
import { PartialContent, takeBody, type IntakeBuffers } from './intake.js';
import { cameForDigest } from './kept.js';
import { Mirrors } from './mirrors.js';
import { isDoubtOver, isPortalSized, isWebPage, portalFault } from './portal.js';
import type { RetrievalKey } from './progress.js';
import { discard, requestImage } from './request.js';
import { guardBetween, meaningOf, sameSource, type Have, type ReplyMeaning } from './resume.js';
import type { RetrievalOptions } from './retrieval-options.js';
import { noRoom } from './room.js';
import { sidecarOf } from './sidecar.js';
import { bothCaps, Throttle, type RateCap } from './throttle.js';
import { meaningOfEnd, type TryEnd } from './try.js';

/** What the downloader does with a retrieval after a step. */
export type StepEnd = { readonly kind: 'over' } | { readonly kind: 'wait'; readonly delayMs: number };

const OVER: StepEnd = { kind: 'over' };

/** What a request of a try is for. */
interface Asked {
  /** The mirror, as given. */
  readonly mirror: string;
  readonly described: Described | undefined;
  /** The mirror itself, or the object that its descriptor names. */
  readonly url: string;
}

/**
 * One retrieval of one image, from its request to its end. Between two steps it holds nothing but a few numbers and
 * the state of the hash; the step's buffers belong to the caller.
 */
export class Retrieval {
  readonly #content = new PartialContent();
  readonly #backoff: Backoff;
  readonly #ownThrottle: Throttle;
  readonly #throttle: RateCap;
  /** False until the bytes that an earlier run of the gateway left have been hashed. */
  #prepared = false;
  readonly #mirrors = new Mirrors();
  /** The next request is for the whole file. */
  #wholeNext = false;
  /** What is there came by more than one reply. */
  #joined = false;
  /** The whole file was fetched once more, because what was joined was not accepted. */
  #fetchedAgain = false;
  /** Most bytes that were ever there: only what goes beyond is progress. */
  #best = 0;
  #progressed = false;
  /** Highest watermark. */
  #furthest = 0;
  /** WAN bytes not yet in the catalog. */
  #uncounted = 0;
  #lastFault: Fault | undefined;
  /** The download descriptor that stands at a mirror, as long as what it names can be had. */
  #described: Described | undefined;

  constructor(
    readonly key: RetrievalKey,
    private readonly o: RetrievalOptions,
  ) {
    this.#backoff = new Backoff(o.backoff, o.random);
    this.#ownThrottle = new Throttle(o.clock, o.maxBytesPerSecondPerImage);
    this.#throttle = bothCaps(o.throttle, this.#ownThrottle);
  }

  /** Bytes that have come in, those that are not durable yet among them. */
  get arrived(): number {
    return this.#content.received;
  }

  /** Another cap of its own from now on; 0 for none. */
  setRate(maxBytesPerSecond: number): void {
    this.#ownThrottle.setRate(maxBytesPerSecond);
  }

  /** Tries until the image is there, has failed, or a pause is due. Leaves the bytes durable when aborted. */
  async step(signal: AbortSignal, buffers: IntakeBuffers): Promise<StepEnd> {
    const fd = await this.#open();
    if (typeof fd !== 'number') return this.#troubled(fd, undefined);
    try {
      if (!this.#prepared) {
        const trouble = await this.#prepare(fd, signal, buffers);
        if (trouble) return await this.#troubled(trouble, fd);
      }
      while (!signal.aborted) {
        const record = this.o.progress.current(this.key);
        if (!record) return OVER;
        const end = this.#isWhole(record) ? ({ kind: 'whole' } as const) : await this.#try(record, fd, signal, buffers);
        if (end.kind === 'whole') {
          const over = await this.#complete(fd);
          if (over) return over;
        } else if (end.kind === 'fault') {
          const over = await this.#handle(end, fd);
          if (over) return over;
        } else if (end.kind === 'stop') break;
      }
      await this.#makeDurable(fd);
      return OVER;
    } finally {
      await this.o.blobs.disk.close(fd);
    }
  }

  async #open(): Promise<number | Fault> {
    try {
      return await this.o.blobs.openPartial(this.key.id);
    } catch (thrown) {
      return diskFault(thrown);
    }
  }

  /** Takes up what an earlier run of the gateway has left. Not prepared afterwards: to be asked again. */
  async #prepare(fd: number, signal: AbortSignal, [buffer]: IntakeBuffers): Promise<Fault | undefined> {
    const trouble = await hashKept(this.key, this.#content, fd, buffer, signal, this.o);
    const { received } = this.#content;
    if (trouble || signal.aborted) return trouble;
    this.#content.durable = received;
    this.#joined = received > 0;
    this.#best = received;
    this.#furthest = received;
    this.#prepared = true;
    return undefined;
  }

  #isWhole(record: ImageRecord): boolean {
    return record.size !== null && record.retrieval.source !== null && this.#content.received === record.size;
  }

  async #try(record: ImageRecord, fd: number, signal: AbortSignal, buffers: IntakeBuffers): Promise<TryEnd> {
    const enough = this.#givenUp(record);
    if (enough) return enough;
    const missing = this.o.catalog.missing(record.leaves);
    if (missing) return fault(missing.code, 'fail', missing.text);
    const source = this.#mirrors.current(record.leaves.imageUri ?? '');
    if (!this.o.progress.attempting(this.key, this.#progressed)) return { kind: 'stop' };
    this.#progressed = false;
    for (;;) {
      const described = this.#described?.mirror === source ? this.#described : undefined;
      const asked: Asked = { mirror: source, described, url: described?.objectUri ?? source };
      const current = this.o.progress.current(this.key);
      if (!current) return { kind: 'stop' };
      const have = this.#have(current, asked);
      this.o.log.debug('asking for the image', {
        ...fieldsOf(current, asked, have),
        attempt: current.retrieval.attempts,
      });
      const end = await requestImage(asked.url, have, signal, this.o);
      if (end.kind === 'aborted') return { kind: 'stop' };
      if (end.kind === 'fault') {
        // What the descriptor names may have been signed for a while only: it is asked once more.
        if (!described || described.fresh || end.course === 'again' || end.course === 'network') return end;
        this.#described = undefined;
      } else if (!described && isDescriptor(end.reply.headers)) {
        const read = await readDescribed(this.key, source, end, signal, this.o);
        if (read.kind === 'more') this.#wholeNext = true;
        if (read.kind !== 'described') return read;
        // A range that was asked of the descriptor itself says nothing about its object.
        this.#wholeNext = false;
        this.#described = read.described;
      } else {
        return this.#take(current, asked, have, end.reply, fd, signal, buffers);
      }
    }
  }

  /** Set when there have been as many tries as there may be without a new byte. */
  #givenUp({ retrieval: { attempts } }: ImageRecord): Fault | undefined {
    if (attempts < this.o.maxAttempts || this.#progressed) return undefined;
    const last = this.#lastFault ?? fault('broken', 'fail', 'the retrieval was interrupted');
    return fault(last.code, 'fail', `given up after ${attempts} tries: ${last.text}`);
  }

  /** What the disk does wrong beside a request, and will be tried again, counts as a try like one. */
  async #troubled(found: Fault, fd: number | undefined): Promise<StepEnd> {
    const record = this.o.progress.current(this.key);
    if (!record) return OVER;
    this.#lastFault = found;
    const end = found.course === 'fail' ? found : (this.#givenUp(record) ?? found);
    if (end.course !== 'fail') {
      this.o.progress.attempting(this.key, this.#progressed);
      this.#progressed = false;
    }
    return (await this.#handle(end, fd)) ?? OVER;
  }

  /** Decides on a reply that is not a download descriptor, and takes what it brings. */
  async #take(
    record: ImageRecord,
    asked: Asked,
    have: Have,
    reply: HttpReply,
    fd: number,
    signal: AbortSignal,
    buffers: IntakeBuffers,
  ): Promise<TryEnd> {
    if (isPackedDescriptor(reply.headers)) {
      discard(reply);
      return PACKED_DESCRIPTOR;
    }
    const meaning = meaningOf(reply, have);
    if (meaning.kind === 'restart' || meaning.kind === 'append') {
      const differs = asked.described && mismatch(asked.described, reply.headers, meaning.total);
      if (differs === undefined) return this.#receive(record, asked, reply, meaning, fd, signal, buffers);
      discard(reply);
      return differs;
    }
    discard(reply);
    if (meaning.kind === 'complete') {
      const guarded = have.validator !== undefined;
      this.o.progress.joining(this.key, { ...sourceOf(asked), total: meaning.total, guarded });
      return { kind: 'whole' };
    }
    if (meaning.kind === 'fault') return meaning;
    if (meaning.kind === 'refuse') {
      return fault('bad-reply', 'fail', `the reply cannot be used: ${meaning.reason}`);
    }
    this.o.log.warn('the reply to a range cannot be used, asking for the whole file', {
      ...fieldsOf(record, asked, have),
      reason: meaning.reason,
    });
    this.#wholeNext = true;
    return { kind: 'more' };
  }

  /** What may be asked on from, at this URL: see `keepBytes`. */
  #have(record: ImageRecord, { mirror, described, url }: Asked): Have {
    const { retrieval, leaves, size } = record;
    const digestKnown = leaves.digest !== null;
    const validator = retrieval.source === null ? undefined : guardBetween(retrieval.source, url, retrieval.validator);
    const same = retrieval.source !== null && sameSource(retrieval.source, url);
    const joinable = validator !== undefined || cameForDigest(record) || (digestKnown && same);
    // The bytes are of the object, not of its descriptor.
    const named = described === undefined && retrieval.descriptor === mirror;
    const bytes = joinable && !named && !this.#wholeNext ? this.#content.received : 0;
    const type = record.contentType ?? '';
    const keptType = this.#content.received > 0 && !isWebPage(type) ? type : undefined;
    const doubtOver = digestKnown && isDoubtOver(retrieval.attempts, this.o.maxAttempts);
    return { bytes, validator, total: size ?? undefined, digestKnown, keptType, doubtOver };
  }

  async #receive(
    record: ImageRecord,
    asked: Asked,
    reply: HttpReply,
    meaning: Extract<ReplyMeaning, { kind: 'restart' | 'append' }>,
    fd: number,
    signal: AbortSignal,
    buffers: IntakeBuffers,
  ): Promise<TryEnd> {
    if (meaning.kind === 'restart') {
      this.#content.restart();
      this.#wholeNext = false;
    }
    this.#joined = meaning.kind === 'append';
    const content = this.#content;
    const before = content.received;
    let refused: Fault | undefined;
    let grantedTo = meaning.total ?? 0;
    const announced = meaning.kind === 'append' ? meaning.length : meaning.total;
    const prepare = async (): Promise<boolean> => {
      refused = meaning.total === undefined ? undefined : await noRoom(this.key.id, meaning.total, this.o);
      return refused === undefined && (await this.#begin(record, asked, meaning, fd));
    };
    // The size is not known: room is promised volume by volume.
    const grow = async (bytes: number): Promise<boolean> => {
      grantedTo = bytes + this.o.fsyncVolumeBytes;
      refused = await noRoom(this.key.id, grantedTo, this.o);
      return refused === undefined;
    };
    const end = await takeBody({
      readInto: (sink) => reply.readInto(sink),
      content,
      disk: this.o.blobs.disk,
      fd,
      buffers,
      limitBytes: announced ?? asked.described?.size,
      volumeBytes: this.o.fsyncVolumeBytes,
      clock: this.o.clock,
      throttle: this.#throttle,
      stall: {
        windowMs: this.o.idleTimeoutMs,
        leastBytes: Math.max(1, Math.ceil((this.o.minBytesPerSecond * this.o.idleTimeoutMs) / 1000)),
      },
      signal,
      ready: prepare(),
      flushFirst: this.o.arrivals !== UNFOLLOWED,
      written: (bytes) => this.o.arrivals.written(this.key.id, bytes),
      durable: (bytes) => this.#record(bytes),
      counted: (bytes, leavesGarbage) => {
        this.#uncounted += bytes;
        this.o.countWanBytes(bytes, leavesGarbage);
      },
      mayGrowTo: (bytes) => bytes <= grantedTo || grow(bytes),
    });
    if (end.kind === 'refused' || end.kind === 'disk') {
      // What was hashed is not all in the file.
      this.#doubt();
      if (end.kind === 'disk') return diskFault(end.cause);
      return refused ?? { kind: 'stop' };
    }
    const { received } = content;
    const judged = meaningOfEnd(end.kind, { taken: received - before, announced, received, total: meaning.total });
    // What is whole may be a page: see `#complete`.
    if (judged.kind !== 'whole') this.#cameFurther();
    const ended = judged.kind === 'whole' || end.kind === 'overflow';
    if (!ended || asked.described === undefined || announced !== undefined) return judged;
    // The reply said nothing of its length: the descriptor has.
    return end.kind === 'complete' && received === asked.described.size ? judged : sizeMismatch(asked.described);
  }

  /** With each byte that has not been there before, tries and pauses begin anew. */
  #cameFurther(): void {
    if (this.#content.received <= this.#best) return;
    this.#best = this.#content.received;
    this.#progressed = true;
    this.#backoff.reset();
  }

  /** Records which version comes in, durably where a later join depends on it. False when superseded. */
  async #begin(
    record: ImageRecord,
    asked: Asked,
    meaning: Extract<ReplyMeaning, { kind: 'restart' | 'append' }>,
    fd: number,
  ): Promise<boolean> {
    const { blobs, progress, store } = this.o;
    if (meaning.kind === 'append') {
      progress.joining(this.key, { ...meaning, ...sourceOf(asked) });
      if (!meaning.guarded && !record.retrieval.unguarded) await store.durable();
      return true;
    }
    if (!progress.fromZero(this.key, { ...meaning, ...sourceOf(asked) })) return false;
    // Else, after a power cut, the old watermark would vouch for bytes of the new version.
    await store.durable();
    await blobs.disk.truncate(fd, 0);
    return true;
  }

  /** Flush, check, give the blob its name, commit. Undefined when the file must be fetched again from 0. */
  async #complete(fd: number): Promise<StepEnd | undefined> {
    const { blobs, catalog, progress, store } = this.o;
    const record = progress.checking(this.key);
    if (!record) return OVER;
    const sha256 = this.#content.sha256();
    const size = this.#content.received;
    const accepted = catalog.accepts(record.leaves, sha256);
    if (!accepted.ok) return this.#notAccepted(record, accepted.error, fd);
    this.#cameFurther();
    try {
      // Behind its end a cut may have left something.
      await blobs.disk.truncate(fd, size);
      await blobs.disk.flush(fd);
      // Should the process end between the rename and the commit, this and the sidecar tell whose the blob is.
      this.#record(size);
      await store.durable();
      const availableMs = progress.nowMs();
      const sidecar = sidecarOf({ size, contentType: record.contentType }, [{ ...record, availableMs }]);
      const taken = await blobs.adopt(this.key.id, sha256, sidecar, () =>
        progress.complete(this.key, sha256, size, availableMs),
      );
      // Superseded at the last moment: nobody has asked for this content any more.
      if (!taken) await this.o.release(sha256);
    } catch (thrown) {
      // The file may have lost its name: what is under it is hashed again before it counts.
      this.#doubt();
      return this.#troubled(diskFault(thrown), fd);
    }
    await store.durable();
    return OVER;
  }

  /** What came whole is not what is asked for: it is fetched anew where that may help. */
  async #notAccepted(record: ImageRecord, error: AcceptanceError, fd: number): Promise<StepEnd | undefined> {
    // A server may keep a validator while it changes the file: nginx does for one of the same length and time.
    const doubtful = this.#joined && !this.#fetchedAgain;
    if (record.retrieval.unguarded || doubtful) {
      this.o.log.warn('bytes of two versions may have been joined, fetching the whole file', { image: record.imageId });
      this.#fetchedAgain = true;
      this.#forget();
      return undefined;
    }
    const portal = isPortalSized(this.#content.received) && portalFault(record, error);
    if (portal) return this.#dropPage(portal, fd);
    const found = fault(error.code, 'fail', error.text);
    if (!this.#hasOtherMirror(record, found)) return this.#fail(found);
    this.o.log.warn('a mirror has other content, trying the next one', { image: record.imageId, reason: found.text });
    this.#forget();
    return undefined;
  }

  #forget(): void {
    this.o.progress.forget(this.key);
    this.#content.restart();
    this.#wholeNext = true;
  }

  /** What came whole was a page, not the image. */
  async #dropPage(found: Fault, fd: number): Promise<StepEnd | undefined> {
    this.o.progress.forget(this.key);
    this.#content.restart();
    try {
      await this.o.blobs.disk.truncate(fd, 0);
    } catch (thrown) {
      return this.#fail(diskFault(thrown));
    }
    return this.#handle(found, fd);
  }

  /** Decides what follows a fault; undefined to try on at once. @param fd of the partial file, where it could be opened */
  async #handle(found: Fault, fd: number | undefined): Promise<StepEnd | undefined> {
    this.#lastFault = found;
    const record = this.o.progress.current(this.key);
    if (!record) return OVER;
    if (found.course === 'fail' || found.course === 'needs-uri') {
      if (this.#hasOtherMirror(record, found)) return undefined;
      await this.#makeDurable(fd);
      if (found.course === 'fail') return this.#fail(found);
      this.o.progress.needsUri(this.key, found.code, found.text);
      return OVER;
    }
    await this.#makeDurable(fd);
    if (this.#described) this.#described.fresh = false;
    if (!this.#progressed) this.#mirrors.advance();
    const delayMs = Math.max(this.#backoff.nextMs(), Math.min(found.retryAfterMs ?? 0, this.o.maxRetryAfterMs));
    this.o.progress.waiting(this.key, found.code, found.text, found.course === 'again');
    this.o.log.warn('the retrieval pauses', {
      image: record.imageId,
      reason: found.text,
      wait_ms: delayMs,
      offset_bytes: this.#content.received,
    });
    return { kind: 'wait', delayMs };
  }

  /** A final answer of one mirror is not the last word while there are others. */
  #hasOtherMirror(record: ImageRecord, found: Fault): boolean {
    const local = found.code === 'no-room' || found.code === 'disk' || found.code === 'signature-mismatch';
    const exhausted = record.retrieval.attempts >= this.o.maxAttempts && !this.#progressed;
    if (local || exhausted) return false;
    if (!this.#mirrors.end(record.leaves.imageUri ?? '')) return false;
    this.o.progress.described(this.key, undefined, found.code);
    return true;
  }

  #fail(found: Fault): StepEnd {
    if (found.cause instanceof StoreError) throw found.cause;
    this.o.progress.failed(this.key, found.code, found.text);
    return OVER;
  }

  /** Before a pause or a stop: what has come in is flushed and recorded, so that a restart goes on from here. */
  async #makeDurable(fd: number | undefined): Promise<void> {
    const { received, durable } = this.#content;
    if (fd === undefined || !this.#prepared || received === durable) return;
    try {
      await this.o.blobs.disk.flushData(fd);
    } catch (thrown) {
      this.o.log.warn('cannot flush the partial file', { reason: describeThrown(thrown) });
      // The kernel tells of lost pages once and then takes them for clean: beyond the watermark nothing can be trusted.
      this.#doubt();
      return;
    }
    this.#content.durable = received;
    this.#record(received);
  }

  /** What the file has beyond the watermark is not to be relied on. */
  #doubt(): void {
    this.#prepared = false;
    this.#content.restart();
    this.o.arrivals.doubted(this.key.id);
  }

  #record(durable: number): void {
    this.o.progress.durable(this.key, durable, this.#uncounted, durable > this.#furthest);
    this.#furthest = Math.max(this.#furthest, durable);
    this.#uncounted = 0;
    this.o.recorded();
  }
}

const PACKED_DESCRIPTOR = fault(
  'content-refused',
  'fail',
  'a download descriptor and its object in one message (multipart/related) are not taken apart',
);

function sourceOf({ mirror, described, url }: Asked): { source: string; descriptor: string | undefined } {
  return { source: url, descriptor: described && mirror };
}

function fieldsOf(record: ImageRecord, { url }: Asked, have: Have): LogFields {
  return { image: record.imageId, url: redactUrl(url), offset_bytes: have.bytes };
}
