import type { IncomingHttpHeaders } from 'node:http';
import type { Fault } from './fault.js';
import { DOUBTFUL_FAULT, isText, isWebPage, mayBePortal, PORTAL_FAULT } from './portal.js';

/** What is on disk of one version of a file, and what is known of that version. */
export interface Have {
  /** Bytes from 0 that are there. The request asked for a range from here when it is not 0. */
  readonly bytes: number;
  /** Strong validator that the request sent as If-Range; undefined when it sent none. */
  readonly validator: string | undefined;
  /** Length of the whole file as told before; undefined while unknown. */
  readonly total: number | undefined;
  /** An expected digest is known: a join that no validator guards will be found out. */
  readonly digestKnown: boolean;
  /**
   * Type with which the bytes on disk came, asked on from or not: empty when none was told; undefined without bytes, and
   * for those of a web page.
   */
  readonly keptType: string | undefined;
  /** Enough tries have brought what may be a portal's: the Digest decides now. */
  readonly doubtOver: boolean;
}

export interface ReplyHead {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Names and values alternating, as received. */
  readonly rawHeaders: readonly string[];
}

/** Why a reply cannot be joined to what is there. */
export type Unusable =
  | 'no-content-range'
  | 'two-content-ranges'
  | 'multipart'
  | 'encoded'
  | 'shifted-range'
  | 'changed-total'
  | 'changed-validator'
  | 'wrong-length'
  | 'unguarded'
  | 'unsatisfiable'
  | 'range-not-asked';

/** What a reply means for the partial file. Totals and lengths in bytes, undefined where the reply does not tell. */
export type ReplyMeaning =
  /** `length` bytes follow, to be written at `offset`. Not `guarded`: only the digest will tell if they belong. */
  | {
      readonly kind: 'append';
      readonly offset: number;
      readonly length: number;
      readonly total: number | undefined;
      readonly guarded: boolean;
    }
  /** The whole file follows: what is there is given up. */
  | {
      readonly kind: 'restart';
      readonly total: number | undefined;
      readonly validator: string | undefined;
      readonly contentType: string | undefined;
    }
  /** What is there is the whole file. */
  | { readonly kind: 'complete'; readonly total: number }
  /** It is, or may be, a page instead of the file: see portal.ts. What is there stays. */
  | Fault
  /** Not usable: ask for the whole file, without a range. What is there stays until that reply has come. */
  | { readonly kind: 'ask-whole'; readonly reason: Unusable }
  /** Not usable, and asking again would not help. */
  | { readonly kind: 'refuse'; readonly reason: Unusable };

/**
 * Decides what a reply with status 200, 206 or 416 means for the partial image on disk.
 * RFC 9110 §14.4 (Content-Range), §13.1.5 (If-Range), §15.3.7 (206), §15.5.17 (416)
 */
export function meaningOf(reply: ReplyHead, have: Have): ReplyMeaning {
  if (reply.status === 416) return meaningOf416(reply, have);
  if (reply.status === 200) {
    if (isForeignPage(reply.headers, have)) return PORTAL_FAULT;
    if (isDoubtful(reply.headers, have)) return DOUBTFUL_FAULT;
  }
  // Without Accept-Encoding other than identity an encoded reply is a fault; its offsets count encoded bytes.
  if (isEncoded(reply.headers)) return unusable(have, 'encoded');
  if (reply.status === 206) return meaningOf206(reply, have);
  return {
    kind: 'restart',
    total: contentLength(reply.headers),
    validator: strongValidator(reply.headers),
    contentType: mediaType(reply.headers),
  };
}

function meaningOf206(reply: ReplyHead, have: Have): ReplyMeaning {
  if (have.bytes === 0) return { kind: 'refuse', reason: 'range-not-asked' };
  if (mediaType(reply.headers)?.toLowerCase().startsWith('multipart/byteranges')) return unusable(have, 'multipart');
  const ranges = valuesOf(reply.rawHeaders, 'content-range');
  if (ranges.length > 1) return unusable(have, 'two-content-ranges');
  const range = parseContentRange(ranges[0]);
  if (!range) return unusable(have, 'no-content-range');
  if (range.firstByte !== have.bytes) return unusable(have, 'shifted-range');

  const total = range.total ?? have.total;
  if (have.total !== undefined && total !== have.total) return unusable(have, 'changed-total');
  if (total !== undefined && range.lastByte >= total) return unusable(have, 'wrong-length');
  const length = range.lastByte - range.firstByte + 1;
  if ((contentLength(reply.headers) ?? length) !== length) return unusable(have, 'wrong-length');

  if (have.validator !== undefined && contradicts(reply.headers, have.validator)) {
    return unusable(have, 'changed-validator');
  }
  const guarded = have.validator !== undefined;
  if (!guarded && !have.digestKnown) return unusable(have, 'unguarded');
  return { kind: 'append', offset: have.bytes, length, total, guarded };
}

/** 416 to a range from the end of what is there says that nothing is missing, if the lengths agree. */
function meaningOf416(reply: ReplyHead, have: Have): ReplyMeaning {
  const ranges = valuesOf(reply.rawHeaders, 'content-range');
  const total = /^bytes \*\/(\d{1,15})$/.exec(ranges[0] ?? '')?.[1];
  const whole = ranges.length === 1 && total !== undefined && Number(total) === have.bytes;
  const trusted = have.validator !== undefined || have.digestKnown;
  if (whole && trusted && have.bytes > 0 && (have.total ?? have.bytes) === have.bytes) {
    return { kind: 'complete', total: have.bytes };
  }
  return unusable(have, 'unsatisfiable');
}

/** A whole file helps against a bad reply to a range; a bad reply to a request without one is final. */
function unusable(have: Have, reason: Unusable): ReplyMeaning {
  return { kind: have.bytes > 0 ? 'ask-whole' : 'refuse', reason };
}

/** Seconds by which Date must be after Last-Modified before that counts as strong. */
const STRONG_DATE_GAP_S = 60;

/**
 * The validator of a reply that may stand in If-Range: a strong ETag; else a Last-Modified that is strong by RFC 9110
 * §8.8.2.2: the reply's own Date is enough later that a second change in the same second, or two clocks, are ruled out
 * (RFC 9110 leaves the gap open, RFC 7232 named 60 s). A reply with a weak ETag has no strong date either (§13.1.5
 * prefers the ETag, and the server has said that the content may differ under it).
 */
export function strongValidator(headers: IncomingHttpHeaders): string | undefined {
  const { etag, date } = headers;
  if (etag !== undefined) return /^"[\x21\x23-\x7e\x80-\xff]*"$/.test(etag) ? etag : undefined;
  const lastModified = headers['last-modified'];
  const gapMs = Date.parse(date ?? '') - Date.parse(lastModified ?? '');
  return gapMs >= STRONG_DATE_GAP_S * 1000 ? lastModified : undefined;
}

/** True when two URLs differ at most in query and fragment: a new signature for the same file. */
export function sameSource(one: string, other: string): boolean {
  if (!URL.canParse(one) || !URL.canParse(other)) return false;
  const [a, b] = [new URL(one), new URL(other)];
  return a.origin === b.origin && a.pathname === b.pathname;
}

/**
 * The validator that speaks for bytes from one URL also at another: any for the same URL, a strong ETag for one that
 * differs in its query, none for any other.
 * @param validator of the bytes that are there
 */
export function guardBetween(source: string, url: string, validator: string | null): string | undefined {
  if (validator === null) return undefined;
  const holds = source === url || (validator.startsWith('"') && sameSource(source, url));
  return holds ? validator : undefined;
}

/** True when the reply names a validator of the same kind that differs. */
function contradicts(headers: IncomingHttpHeaders, validator: string): boolean {
  const named = validator.startsWith('"') ? headers.etag : headers['last-modified'];
  return named !== undefined && named !== validator;
}

function parseContentRange(
  text: string | undefined,
): { firstByte: number; lastByte: number; total: number | undefined } | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(text?.trim() ?? '');
  if (!match) return undefined;
  const [firstByte, lastByte] = [Number(match[1]), Number(match[2])];
  if (lastByte < firstByte) return undefined;
  return { firstByte, lastByte, total: match[3] === '*' ? undefined : Number(match[3]) };
}

/**
 * True for a web page that is not read at all: see portal.ts. With a Digest it is, unless it would replace a file, or
 * is encoded unasked, so that no Digest can speak of it.
 */
function isForeignPage(headers: IncomingHttpHeaders, have: Have): boolean {
  return isWebPage(mediaType(headers)) && (!have.digestKnown || have.keptType !== undefined || isEncoded(headers));
}

/** True for what is not what has begun, by its length or else its type, and names no version either: see portal.ts. */
function isDoubtful(headers: IncomingHttpHeaders, { keptType, total, doubtOver }: Have): boolean {
  const length = contentLength(headers);
  if (keptType === undefined || doubtOver || !mayBePortal(headers, length)) return false;
  return total === undefined ? keptType !== '' && isText(mediaType(headers)) && !isText(keptType) : length !== total;
}

function isEncoded(headers: IncomingHttpHeaders): boolean {
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? '';
  return encoding !== '' && encoding !== 'identity';
}

function contentLength(headers: IncomingHttpHeaders): number | undefined {
  const text = headers['content-length'];
  // A chunked reply has no length that counts (RFC 9112 §6.3).
  if (text === undefined || headers['transfer-encoding'] !== undefined) return undefined;
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** Longest Content-Type that is kept. */
const MAX_MEDIA_TYPE_LENGTH = 255;

function mediaType(headers: IncomingHttpHeaders): string | undefined {
  const type = headers['content-type']?.trim();
  return type !== undefined && type.length <= MAX_MEDIA_TYPE_LENGTH && /^[\x20-\x7e]+$/.test(type) ? type : undefined;
}

function valuesOf(rawHeaders: readonly string[], name: string): string[] {
  return rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name);
}
