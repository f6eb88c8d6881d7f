/** For the tests of the image server: requests as raw bytes, replies read so strictly that no deviation passes. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { parseHttpDate } from './httpdate.js';

export interface WireReply {
  readonly status: number;
  /** By lower-case name; without Date, which has been checked. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface Part {
  readonly type: string;
  readonly start: number;
  readonly total: number;
  readonly bytes: Buffer;
}

export interface Conversation {
  readonly replies: readonly WireReply[];
  /** The server has closed the connection. */
  readonly closed: boolean;
  /** What came and is not a whole reply. */
  readonly rest: Buffer;
}

/** A request of lines; the end of the headers is added, after it comes `content`. */
export function requestOf(lines: string, content = ''): string {
  return `${lines.replaceAll('\n', '\r\n')}\r\n\r\n${content}`;
}

/**
 * Sends bytes and reads until there are `count` replies or the server closes.
 * @param methods  of the requests, in order, so that the replies to HEAD are known; GET beyond them
 */
export function converse(
  port: number,
  bytes: string | Buffer,
  { count = 1, methods = [] as readonly string[] } = {},
): Promise<Conversation> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(port, '127.0.0.1');
    const chunks: Buffer[] = [];
    let settled = false;
    const look = (closed: boolean): void => {
      if (settled) return;
      try {
        const { replies, rest } = parseReplies(Buffer.concat(chunks), methods);
        if (!closed && replies.length < count) return;
        settled = true;
        socket.destroy();
        resolve({ replies, rest, closed });
      } catch (thrown) {
        settled = true;
        socket.destroy();
        reject(thrown instanceof Error ? thrown : new Error(String(thrown)));
      }
    };
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      look(false);
    });
    socket.on('error', () => {});
    socket.on('close', () => look(true));
    socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  });
}

/** RFC 9112 §4, §5, §6: whole replies from the start of `bytes`. Our server never sends chunks. */
export function parseReplies(bytes: Buffer, methods: readonly string[]): { replies: WireReply[]; rest: Buffer } {
  const replies: WireReply[] = [];
  let rest = bytes;
  for (;;) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return { replies, rest };
    const [statusLine = '', ...lines] = rest.subarray(0, end).toString('latin1').split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3}) [ -~]+$/.exec(statusLine)?.[1]);
    assert.ok(status >= 200, `status line: ${JSON.stringify(statusLine)}`);
    const headers: Record<string, string> = {};
    for (const line of lines) {
      const [, name = '', value = ''] = /^([A-Za-z-]+): ([!-~](?:[ -~]*[!-~])?)$/.exec(line) ?? assert.fail(line);
      const key = name.toLowerCase();
      assert.ok(!(key in headers), `${name} comes twice`);
      headers[key] = value;
    }
    assert.equal(headers['transfer-encoding'], undefined);
    if (headers['date'] !== undefined) assert.ok(parseHttpDate(headers['date']));
    delete headers['date'];
    const bodiless = methods[replies.length] === 'HEAD' || status === 204 || status === 304;
    if (!bodiless) assert.match(headers['content-length'] ?? '', /^\d+$/);
    const length = bodiless ? 0 : Number(headers['content-length']);
    if (rest.length < end + 4 + length) return { replies, rest };
    replies.push({ status, headers, body: rest.subarray(end + 4, end + 4 + length) });
    rest = rest.subarray(end + 4 + length);
  }
}

/** RFC 2046 §5.1.1 with nothing before the first boundary but CRLF, and nothing after the last but CRLF. */
export function parseParts({ headers, body }: WireReply): Part[] {
  const [, boundary = ''] =
    /^multipart\/byteranges; boundary=([0-9a-f]{32})$/.exec(headers['content-type'] ?? '') ??
    assert.fail(headers['content-type']);
  const parts: Part[] = [];
  let at = 0;
  const take = (pattern: RegExp, longest: number): RegExpExecArray => {
    const text = body.subarray(at, at + longest).toString('latin1');
    const match = pattern.exec(text) ?? assert.fail(`at ${at}: ${JSON.stringify(text)}`);
    at += match[0].length;
    return match;
  };
  for (;;) {
    const [, tail] = take(new RegExp(`^\r\n--${boundary}(--|)\r\n`), 100);
    if (tail === '--') break;
    const [, type = '', first, last, total] = take(
      /^Content-Type: ([!-~]+)\r\nContent-Range: bytes (\d+)-(\d+)\/(\d+)\r\n\r\n/,
      200,
    );
    const start = Number(first);
    const bytes = body.subarray(at, at + Number(last) - start + 1);
    at += bytes.length;
    parts.push({ type, start, total: Number(total), bytes });
  }
  assert.equal(at, body.length);
  return parts;
}
