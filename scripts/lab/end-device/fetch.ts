import { createHash, type Hash } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, renameSync, writeSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Backoff, type Clock, type Random } from '../../../firmware/clock/index.js';
import { failure, success, systemErrorCode, type CodedError, type Outcome } from '../../../firmware/outcome/index.js';
import { meaningOf, type Have, type ReplyFailure } from './reply.js';

export interface FetchOptions {
  readonly url: string;
  /** Where the complete file will stand; the partial one stands beside it. */
  readonly file: string;
  /** Address from which the connections are made. */
  readonly localAddress: string;
  readonly idleTimeoutMs: number;
  readonly fruitlessTries: number;
  readonly maxRetryDelayMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
}

export type FetchFailure =
  | ReplyFailure
  | 'bad-url'
  | 'broken' // the connection broke too often
  | 'no-room'
  | 'disk';

export interface Fetched {
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
  /** Requests that it took. */
  readonly tries: number;
}

export type FetchOutcome = Outcome<Fetched, CodedError<FetchFailure | 'aborted'>>;

/** First wait before another try. */
const FIRST_RETRY_MS = 200;

/**
 * Fetches a file over HTTP, whatever the connection does: goes on by Range and If-Range where it broke, from the start
 * where the file has changed. The file is hashed on its way to the disk and never whole in memory.
 */
export async function fetchFile(options: FetchOptions): Promise<FetchOutcome> {
  const url = URL.canParse(options.url) ? new URL(options.url) : undefined;
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    return failure('bad-url', 'PkgURL is not an http or https URL');
  }
  try {
    const part = new PartialFile(openSync(`${options.file}.part`, 'w'));
    try {
      const outcome = await untilComplete(url, part, options);
      if (outcome.ok) renameSync(`${options.file}.part`, options.file);
      return outcome;
    } finally {
      part.close();
    }
  } catch (thrown) {
    // Only the disk throws.
    return failure(systemErrorCode(thrown) === 'ENOSPC' ? 'no-room' : 'disk', 'the image cannot be written', thrown);
  }
}

async function untilComplete(url: URL, part: PartialFile, options: FetchOptions): Promise<FetchOutcome> {
  const backoff = new Backoff({ firstMs: FIRST_RETRY_MS, maxMs: options.maxRetryDelayMs }, options.random);
  for (let tries = 1; ; tries += 1) {
    const before = part.have.bytes;
    const tried = await tryOnce(url, part, options);
    if (options.signal.aborted) return failure('aborted', 'the device stops');
    if (tried.kind === 'complete') {
      return success({ bytes: part.have.bytes, sha256: part.sha256(), tries });
    }
    if (tried.kind === 'fail') return failure(tried.failure, `the download server answered ${tried.failure}`);
    if (part.have.bytes > before) backoff.reset();
    if (backoff.tries >= options.fruitlessTries) return failure(tried.failure, 'no byte came for too many tries');
    const asked = Math.min(tried.waitMs, options.maxRetryDelayMs);
    await options.clock.sleep(Math.max(asked, backoff.nextMs()), options.signal);
  }
}

type Try =
  | { readonly kind: 'complete' }
  | { readonly kind: 'retry'; readonly failure: FetchFailure; readonly waitMs: number }
  | { readonly kind: 'fail'; readonly failure: FetchFailure };

/** One request. @throws what the disk throws */
async function tryOnce(url: URL, part: PartialFile, options: FetchOptions): Promise<Try> {
  if (part.have.etag === undefined && part.have.bytes > 0) part.restart(undefined, undefined);
  const reply = await openReply(url, part.have, options);
  if (!reply) return { kind: 'retry', failure: 'unavailable', waitMs: 0 };
  const meaning = meaningOf(reply.statusCode ?? 0, reply.headers, part.have);
  switch (meaning.kind) {
    case 'fail':
      reply.destroy();
      return meaning;
    case 'retry':
      reply.destroy();
      if (meaning.forget) part.restart(undefined, undefined);
      return { kind: 'retry', failure: meaning.failure, waitMs: meaning.waitMs };
    case 'restart':
      part.restart(meaning.total, meaning.etag);
      break;
    case 'append':
      break;
  }
  const whole = await receive(reply, part);
  if (!whole) return { kind: 'retry', failure: 'broken', waitMs: 0 };
  const { bytes, total } = part.have;
  return total === undefined || bytes === total
    ? { kind: 'complete' }
    : { kind: 'retry', failure: 'mismatch', waitMs: 0 };
}

/** Undefined when there is no reply. */
function openReply(url: URL, have: Have, options: FetchOptions): Promise<IncomingMessage | undefined> {
  const { localAddress, idleTimeoutMs, signal } = options;
  const headers = {
    Connection: 'close',
    'Accept-Encoding': 'identity',
    ...(have.bytes > 0 && have.etag !== undefined && { Range: `bytes=${have.bytes}-`, 'If-Range': have.etag }),
  };
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve) => {
    const outgoing = send(url, { agent: false, localAddress, signal, headers }, resolve);
    outgoing.setTimeout(idleTimeoutMs, () => outgoing.destroy(new Error('the download server is silent')));
    outgoing.on('error', () => {
      resolve(undefined);
    });
    outgoing.end();
  });
}

/**
 * What has come is written as it comes: a stream that is read later loses what it holds when its connection breaks.
 * @returns whether the reply came to its announced end. @throws what the disk throws
 */
function receive(reply: IncomingMessage, part: PartialFile): Promise<boolean> {
  return new Promise((resolve, reject) => {
    reply.on('data', (chunk: Buffer) => {
      try {
        part.append(chunk);
      } catch (thrown) {
        reply.destroy();
        reject(thrown instanceof Error ? thrown : new Error(String(thrown)));
      }
    });
    reply.on('error', () => {});
    reply.on('close', () => resolve(reply.complete));
  });
}

/** The file under way, with its digest so far. */
class PartialFile {
  #hash: Hash = createHash('sha256');
  #have: Have = { bytes: 0, total: undefined, etag: undefined };

  constructor(private readonly fd: number) {}

  get have(): Have {
    return this.#have;
  }

  restart(total: number | undefined, etag: string | undefined): void {
    ftruncateSync(this.fd);
    this.#hash = createHash('sha256');
    this.#have = { bytes: 0, total, etag };
  }

  append(chunk: Uint8Array): void {
    for (let written = 0; written < chunk.byteLength;) {
      written += writeSync(this.fd, chunk, written, undefined, this.#have.bytes + written);
    }
    this.#hash.update(chunk);
    this.#have = { ...this.#have, bytes: this.#have.bytes + chunk.byteLength };
  }

  /** Of what was appended since the last start; the digest can be taken once. */
  sha256(): string {
    return this.#hash.digest('hex');
  }

  close(): void {
    closeSync(this.fd);
  }
}
