import type { DownloaderOptions } from './downloader.js';

/** A downloader that may do what it likes: one retrieval at a time, from anywhere, without caps. */
export const PLAIN_RETRIEVALS = {
  pins: { needs: () => false },
  access: { allowAddress: () => true },
  userAgent: 'dm-gateway',
  allowDowngrade: false,
  concurrency: 1,
  fsyncVolumeBytes: 16 * 1024 * 1024,
  idleTimeoutMs: 60_000,
  minBytesPerSecond: 0,
  maxBytesPerSecond: 0,
  maxBytesPerSecondPerImage: 0,
  backoff: { firstMs: 1_000, maxMs: 300_000 },
  maxAttempts: 20,
} satisfies Partial<DownloaderOptions>;
