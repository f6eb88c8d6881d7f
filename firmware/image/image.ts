import type { ImageState } from './states.js';

/** How a retrieval ended or what it waits for. `ok` is the only success. */
export type ResultCode =
  | 'ok'
  | 'cancelled'
  | 'unresolved' // the host has no address
  | 'unreachable' // no connection, or silence
  | 'unavailable' // 429, 503
  | 'server-error' // other 5xx
  | 'unauthorized' // 401, 403
  | 'expired' // 410
  | 'not-found' // 404
  | 'refused' // other 4xx
  | 'tls' // certificate or handshake
  | 'bad-url' // the URL or a redirect cannot be used
  | 'address-refused' // the URL leads to a forbidden address
  | 'descriptor-invalid' // the download descriptor is not readable, or incomplete
  | 'descriptor-version' // its DDVersion is not known
  | 'descriptor-mismatch' // the object has not the size or type that it says
  | 'content-refused' // an object that it names is of a kind that is not carried
  | 'bad-reply' // the reply contradicts the request or itself
  | 'captive-portal' // a page of the network's answers instead of the server
  | 'broken' // the connection ends too early, again and again
  // What a retrieval waits for although nothing is wrong; none ends with these.
  | 'clock' // not set: certificates and windows cannot be judged
  | 'window' // the download window is closed
  | 'metered' // the link costs money
  | 'no-room' // quota, free-space floor, or a full disk
  | 'disk' // the disk failed
  | 'digest-mismatch'
  | 'signature-mismatch';

/** The leaves that a server may set; null means that the leaf has not been added. */
export interface ImageLeaves {
  readonly imageId: string | null;
  readonly name: string | null;
  readonly version: string | null;
  readonly description: string | null;
  /** One URL, or several of the same content separated by newline. */
  readonly imageUri: string | null;
  /** As it was given: `sha-256=:<base64>:` or 64 hex digits. */
  readonly digest: string | null;
  readonly signature: string | null;
  readonly priority: number | null;
  readonly pinned: boolean | null;
}

/** No leaf has been added. */
export const NO_LEAVES: ImageLeaves = {
  imageId: null,
  name: null,
  version: null,
  description: null,
  imageUri: null,
  digest: null,
  signature: null,
  priority: null,
  pinned: null,
};

export type ImageLeaf = keyof ImageLeaves;

/** One image as the catalog holds it: a snapshot, never changed in place. */
export interface ImageRecord {
  /** Stable identity; never used again after removal. */
  readonly id: number;
  /** Name of the interior node. */
  readonly node: string;
  /** Effective ImageID: the leaf, or the node's name. Unique. */
  readonly imageId: string;
  readonly leaves: ImageLeaves;
  readonly state: ImageState;
  /** null until something has happened. In state `waiting` it says what is waited for. */
  readonly result: ResultCode | null;
  /** One sentence for a person; no secrets. */
  readonly resultText: string;
  /** Bytes in all; null while unknown. */
  readonly size: number | null;
  readonly contentType: string | null;
  /** Durable bytes (the watermark): they survive a power cut. Equal to `size` when available. */
  readonly received: number;
  /** SHA-256 of the verified content, 64 lower-case hex digits; null unless available. */
  readonly blob: string | null;
  /** Who asked for the retrieval, and under which name it wants to hear of its end; opaque here. */
  readonly requester: string;
  readonly correlator: string | null;
  /** Wall time at which the content was verified; null when unknown or when the clock was not set. */
  readonly availableMs: number | null;
  /** Wall time of the last byte served; null when never. */
  readonly servedMs: number | null;
  /** Image bytes received over the WAN for this image, repeated ones counted again. */
  readonly wanBytes: number;
  /** Bookkeeping of the retrieval, of no interest outside. */
  readonly retrieval: RetrievalNotes;
}

export interface RetrievalNotes {
  /** Raised by each request: what an earlier retrieval still wants to write is void. */
  readonly generation: number;
  /** The URL that the partial bytes came from, as given (before redirects). */
  readonly source: string | null;
  /** The SHA-256 that was expected while the partial bytes came in, as hex. */
  readonly digest: string | null;
  /** The URL, as given, of the download descriptor that named `source`. */
  readonly descriptor: string | null;
  /** Where that descriptor wants the end of this retrieval reported, until it has been put down. */
  readonly installNotify: string | null;
  /** Strong validator of the partial bytes, in the form of If-Range. */
  readonly validator: string | null;
  /** Bytes were joined without a validator, on the strength of a Digest that is still to be checked. */
  readonly unguarded: boolean;
  /** Tries since the last progress, the running one included. Also ends a loop of crashes. */
  readonly attempts: number;
}

export type ImageEventKind =
  | 'retrieved'
  | 'failed'
  | 'cancelled'
  | 'needs-uri'
  | 'evicted'
  | 'withdrawn' // whoever owns the gateway has removed it
  | 'local-uri';

/** Told inside the transaction that makes it true, so that whoever must report it can store that with it. */
export interface ImageEvent {
  readonly kind: ImageEventKind;
  readonly image: ImageRecord;
  /** The correlator of the request that this event answers, else null. */
  readonly correlator: string | null;
}

/** The end of a retrieval, for whom its download descriptor names. */
export interface InstallReport {
  /** The ImageID. */
  readonly image: string;
  readonly url: string;
  readonly code: ResultCode;
}

/** Told after a commit: what the downloader must look at again. */
export interface ImageChange {
  readonly id: number;
  /** A blob that this image no longer uses. */
  readonly released?: string;
}

/** The SHA-256 of a Digest leaf as 64 lower-case hex digits; undefined when it has neither form. */
export function digestHex(text: string): string | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) return text.toLowerCase();
  const base64 = /^sha-256=:([A-Za-z0-9+/]{43}=):$/.exec(text)?.[1];
  return base64 === undefined ? undefined : Buffer.from(base64, 'base64').toString('hex');
}
