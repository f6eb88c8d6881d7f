import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { describeThrown } from '../outcome/index.js';
import type { Accounting } from './accounting.js';
import type { Arrivals } from './arrivals.js';
import type { BlobStore } from './blobs.js';
import type { BlobReader } from './open-blobs.js';
import type { Catalog } from './catalog.js';
import type { Peer } from './connections.js';
import type { ImageRecord } from './image.js';
import { PATH_PREFIX } from './local-uri.js';
import type { Piece } from './multipart.js';
import { sendBody, type OutflowBuffers, type PacedReads } from './outflow.js';
import { replyTo, validatorsOf } from './reply.js';
import { select } from './selection.js';
import type { Tokens, TokenVerdict } from './tokens.js';

export interface AnsweringOptions {
  readonly catalog: Catalog;
  readonly blobs: BlobStore;
  readonly arrivals: Arrivals | undefined;
  readonly tokens: Tokens | undefined;
  readonly accounting: Accounting;
  readonly buffers: OutflowBuffers;
  readonly reads: PacedReads;
  /** A client waits so long, in ms, for a download that brings nothing. */
  readonly maxWaitMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

const ALLOW = 'GET, HEAD, OPTIONS';
/** In seconds, wherever a 503 says that another try may do. */
export const RETRY_AFTER_S = 5;

/** What one request is answered with, from its target to the last byte. Leaves connections and their order to the server. */
export class Answering {
  constructor(private readonly o: AnsweringOptions) {}

  /** Never rejects. */
  async answer(peer: Peer, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { address } = peer;
    let reader: BlobReader | undefined;
    if (peer.socket.destroyed) return;
    try {
      const hosts = countOf(request, 'host');
      const { httpVersion } = request;
      if (hosts > 1 || (hosts === 0 && httpVersion === '1.1') || httpVersion === '0.9') {
        // RFC 9112 §3.2 (Host), §2.3: the parser takes a request line without version for 0.9.
        refuse(response, 400);
        return;
      }
      const { method } = request;
      const target = request.url ?? '';
      // RFC 9110 §9.3.7: `*` is the server as a whole.
      if (method === 'OPTIONS' && target === '*') {
        response.writeHead(204, { Allow: ALLOW }).end();
        return;
      }
      const image = this.#lookUp(target, address);
      if (typeof image === 'string') {
        refuseToken(response, image);
        return;
      }
      if (method === 'OPTIONS') {
        response.writeHead(204, { Allow: ALLOW }).end();
        return;
      }
      if (method !== 'GET' && method !== 'HEAD') {
        refuse(response, 405, { Allow: ALLOW });
        return;
      }
      reader = await this.#open(image);
      if (!reader) {
        // What was on its way a moment ago may be there in another moment, or has been withdrawn.
        if (image.blob === null) refuse(response, 503, { 'Retry-After': RETRY_AFTER_S });
        else refuse(response, 404);
        return;
      }
      await this.#send(method, peer, request, response, image, reader);
    } catch (thrown) {
      this.o.log.error('cannot serve an image', { address, reason: describeThrown(thrown) });
      if (response.headersSent) response.destroy();
      else refuse(response, 500);
    } finally {
      await reader?.close().catch((thrown: unknown) => {
        this.o.log.error('cannot close a blob', { reason: describeThrown(thrown) });
      });
    }
  }

  /**
   * The path is looked up, never joined to a folder. A query is not part of it, but may hold the token.
   * @returns `bad` also for what is no image: who has no token learns nothing of what there is
   */
  #lookUp(target: string, address: string): ImageRecord | Exclude<TokenVerdict, 'good'> {
    // RFC 9112 §3.2.2: a server accepts the absolute form too.
    const [, path = '', query = ''] = /^(?:https?:\/\/[^/?#]*)?([^?]*)\??(.*)$/is.exec(target) ?? [];
    if (!path.startsWith(PATH_PREFIX)) return 'bad';
    const { catalog, tokens } = this.o;
    const imageId = path.slice(PATH_PREFIX.length);
    const verdict = tokens?.check(imageId, query, address) ?? 'good';
    if (verdict !== 'good') return verdict;
    const image = catalog.byImageId(imageId);
    return image && catalog.isServed(image) ? image : 'bad';
  }

  async #open(image: ImageRecord): Promise<BlobReader | undefined> {
    const { blobs, arrivals, catalog } = this.o;
    if (image.blob !== null) return blobs.openBlob(image.blob);
    const coming = await arrivals?.open(image);
    if (coming) return coming;
    // It may have become a blob since it was looked up.
    const blob = catalog.byId(image.id)?.blob ?? null;
    return blob === null ? undefined : blobs.openBlob(blob);
  }

  async #send(
    method: 'GET' | 'HEAD',
    peer: Peer,
    request: IncomingMessage,
    response: ServerResponse,
    image: ImageRecord,
    reader: BlobReader,
  ): Promise<void> {
    const { sha256, size } = reader;
    const selection = select(method, request.headers, { ...validatorsOf(image, sha256), size });
    const { status, headers, body } = replyTo(selection, image, reader);
    response.writeHead(status, headers);
    if (method === 'HEAD' || !('spans' in selection)) response.end();
    else await this.#sendBody(peer, response, image, reader, body);
  }

  async #sendBody(
    peer: Peer,
    response: ServerResponse,
    image: ImageRecord,
    blob: BlobReader,
    body: Iterable<Piece>,
  ): Promise<void> {
    const { socket, pace } = peer;
    const { accounting, buffers, reads, maxWaitMs, clock, log } = this.o;
    const account = accounting.begin(peer, image, blob.sha256);
    const end = await sendBody({
      blob,
      response,
      socket,
      body,
      buffers,
      reads,
      pace,
      maxWaitMs,
      clock,
      sent: account.sent,
    });
    account.end();
    if (end.kind === 'complete') {
      if (socket.destroyed) accounting.confirm(peer, false);
      response.end();
      return;
    }
    // Never ended as if it were complete: the client sees fewer bytes than Content-Length says.
    response.destroy();
    accounting.confirm(peer, false);
    const { imageId } = image;
    if (end.kind === 'too-slow') log.info('a client that reads too slowly is dropped', { address: peer.address });
    if (end.kind === 'withdrawn')
      log.info('an image is withdrawn while it is sent', { image: imageId, address: peer.address });
    if (end.kind === 'late')
      log.info('a download keeps a client waiting for too long', { image: imageId, address: peer.address });
    if (end.kind === 'disk') log.error('cannot read an image', { image: imageId, reason: describeThrown(end.cause) });
  }
}

function refuseToken(response: ServerResponse, verdict: Exclude<TokenVerdict, 'good'>): void {
  // RFC 9110 §15.5.11: this URI will not do any more. Its token was good, so that there is nothing to hide.
  if (verdict === 'expired') refuse(response, 410);
  else if (verdict === 'clock') refuse(response, 503, { 'Retry-After': RETRY_AFTER_S });
  else refuse(response, 404);
}

/** An answer without content that says no more than its status. */
function refuse(response: ServerResponse, status: number, headers: Record<string, string | number> = {}): void {
  response.writeHead(status, { ...headers, 'Content-Length': 0 }).end();
}

/** How often a header field stands in a request. */
function countOf({ rawHeaders }: IncomingMessage, name: string): number {
  return rawHeaders.filter((text, index) => index % 2 === 0 && text.toLowerCase() === name).length;
}
