import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Offer } from './admin-messages.js';
import type { Version } from './ranges.js';

/** A file that is being sent. It stays the same file when the offer changes meanwhile. */
export interface OpenFile extends Version {
  readonly handle: FileHandle;
  readonly contentType: string;
}

/** What is offered under which path. */
export class Offers {
  readonly #offers: Map<string, Offer>;

  constructor(
    offers: readonly Offer[],
    private readonly root: string | undefined,
  ) {
    this.#offers = new Map(offers.map((offer) => [offer.path, offer]));
  }

  /** Adds an offer, or changes what is behind its path. */
  set(offer: Offer): void {
    this.#offers.set(offer.path, offer);
  }

  /** Undefined when there is nothing under this path. The caller closes the handle. */
  async open(path: string): Promise<OpenFile | undefined> {
    const offer = this.#offers.get(path) ?? this.#inRoot(path);
    if (!offer) return undefined;
    let handle: FileHandle;
    try {
      handle = await open(offer.file, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch {
      return undefined;
    }
    const stats = await handle.stat({ bigint: true });
    if (!stats.isFile()) {
      await handle.close();
      return undefined;
    }
    return {
      handle,
      contentType: offer.contentType,
      size: Number(stats.size),
      etag: offer.etag ?? `"${stats.ino.toString(36)}-${stats.mtimeNs.toString(36)}-${stats.size.toString(36)}"`,
      lastModified: stats.mtime.toUTCString(),
    };
  }

  /** Only files directly in the root: a path that names another folder is not found. */
  #inRoot(path: string): Offer | undefined {
    const name = path.slice(1);
    if (this.root === undefined || name === '' || name.startsWith('.') || basename(name) !== name) return undefined;
    return { path, file: join(this.root, name), contentType: 'application/octet-stream' };
  }
}
