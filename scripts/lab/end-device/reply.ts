import type { IncomingHttpHeaders } from 'node:http';

/** Bytes of a file that are on the disk, and how to recognise the file. */
export interface Have {
  readonly bytes: number;
  /** Length of the whole file, once a reply has told it. */
  readonly total: number | undefined;
  /** Strong ETag; without one a broken download begins again. */
  readonly etag: string | undefined;
}

/** What a reply to a GET means for the bytes that are there. */
export type ReplyMeaning =
  | { readonly kind: 'append' }
  | { readonly kind: 'restart'; readonly total: number | undefined; readonly etag: string | undefined }
  | { readonly kind: 'retry'; readonly failure: ReplyFailure; readonly waitMs: number; readonly forget: boolean }
  | { readonly kind: 'fail'; readonly failure: ReplyFailure };

export type ReplyFailure = 'unauthorized' | 'not-found' | 'server-error' | 'unavailable' | 'mismatch';

/** RFC 9110 §14.4 (Content-Range), §13.1.5 (If-Range), §15.5.17 (416). */
export function meaningOf(status: number, headers: IncomingHttpHeaders, have: Have): ReplyMeaning {
  if (status === 200) {
    return { kind: 'restart', total: decimal(headers['content-length']), etag: strongEtag(headers.etag) };
  }
  if (status === 206) {
    const [, first, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(headers['content-range'] ?? '') ?? [];
    const fits = Number(first) === have.bytes && (have.total === undefined || Number(total) === have.total);
    const same = headers.etag === undefined || headers.etag === have.etag;
    return fits && same ? { kind: 'append' } : again('mismatch', true);
  }
  if (status === 416) return again('mismatch', true);
  if (status === 401 || status === 403 || status === 407) return { kind: 'fail', failure: 'unauthorized' };
  if (status === 503 || status === 429) return again('unavailable', false, retryAfterMs(headers['retry-after']));
  if (status === 408) return again('unavailable', false);
  if (status >= 500) return again('server-error', false);
  return { kind: 'fail', failure: 'not-found' };
}

function again(failure: ReplyFailure, forget: boolean, waitMs = 0): ReplyMeaning {
  return { kind: 'retry', failure, forget, waitMs };
}

function strongEtag(etag: string | undefined): string | undefined {
  return etag !== undefined && /^"[^"]*"$/.test(etag) ? etag : undefined;
}

function decimal(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function retryAfterMs(text: string | undefined): number {
  return (decimal(text) ?? 0) * 1000;
}
