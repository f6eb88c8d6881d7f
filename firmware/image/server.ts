import type { AddressInfo } from 'node:net';
import type { Clock, TimerHandle } from '../clock/index.js';
import { HttpServer, type HttpLimits, type ListenError } from '../http-server/index.js';
import type { Logger } from '../log/index.js';
import type { TlsIdentity } from '../net/index.js';
import { success, type Outcome } from '../outcome/index.js';
import { Accounting, type Reactions } from './accounting.js';
import { Answering, RETRY_AFTER_S } from './answering.js';
import type { Arrivals } from './arrivals.js';
import type { BlobStore } from './blobs.js';
import type { Catalog } from './catalog.js';
import type { Deliveries } from './deliveries.js';
import type { ImageRecord } from './image.js';
import { localUriOf, originOf, type PublicPlace } from './local-uri.js';
import { OutflowBuffers, PacedReads } from './outflow.js';
import { Peer } from './peer.js';
import type { Tokens } from './tokens.js';

export interface ServerOptions {
  readonly catalog: Catalog;
  readonly blobs: BlobStore;
  readonly deliveries: Deliveries;
  /** What is served while it comes in. Default nothing. */
  readonly arrivals?: Arrivals | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  /** Addresses of the LAN to listen on; all must be there at the start. */
  readonly addresses: readonly string[];
  /** More of them, which may come and go: those that there are now. Asked again and again. */
  readonly movingAddresses?: () => readonly string[];
  /** 0 takes a free one, for tests. */
  readonly port: number;
  /** Host in LocalImageURI: a name or an address by which the devices reach us; empty: the first address of all. */
  readonly publicHost: string;
  /** Whether images are served to an address; default to every one. */
  readonly allowAddress?: (address: string) => boolean;
  /** LocalImageURI has a token that expires. Default none. */
  readonly tokens?: Tokens | undefined;
  /** Images are served by https (TLS 1.2 or later). Default by http. */
  readonly tls?: ServerTls | undefined;
  /**
   * Told at the start, and when it has changed, on what LocalImageURI depends: scheme, host, port and the expiry of its
   * token. Not told while there is none.
   */
  readonly onPlace?: (place: string) => void;
  readonly reactions?: Reactions;
  readonly limits?: Partial<HttpLimits>;
  /** Has V8 collect its garbage: what a crowd of connections leaves is 4 MB that nobody else may need for hours. Default nothing. */
  readonly collectGarbage?: () => void;
}

/** The certificate that the server shows. */
export interface ServerTls {
  readonly identity: TlsIdentity;
  /** Another one that has come in its place since this was asked last, if any. */
  renewed(): TlsIdentity | undefined;
}

export interface ServerLoad {
  readonly connections: number;
  readonly free: number;
  readonly turnedAway: number;
  readonly buffers: number;
}

/** So often, in ms, it is looked whether addresses, the expiry of tokens or the certificate have changed: rare things. */
const LOOK_MS = 5_000;

/**
 * Connections 512, 16 of one address; 8 KiB of headers, because 150 ranges of 64-bit offsets take 6 KiB; a client that
 * takes less than 1 KiB/s over a minute is dropped.
 */
const LIMITS: HttpLimits = {
  connections: 512,
  connectionsPerAddress: 16,
  headerBytes: 8 * 1024,
  headerMs: 10_000,
  idleMs: 60_000,
  keepAliveMs: 5_000,
  requestsPerConnection: 1000,
  minBytesPerSecond: 1024,
  minRateMs: 60_000,
};

/** Serves the available images at their LocalImageURI, which follows the addresses on which it listens. */
export class ImageServer {
  readonly #o: ServerOptions;
  readonly #http: HttpServer;
  readonly #buffers: OutflowBuffers;
  /** Addresses on which nothing can listen, said once. */
  readonly #complained = new Set<string>();
  #following: Promise<void> = Promise.resolve();
  #timer: TimerHandle | undefined;
  readonly #accounting: Accounting;
  /** Those that are under way. */
  readonly #answers = new Set<Promise<void>>();
  #port: number;
  #place = '';
  #closing: Promise<void> | undefined;

  constructor(options: ServerOptions) {
    const { catalog, blobs, deliveries, arrivals, tokens, clock, log, tls } = options;
    this.#o = options;
    this.#port = options.port;
    const limits = { ...LIMITS, ...options.limits };
    const reactions = options.reactions ?? { devicesAt: () => [], fetched: () => {} };
    this.#accounting = new Accounting({ deliveries, reactions, log });
    const monotonicMs = (): number => clock.monotonicMs();
    this.#buffers = new OutflowBuffers(monotonicMs);
    const answering = new Answering({
      catalog,
      blobs,
      accounting: this.#accounting,
      buffers: this.#buffers,
      reads: new PacedReads(monotonicMs),
      arrivals,
      tokens,
      maxWaitMs: limits.idleMs,
      clock,
      log,
    });
    this.#http = new HttpServer({
      limits,
      clock,
      log,
      allowAddress: (address) => options.allowAddress?.(address) !== false,
      identity: tls?.identity,
      retryAfterS: RETRY_AFTER_S,
      crowdGone: () => options.collectGarbage?.(),
      handle: (connection) => new Peer(connection, answering, this.#accounting, this.#answers),
    });
  }

  /** Listens on every address, or on none. @returns the addresses with their ports */
  async start(): Promise<Outcome<readonly AddressInfo[], ListenError>> {
    for (const address of this.#o.addresses) {
      const opened = await this.#http.listen(address, this.#o.port);
      if (!opened.ok) {
        await this.#http.close();
        return opened;
      }
    }
    this.#port = this.listening[0]?.port ?? this.#o.port;
    const { movingAddresses, tokens, tls } = this.#o;
    await this.look();
    if (movingAddresses ?? tokens ?? tls) this.#lookLater();
    return success(this.listening);
  }

  /** Where it listens now. */
  get listening(): readonly AddressInfo[] {
    return [...this.#http.listening.values()].map(({ bound }) => bound);
  }

  /**
   * Listens on the addresses that have come, and no longer on those that have gone; whoever is connected there is cut off.
   * Shows a certificate that has been renewed, and tells of a LocalImageURI that has changed.
   */
  look(): Promise<void> {
    this.#following = this.#following.then(async () => {
      await this.#follow();
      this.#renew();
      this.#tellPlace();
    });
    return this.#following;
  }

  #renew(): void {
    const renewed = this.#o.tls?.renewed();
    if (!renewed || this.#closing) return;
    this.#http.renew(renewed);
    this.#o.log.info('the certificate of the image server is renewed');
  }

  #tellPlace(): void {
    const place = this.#publicPlace;
    const { tokens } = this.#o;
    const expiry = tokens?.expiry;
    if (!place || this.#closing || (tokens && expiry === undefined)) return;
    const now = originOf(place) + (expiry === undefined ? '' : ` until ${expiry}`);
    if (now === this.#place) return;
    this.#place = now;
    this.#o.onPlace?.(now);
  }

  async #follow(): Promise<void> {
    const { addresses, movingAddresses, log } = this.#o;
    if (this.#closing || !movingAddresses) return;
    const wanted = new Set([...addresses, ...movingAddresses()]);
    for (const address of this.#http.listening.keys()) {
      if (wanted.has(address)) continue;
      void this.#http.leave(address);
      log.info('no longer serving on an address', { address });
    }
    for (const address of wanted) {
      if (this.#http.listening.has(address)) continue;
      const opened = await this.#http.listen(address, this.#port);
      if (opened.ok) {
        this.#complained.delete(address);
        if (this.#port === 0) this.#port = opened.value.port;
        log.info('serving on an address', { address });
      } else if (!this.#complained.has(address)) {
        // An IPv6 address that is new is not usable for a moment (RFC 4862 §5.4): tried again with the next look.
        this.#complained.add(address);
        log.warn('cannot serve on an address yet', { address, reason: opened.error.text });
      }
    }
    for (const address of this.#complained) if (!wanted.has(address)) this.#complained.delete(address);
  }

  #lookLater(): void {
    if (this.#closing) return;
    this.#timer = this.#o.clock.after(LOOK_MS, () => void this.look().then(() => this.#lookLater()));
  }

  /** Undefined while there is no address at all. */
  get #publicPlace(): PublicPlace | undefined {
    const host = this.#o.publicHost === '' ? this.listening[0]?.address : this.#o.publicHost;
    return host === undefined ? undefined : { scheme: this.#o.tls ? 'https' : 'http', host, port: this.#port };
  }

  /** LocalImageURI of an image; empty unless it is available, or served while it comes in. */
  localUri(image: ImageRecord): string {
    const { catalog, tokens } = this.#o;
    const place = this.#publicPlace;
    const query = tokens?.queryFor(image.imageId);
    if (!place || (tokens && query === undefined) || !catalog.isServed(image)) return '';
    return localUriOf(image, place, query);
  }

  /** Bytes of image content sent into the LAN since the start. */
  get lanBytes(): number {
    return this.#accounting.lanBytes;
  }

  /** Connections that are served, how many more would be, those that hear that they are not, and the buffers lent. */
  get load(): ServerLoad {
    const { connections, free, turnedAway } = this.#http.load;
    return { connections, free, turnedAway, buffers: this.#buffers.lent };
  }

  /** Breaks off what is being sent (devices resume), stops listening, writes the accounts. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#timer?.cancel();
    await this.#following;
    await this.#http.close();
    await Promise.all(this.#answers);
    this.#accounting.flush();
  }
}
