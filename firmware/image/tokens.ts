import type { BinaryLike } from 'node:crypto';
import type { Clock } from '../clock/index.js';
import { lateCrypto } from '../late/index.js';
import { canonicalAddress, type Prefixes } from '../net/index.js';
import type { Store } from '../store/index.js';

export interface TokensOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** The subnets from which a token is good. */
  readonly subnets: Prefixes;
  /** A token is good for half of this, in ms, to all of it. */
  readonly lifetimeMs: number;
  /** Bytes that nobody can guess. */
  readonly randomBytes: (bytes: number) => Uint8Array;
}

/** What a token says of a request. `clock`: it is ours, and nobody knows yet whether it has expired. */
export type TokenVerdict = 'good' | 'bad' | 'expired' | 'clock';

const KEY_BYTES = 32;
/** Of the HMAC-SHA-256: 128 bits cannot be guessed, and keep PkgURL short. */
const MAC_BYTES = 16;
/** `e`: seconds since 1970 at which it expires; `t`: the mac. */
const QUERY = /^e=(\d{1,12})&t=([A-Za-z0-9_-]{22})$/;

/**
 * Tokens of LocalImageURI, in its query: who has one may fetch that image, from these subnets, until it expires. The key
 * is kept in the database, so that a restart changes nothing; another set of subnets voids what was signed.
 *
 * Time is cut into halves of a lifetime, and all tokens of a half expire together, at the end of the next one: so
 * LocalImageURI changes, and is told, twice in a lifetime, and who was told last has at least half of it.
 */
export class Tokens {
  readonly #clock: Clock;
  readonly #subnets: Prefixes;
  readonly #halfMs: number;
  readonly #key: BinaryLike;

  constructor(options: TokensOptions) {
    this.#clock = options.clock;
    this.#subnets = options.subnets;
    this.#halfMs = options.lifetimeMs / 2;
    this.#key = keptKey(options);
  }

  /** Seconds since 1970 at which tokens that are made now expire; undefined while the clock is not set. */
  get expiry(): number | undefined {
    if (!this.#clock.plausible()) return undefined;
    return Math.floor(((Math.floor(this.#clock.wallMs() / this.#halfMs) + 2) * this.#halfMs) / 1000);
  }

  /** The query of an image's URI; undefined while the clock is not set. */
  queryFor(imageId: string): string | undefined {
    const { expiry } = this;
    return expiry === undefined ? undefined : `e=${expiry}&t=${this.#mac(imageId, expiry).toString('base64url')}`;
  }

  /** @param query of the request, without its question mark @param address of the client */
  check(imageId: string, query: string, address: string): TokenVerdict {
    const [, seconds, mac] = QUERY.exec(query) ?? [];
    if (seconds === undefined || mac === undefined) return 'bad';
    const expiry = Number(seconds);
    const given = Buffer.from(mac, 'base64url');
    const expected = this.#mac(imageId, expiry);
    if (given.length !== expected.length || !lateCrypto().timingSafeEqual(given, expected)) return 'bad';
    if (!this.#subnets.contains(canonicalAddress(address))) return 'bad';
    if (!this.#clock.plausible()) return 'clock';
    return this.#clock.wallMs() < expiry * 1000 ? 'good' : 'expired';
  }

  /** None of the parts can hold what separates them. */
  #mac(imageId: string, expiry: number): Buffer {
    const signed = [imageId, String(expiry), ...this.#subnets.texts].join('\n');
    return lateCrypto().createHmac('sha256', this.#key).update(signed).digest().subarray(0, MAC_BYTES);
  }
}

function keptKey({ store, randomBytes }: TokensOptions): Uint8Array {
  return store.transaction(() => {
    const kept = store.sql<{ token_key: Uint8Array | null }>('SELECT token_key FROM image_server').get()?.token_key;
    if (kept) return kept;
    const key = randomBytes(KEY_BYTES);
    store.sql('UPDATE image_server SET token_key = ?').run(key);
    return key;
  });
}
