/** A request, as far as a server without use for content needs it (RFC 9110 §3, RFC 9112 §3 and §5). */
export interface HttpRequest {
  /** One of the methods of RFC 9110 and PATCH, but CONNECT. */
  readonly method: string;
  /** As it was sent: visible ASCII. */
  readonly target: string;
  /** By lower-case name; a name that comes again has its values joined by a comma (RFC 9110 §5.3). */
  readonly fields: ReadonlyMap<string, string>;
  /**
   * Another request may follow on the connection (RFC 9112 §9.3). None may behind content: where it ends is what request
   * smuggling is about (§11.2).
   */
  readonly isPersistent: boolean;
}

/** Status for what is no request, behind which nothing is heard. */
export type Refusal = 400 | 431 | 501 | 505;

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'DELETE', 'TRACE', 'PATCH']);

/** No part of a head, not even at its end so far: controls, CR or LF alone (RFC 9112 §2.2). */
const FORBIDDEN = /[^\t\r\n -~\x80-\xff]|\r(?!\n|$)|(?<!\r)\n/g;
const REQUEST_LINE = /^([!#$%&'*+.^`|~\w-]+) ([!-~]+) HTTP\/(\d)\.(\d)\r\n/;
/**
 * Neither folded nor with space before its colon (RFC 9112 §5.1, §5.2); its value without blanks at its ends. Where nothing is
 * forbidden, a value goes to the end of its line, so that no byte is looked at more than twice: there is no slow input.
 */
const FIELD = /([!#$%&'*+.^`|~\w-]+):[\t ]*((?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)[\t ]*\r\n/y;
/** `uri-host [ ":" port ]` (RFC 9110 §7.2), maybe with an IPv6 zone (RFC 6874). Two that are joined have a space. */
const HOST = /^(?:\[[\w.:~%-]+\]|(?:[\w.~!$&'()*+,;=-]|%[\da-f]{2})*)(?::\d*)?$/i;

/** @param head a request's lines, each with its CRLF, without the empty one */
function parseHead(head: string): HttpRequest | Refusal {
  const line = REQUEST_LINE.exec(head);
  const [start, method = '', target = '', major, minor] = line ?? [];
  if (start === undefined) return 400;
  if (major !== '1' || (minor !== '0' && minor !== '1')) return 505;
  if (!METHODS.has(method)) return 501;
  const fields = new Map<string, string>();
  FIELD.lastIndex = start.length;
  while (FIELD.lastIndex < head.length) {
    const [, given = '', value = ''] = FIELD.exec(head) ?? [];
    if (given === '') return 400;
    const name = given.toLowerCase();
    const before = fields.get(name);
    fields.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  // RFC 9112 §3.2, also where the target names an authority, which counts then.
  const host = fields.get('host');
  if (host === undefined ? minor === '1' : !HOST.test(host)) return 400;
  const length = fields.get('content-length') ?? '0';
  const coding = fields.get('transfer-encoding');
  // RFC 9112 §6.3: one length, or none and an encoding that ends with chunks.
  if (!/^\d+$/.test(length)) return 400;
  if (coding !== undefined && (fields.has('content-length') || /chunked[\t ]*,/i.test(coding))) return 400;
  // Who expects to be asked for content may send it unasked (RFC 9110 §10.1.1).
  const hasContent = coding !== undefined || Number(length) > 0 || /^100-continue$/i.test(fields.get('expect') ?? '');
  const options = (fields.get('connection') ?? '').toLowerCase().split(/[\t ]*,[\t ]*/);
  const stays = !options.includes('close') && (minor === '1' || options.includes('keep-alive'));
  return { method, target, fields, isPersistent: stays && !hasContent };
}

const NOTHING = Buffer.alloc(0);
const [CR, LF] = [0x0d, 0x0a];
const HEAD_END = Buffer.from('\r\n\r\n');

/** Takes the requests of one connection out of its bytes, however they come. */
export class RequestReader {
  #bytes: Buffer = NOTHING;
  #isCut = false;
  /** So many bytes of the head that has begun need not be looked at again. */
  #looked = 0;

  /** @param headerBytes longest head, without its empty line */
  constructor(private readonly headerBytes: number) {}

  /** Bytes have come whose request has not. */
  get hasBegun(): boolean {
    return this.#bytes.length > 0;
  }

  /** No request will follow what is held: it was too much, and the rest has been thrown away. */
  get isLast(): boolean {
    return this.#isCut && !this.#bytes.includes(HEAD_END);
  }

  push(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
  }

  /** The next request, once all of its head is there. After a refusal nothing follows. */
  next(): HttpRequest | Refusal | undefined {
    const bytes = this.#bytes;
    let start = 0;
    // RFC 9112 §2.2: some clients put an empty line behind their content.
    while (bytes[start] === CR && bytes[start + 1] === LF) start += 2;
    if (start === bytes.length) {
      // What follows would begin anywhere.
      if (this.#isCut) return 400;
      this.#bytes = NOTHING;
      return undefined;
    }
    const most = start + this.headerBytes + HEAD_END.length;
    const end = bytes.indexOf(HEAD_END, start);
    const isWhole = end >= 0 && end + HEAD_END.length <= most;
    const head = bytes.toString('latin1', start, isWhole ? end + 2 : Math.min(most, bytes.length));
    FORBIDDEN.lastIndex = this.#looked;
    if (FORBIDDEN.test(head)) return 400;
    // CR may be all right so far; also the one of an empty line, which is not looked behind.
    this.#looked = isWhole ? 0 : head.length - 1;
    if (isWhole) {
      this.#bytes = bytes.subarray(end + HEAD_END.length);
      return parseHead(head);
    }
    if (bytes.length >= most) return 431;
    if (start > 0) this.#bytes = bytes.subarray(start);
    return undefined;
  }

  /** What is held will be for a while: no more of it than a head may have, and not as a part of something larger. */
  keep(): void {
    const most = this.headerBytes + HEAD_END.length;
    if (this.#bytes.length > most) this.#isCut = true;
    const kept = this.#bytes.subarray(0, most);
    this.#bytes = kept.length === 0 ? NOTHING : Buffer.allocUnsafeSlow(kept.length);
    kept.copy(this.#bytes);
  }
}
