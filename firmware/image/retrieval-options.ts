import type { BackoffPolicy, Clock, Random } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import type { Store } from '../store/index.js';
import type { ArrivalPort } from './arrivals.js';
import type { BlobStore } from './blobs.js';
import type { Catalog } from './catalog.js';
import type { Progress } from './progress.js';
import type { RequestOptions } from './request.js';
import type { PinSource } from './room.js';
import type { RateCap } from './throttle.js';

/** What every retrieval works with, and the rules that it keeps. */
export interface RetrievalOptions extends RequestOptions {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly progress: Progress;
  readonly blobs: BlobStore;
  /** Follows the partial files. */
  readonly arrivals: ArrivalPort;
  readonly pins: PinSource;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly backoff: BackoffPolicy;
  /** Tries without a new byte after which a retrieval fails. */
  readonly maxAttempts: number;
  /** Longest time, in ms, for which a server's Retry-After is obeyed. */
  readonly maxRetryAfterMs: number;
  /** Bytes between two flushes of the partial file. */
  readonly fsyncVolumeBytes: number;
  /** Of all retrievals together, and of each, in bytes per second; 0: no cap. */
  readonly throttle: RateCap;
  readonly maxBytesPerSecondPerImage: number;
  /** A body slower than this over `idleTimeoutMs` has stalled. */
  readonly minBytesPerSecond: number;
  /** Removes a blob that has been given up, if nobody else uses it. */
  readonly release: (sha256: string) => Promise<void>;
  /** Makes a watermark durable that was just recorded, without being waited for. */
  recorded(): void;
  /** Counts bytes of image content as they come in from the WAN. */
  countWanBytes(bytes: number, leavesGarbage: boolean): void;
}
