import type { Clock } from '../clock/index.js';
import type { HttpConnection, HttpRequest } from '../http-server/index.js';
import type { Logger } from '../log/index.js';
import { describeThrown } from '../outcome/index.js';
import type { Account, Accounting } from './accounting.js';
import type { Arrivals } from './arrivals.js';
import type { BlobStore } from './blobs.js';
import type { BlobReader } from './open-blobs.js';
import type { Catalog } from './catalog.js';
import type { ImageRecord } from './image.js';
import { PATH_PREFIX } from './local-uri.js';
import type { Piece } from './multipart.js';
import { sendAtOnce, sendBody, type OutflowBuffers, type OutflowEnd, type PacedReads } from './outflow.js';
import type { Peer } from './peer.js';
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

const ALLOW = 'Allow: GET, HEAD, OPTIONS\r\n';
/** In seconds, wherever a 503 says that another try may do. */
export const RETRY_AFTER_S = 5;
const RETRY_AFTER = `Retry-After: ${RETRY_AFTER_S}\r\n`;

/** What one request is answered with, from its target to the last byte. Leaves connections and their order to the server. */
export class Answering {
  constructor(private readonly o: AnsweringOptions) {}

  /** @returns when it is answered; undefined when it is already. Never rejects, nor throws */
  answer(peer: Peer, request: HttpRequest): Promise<void> | undefined {
    const failed = (thrown: unknown): void => {
      this.o.log.error('cannot serve an image', { address: peer.address, reason: describeThrown(thrown) });
      if (peer.connection.hasBegun) peer.connection.socket.destroy();
      else refuse(peer.connection, 500);
    };
    try {
      return this.#answer(peer, request)?.catch(failed);
    } catch (thrown) {
      failed(thrown);
      return undefined;
    }
  }

  #answer(peer: Peer, request: HttpRequest): Promise<void> | undefined {
    const image = this.#imageFor(peer, request);
    if (!image) return undefined;
    const open = image.blob === null ? undefined : this.o.blobs.openBlobNow(image.blob);
    return open ? this.#send(peer, request, image, open) : this.#openAndSend(peer, request, image);
  }

  /** @returns what is to be sent; undefined: all is said */
  #imageFor({ connection, address }: Peer, { method, target }: HttpRequest): ImageRecord | undefined {
    // RFC 9110 §9.3.7: `*` is the server as a whole.
    const isServer = method === 'OPTIONS' && target === '*';
    const image = isServer ? undefined : this.#lookUp(target, address);
    if (typeof image === 'string') refuseToken(connection, image);
    else if (method === 'OPTIONS') connection.begin(204, ALLOW);
    else if (method !== 'GET' && method !== 'HEAD') refuse(connection, 405, ALLOW);
    else return image;
    return undefined;
  }

  /**
   * The path is looked up, never joined to a folder. A query is not part of it, but may hold the token.
   * @returns `bad` also for what is no image: who has no token learns nothing of what there is
   */
  #lookUp(target: string, address: string): ImageRecord | Exclude<TokenVerdict, 'good'> {
    // RFC 9112 §3.2.2: a server accepts the absolute form too, but with an authority, without userinfo (RFC 9110 §4.2).
    const [, path = '', query = ''] = /^(?:https?:\/\/[^/?#@]+)?([^?]*)\??(.*)$/is.exec(target) ?? [];
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

  async #openAndSend(peer: Peer, request: HttpRequest, image: ImageRecord): Promise<void> {
    const reader = await this.#open(image);
    if (reader) await this.#send(peer, request, image, reader);
    // What was on its way a moment ago may be there in another moment, or has been withdrawn.
    else if (image.blob === null) refuse(peer.connection, 503, RETRY_AFTER);
    else refuse(peer.connection, 404);
  }

  /** What the kernel takes at once is sent at once. Closes the reader. */
  #send(
    peer: Peer,
    { method, fields }: HttpRequest,
    image: ImageRecord,
    reader: BlobReader,
  ): Promise<void> | undefined {
    const { sha256, size } = reader;
    const { connection } = peer;
    let sending: Promise<void> | undefined;
    try {
      const selection = select(method === 'HEAD' ? method : 'GET', fields, { ...validatorsOf(image, sha256), size });
      const reply = replyTo(selection, image, reader);
      connection.begin(reply.status, reply.fields);
      if (method === 'HEAD' || !('spans' in selection)) return undefined;
      const account = this.o.accounting.begin(peer, image, sha256);
      const rest = sendAtOnce(connection, reader, reply.body, account.sent);
      if (rest) sending = this.#sendRest(peer, image, reader, rest, account);
      else account.end();
      return sending;
    } finally {
      if (!sending) this.#close(reader);
    }
  }

  async #sendRest(
    peer: Peer,
    image: ImageRecord,
    blob: BlobReader,
    body: Iterable<Piece>,
    account: Account,
  ): Promise<void> {
    const { connection } = peer;
    const { accounting, buffers, reads, maxWaitMs, clock } = this.o;
    try {
      const end = await sendBody({ blob, connection, body, buffers, reads, maxWaitMs, clock, sent: account.sent });
      account.end();
      if (end.kind !== 'complete') {
        // Never ended as if it were complete: the client sees fewer bytes than Content-Length says.
        connection.socket.destroy();
        this.#logEnd(end, image, peer.address);
      }
      if (connection.socket.destroyed) accounting.confirm(peer, false);
    } finally {
      this.#close(blob);
    }
  }

  #logEnd(end: OutflowEnd, { imageId }: ImageRecord, address: string): void {
    const { log } = this.o;
    if (end.kind === 'too-slow') log.info('a client that reads too slowly is dropped', { address });
    if (end.kind === 'withdrawn') log.info('an image is withdrawn while it is sent', { image: imageId, address });
    if (end.kind === 'late') log.info('a download keeps a client waiting for too long', { image: imageId, address });
    if (end.kind === 'disk') log.error('cannot read an image', { image: imageId, reason: describeThrown(end.cause) });
  }

  #close(reader: BlobReader): void {
    reader.close().catch((thrown: unknown) => {
      this.o.log.error('cannot close a blob', { reason: describeThrown(thrown) });
    });
  }
}

function refuseToken(connection: HttpConnection, verdict: Exclude<TokenVerdict, 'good'>): void {
  // RFC 9110 §15.5.11: this URI will not do any more. Its token was good, so that there is nothing to hide.
  if (verdict === 'expired') refuse(connection, 410);
  else if (verdict === 'clock') refuse(connection, 503, RETRY_AFTER);
  else refuse(connection, 404);
}

/** An answer without content that says no more than its status. */
function refuse(connection: HttpConnection, status: number, fields = ''): void {
  connection.begin(status, `${fields}Content-Length: 0\r\n`);
}
