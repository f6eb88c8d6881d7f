import type { Socket } from 'node:net';
import { lateHttp } from '../late/index.js';
import { canPassNode, isAcknowledged, sendPastNode, unacknowledged } from './direct.js';
import { Pace } from './pace.js';
import { RequestReader, type HttpRequest } from './request.js';

export interface ConnectionLimits {
  /** Bytes of a request's head. */
  readonly headerBytes: number;
  /** Time for the head of a request, and for a TLS handshake. */
  readonly headerMs: number;
  /** A connection on which nothing moves for so long is closed. */
  readonly idleMs: number;
  /** Time between two requests on a connection, and for a client to close behind its last answer. */
  readonly keepAliveMs: number;
  /** Requests on one connection; the answer to the last one closes it. */
  readonly requestsPerConnection: number;
  /** A client that takes less, averaged over `minRateMs`, is dropped. */
  readonly minBytesPerSecond: number;
  readonly minRateMs: number;
}

/** What is done on one connection. */
export interface Handler {
  /**
   * Answers a request.
   * @returns when that is done; undefined when it is done already. Must not reject
   */
  answer(request: HttpRequest): Promise<void> | undefined;
  /** The connection is gone. */
  closed(): void;
}

export interface ConnectionOptions {
  readonly limits: ConnectionLimits;
  readonly monotonicMs: () => number;
  /** The Date field with its CRLF; empty without a clock (RFC 9110 §6.6.1). */
  readonly date: () => string;
  readonly handle: (connection: HttpConnection) => Handler;
}

/** Requests that are answered in a row while everybody else waits. */
const TURN_REQUESTS = 16;

/** A connection whose request is not understood has so long, in ms, to hear it: a reset could take that away. */
export const TOLD_MS = 2_000;

/** RFC 9112 §4. */
function statusLine(status: number): string {
  return `HTTP/1.1 ${status} ${lateHttp().STATUS_CODES[status] ?? ''}\r\n`;
}

/** An answer without content, behind which the connection ends. */
export function lastAnswer(status: number, fields = ''): string {
  return `${statusLine(status)}${fields}Content-Length: 0\r\nConnection: close\r\n\r\n`;
}

/**
 * One connection, from its first request to its end: requests one after the other, each answered before the next is looked
 * at, so that there is never more than one write pending. It has no timer; whoever holds it has it `look` often.
 */
export class HttpConnection {
  /** `content`: as `answer`, while content is waited for: the client is not to blame. `end`: nothing is heard any more. */
  #phase: 'request' | 'answer' | 'content' | 'end' = 'request';
  readonly #reader: RequestReader;
  readonly #pace: Pace;
  /** Since when this phase lasts, or the request is under way, or nothing has moved. */
  #sinceMs: number;
  #lookedMs: number;
  #requests = 0;
  /** Something has come of the next request, be it an empty line; the first one is awaited like that. */
  #isHeading = true;
  #isLast = false;
  /** The request has come before the answer to the one before it had been sent. */
  #isPipelined = false;
  /** What an answer waits for: the kernel takes the bytes of a write, or the head of an answer that had no more. */
  #pending: { readonly bytes: number; readonly end: (taken: boolean) => void } | undefined;
  /** Bytes sent since the last look, and those that the client's kernel had not acknowledged then. */
  #given = 0;
  #left = 0;
  /** The answer's head has been written. */
  hasBegun = false;
  /** The client was disconnected because it took what it was sent too slowly. */
  isTooSlow = false;
  #isRefused = false;
  readonly #handler: Handler;
  /** The client is known to have what was sent: it ended the connection, or was silent, when its kernel had all of it. */
  taken = false;

  /** @param address of the client, in its canonical form */
  constructor(
    readonly socket: Socket,
    readonly address: string,
    private readonly o: ConnectionOptions,
  ) {
    const { headerBytes, minBytesPerSecond, minRateMs } = o.limits;
    this.#reader = new RequestReader(headerBytes);
    this.#pace = new Pace(minBytesPerSecond, minRateMs);
    this.#sinceMs = this.#lookedMs = o.monotonicMs();
    this.#handler = o.handle(this);
    socket.on('data', (bytes: Buffer) => this.#came(bytes));
    socket.on('end', () => this.#ended());
    socket.on('error', () => (this.taken = false));
    socket.on('close', () => {
      this.#settle(false);
      this.#handler.closed();
    });
  }

  /** There is a way past Node.js: see `sendNow`. */
  get passesNode(): boolean {
    return canPassNode(this.socket);
  }

  /** The client has all that was sent: it asks on behind it, or its kernel has acknowledged it. */
  get hasAll(): boolean {
    return !this.#isPipelined || isAcknowledged(this.socket);
  }

  /** The server ends. */
  cutOff(): void {
    if (this.#phase === 'request' || this.#phase === 'end') this.taken = isAcknowledged(this.socket);
    this.socket.destroy();
  }

  /** Content of the answer is waited for, or no longer. */
  setWaiting(isWaiting: boolean): void {
    if (this.#phase === 'end') return;
    this.#phase = isWaiting ? 'content' : 'answer';
    this.#sinceMs = this.o.monotonicMs();
    if (isWaiting && this.socket.readableEnded) this.socket.destroy();
  }

  /** Begins the answer: RFC 9112 §4. @param fields each with its CRLF; those of the connection, and Date, are added */
  begin(status: number, fields: string): void {
    const { limits, date } = this.o;
    this.hasBegun = true;
    this.taken = false;
    const kept = this.#isLast ? 'close' : `keep-alive\r\nKeep-Alive: timeout=${Math.floor(limits.keepAliveMs / 1000)}`;
    const text = `${statusLine(status)}${fields}${date()}Connection: ${kept}\r\n\r\n`;
    this.#given += text.length;
    this.socket.write(text, 'latin1', this.#flushed);
  }

  /** Sends bytes of the answer. @returns when the kernel has taken them, so that they are free: true; false when the connection is gone */
  write(bytes: Buffer): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.socket.destroyed) return resolve(false);
      this.taken = false;
      this.#given += bytes.length;
      this.#waitFor(bytes.length, resolve);
      this.socket.write(bytes, this.#flushed);
    });
  }

  /** As `sendPastNode`. @param send returns the bytes that it has sent, or why none */
  sendNow<T extends string>(send: (fd: number) => number | T): number | T {
    const sent = sendPastNode(this.socket, send);
    this.taken = false;
    if (typeof sent === 'number') this.#given += sent;
    return sent;
  }

  /** Judges the client. To be called again and again: what is timed here is as exact as that is frequent. */
  look(nowMs: number): void {
    if (this.#phase === 'request') this.#lookForRequest(nowMs - this.#sinceMs);
    else this.#lookForProgress(nowMs);
  }

  #lookForRequest(sinceMs: number): void {
    const { headerMs, keepAliveMs } = this.o.limits;
    if (sinceMs < (this.#isHeading ? headerMs : keepAliveMs)) return;
    // Behind an answer the kernel may still be sending it: that takes what it takes.
    if (this.#isHeading) this.refuse(408);
    else if ((this.taken = isAcknowledged(this.socket))) this.socket.destroy();
    else this.#end();
  }

  #lookForProgress(nowMs: number): void {
    const { socket } = this;
    const { keepAliveMs, idleMs } = this.o.limits;
    const left = unacknowledged(socket) + socket.writableLength;
    const moved = Math.max(0, this.#left + this.#given - left);
    this.#left = left;
    this.#given = 0;
    const pending = this.#pending?.bytes ?? 0;
    const isEnding = this.#phase === 'end';
    const isAwaited = isEnding || (this.#phase === 'answer' && pending > 0);
    this.#pace.took(moved, isAwaited ? nowMs - this.#lookedMs : 0);
    this.#lookedMs = nowMs;
    if (!isEnding && (moved > 0 || !isAwaited)) this.#sinceMs = nowMs;
    if (!isAwaited) return;
    const sinceMs = nowMs - this.#sinceMs;
    const isTooSlow = this.#pace.allowanceMs(pending) <= 0;
    if (!isEnding) {
      this.isTooSlow = isTooSlow;
      if (isTooSlow || sinceMs >= idleMs) socket.destroy();
    } else if (this.#isRefused ? sinceMs >= TOLD_MS : sinceMs >= keepAliveMs) {
      this.taken = isAcknowledged(socket);
      if (this.taken || isTooSlow || this.#isRefused) socket.destroy();
    }
  }

  /** Says, behind all earlier answers, why nothing more is heard. */
  refuse(status: number): void {
    this.#isRefused = true;
    this.#end(lastAnswer(status));
  }

  #came(bytes: Buffer): void {
    // RFC 9112 §9.6: what follows the last request is not heard; nor is anything read on behind an answer that may last.
    // Behind the last one all is thrown away, so that the client's end is seen.
    if (this.#phase === 'end') return;
    this.#reader.push(bytes);
    if (this.#phase !== 'request') {
      this.socket.pause();
      this.#reader.keep();
      return;
    }
    if (!this.#isHeading) this.#sinceMs = this.o.monotonicMs();
    this.#isHeading = true;
    this.#hear();
  }

  /**
   * Whoever has ended only its own side of the connection is answered, as by other servers; but not with content that is
   * still to come: that may take hours, and such a client has mostly gone.
   */
  #ended(): void {
    this.taken = isAcknowledged(this.socket);
    if (this.#phase === 'request') this.#hearEnd();
    else if (this.#phase === 'content') this.socket.destroy();
  }

  #hearEnd(): void {
    if (this.#reader.hasBegun) this.refuse(400);
    else this.#end();
  }

  #hear(): void {
    for (let turn = 0; this.#phase === 'request'; turn += 1) {
      if (turn === TURN_REQUESTS) {
        // The client's end, if it comes now, is behind the requests that are here already.
        this.#phase = 'answer';
        this.socket.pause();
        setImmediate(() => this.#answered());
        return;
      }
      const request = this.#reader.next();
      if (request === undefined) return this.#hearOn();
      if (typeof request === 'number') return this.refuse(request);
      this.#requests += 1;
      this.#isLast =
        !request.isPersistent || this.#requests >= this.o.limits.requestsPerConnection || this.#reader.isLast;
      this.#phase = 'answer';
      this.hasBegun = false;
      const answered = this.#handler.answer(request);
      if (answered) {
        this.#reader.keep();
        void answered.then(() => this.#answered());
        return;
      }
      if (!this.#answeredNow()) return;
    }
  }

  /** All that came has been answered. */
  #hearOn(): void {
    this.#reader.keep();
    if (this.socket.readableEnded) this.#hearEnd();
    else this.socket.resume();
  }

  #answered(): void {
    if (this.#answeredNow()) this.#hear();
  }

  /** @returns whether the next request may be looked at now */
  #answeredNow(): boolean {
    if (this.socket.destroyed) return false;
    const { writableLength } = this.socket;
    if (writableLength > 0) {
      this.#reader.keep();
      this.#waitFor(writableLength, (taken) => taken && this.#answered());
      return false;
    }
    this.#sinceMs = this.o.monotonicMs();
    this.#isPipelined = this.#isHeading = this.#reader.hasBegun;
    this.#phase = 'request';
    if (this.#isLast) this.#end();
    return !this.#isLast;
  }

  #waitFor(bytes: number, end: (taken: boolean) => void): void {
    this.#sinceMs = this.#lookedMs = this.o.monotonicMs();
    this.#pending = { bytes, end };
  }

  readonly #flushed = (error?: Error | null): void => {
    if (error || this.socket.destroyed) this.#settle(false);
    else if (this.socket.writableLength === 0) this.#settle(true);
  };

  #settle(taken: boolean): void {
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.end(taken);
  }

  /**
   * Ends the connection behind its last answer. The client's end is waited for: what it still sends would have the kernel
   * drop the answer (RFC 9112 §9.6), and nobody would know whether the client takes it.
   */
  #end(text?: string): void {
    this.#phase = 'end';
    this.#sinceMs = this.#lookedMs = this.o.monotonicMs();
    if (!this.socket.writable) return;
    if (text === undefined) this.socket.end();
    else this.socket.end(text, 'latin1');
    // Only the client's end matters.
    this.socket.resume();
  }
}
