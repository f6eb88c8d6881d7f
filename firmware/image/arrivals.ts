import type { BlobStore } from './blobs.js';
import type { BlobReader } from './open-blobs.js';
import type { Catalog } from './catalog.js';
import type { ImageRecord } from './image.js';
import { isRunning } from './states.js';

/** What a retrieval tells of its partial file while it is open. */
export interface ArrivalPort {
  /** So many bytes from 0 are in the file, durable or not. @param id of the image */
  written(id: number, bytes: number): void;
  /** What is in the file beyond the durable bytes may not be what was written. */
  doubted(id: number): void;
}

/** For retrievals that nobody follows. */
export const UNFOLLOWED: ArrivalPort = { written: () => {}, doubted: () => {} };

export interface ArrivalsOptions {
  readonly catalog: Catalog;
  readonly blobs: BlobStore;
}

/** One image's content that somebody reads while it comes in. */
interface Arrival {
  readonly image: number;
  readonly sha256: string;
  readonly size: number;
  readonly file: Promise<number | undefined>;
  /** Bytes from 0 that are in the file, and those of them that are recorded as durable. Neither falls. */
  written: number;
  durable: number;
  /** `whole`: verified and stored. `void`: it does not come, or comes anew from 0. */
  state: 'coming' | 'whole' | 'void';
  readers: number;
  readonly waiting: Set<() => void>;
}

/**
 * The images that are read while they come in (cut-through). Written bytes are readable before they are durable: the page
 * cache gives back what was written, and a reader whose gateway loses its power loses its connection too, and asks again.
 * Only what a restart serves, and what is promised by a LocalImageURI, must be durable.
 *
 * The last byte is readable only when the whole content has been verified. So no answer with it can end as if complete
 * when the content turns out to be another.
 */
export class Arrivals implements ArrivalPort {
  readonly #catalog: Catalog;
  readonly #blobs: BlobStore;
  /** By image, while somebody reads. */
  readonly #arrivals = new Map<number, Arrival>();
  /** Bytes written by retrievals that run. */
  readonly #written = new Map<number, number>();

  constructor({ catalog, blobs }: ArrivalsOptions) {
    this.#catalog = catalog;
    this.#blobs = blobs;
    catalog.table.onSaved((id, image) => this.#saved(id, image));
  }

  written(id: number, bytes: number): void {
    this.#written.set(id, bytes);
    const arrival = this.#arrivals.get(id);
    if (!arrival || bytes <= arrival.written) return;
    arrival.written = bytes;
    wake(arrival);
  }

  doubted(id: number): void {
    this.#written.delete(id);
    this.#end(id, 'void');
  }

  /** Opens what has come of an image so far. @returns undefined when it is not served early, or just not any more */
  async open(image: ImageRecord): Promise<BlobReader | undefined> {
    const sha256 = this.#catalog.early(image);
    const { id, size, received } = image;
    if (sha256 === undefined || size === null) return undefined;
    let arrival = this.#arrivals.get(id);
    if (!arrival) {
      const written = Math.max(received, this.#written.get(id) ?? 0);
      const file = this.#blobs.openArriving(id, received, sha256);
      const waiting = new Set<() => void>();
      arrival = { image: id, sha256, size, file, written, durable: received, state: 'coming', readers: 0, waiting };
      this.#arrivals.set(id, arrival);
    }
    const close = this.#enter(arrival);
    try {
      const fd = await arrival.file;
      if (fd !== undefined && arrival.state !== 'void') return reader(arrival, fd, this.#blobs, close);
    } catch (thrown) {
      await close();
      throw thrown;
    }
    await close();
    return undefined;
  }

  /** Counts a reader. @returns ends it; the last one closes the file */
  #enter(arrival: Arrival): () => Promise<void> {
    arrival.readers += 1;
    let closed = false;
    return async () => {
      if (closed) return;
      closed = true;
      arrival.readers -= 1;
      if (arrival.readers > 0) return;
      if (this.#arrivals.get(arrival.image) === arrival) this.#arrivals.delete(arrival.image);
      const fd = await arrival.file.catch(() => undefined);
      if (fd !== undefined) await this.#blobs.disk.close(fd);
    };
  }

  /** Every way in which content may become void, or whole, goes through the catalog. */
  #saved(id: number, image: ImageRecord | undefined): void {
    if (!image || !isRunning(image.state) || image.received === 0) this.#written.delete(id);
    const arrival = this.#arrivals.get(id);
    if (!arrival) return;
    const { sha256, size, written } = arrival;
    if (image?.state === 'available' && image.blob === sha256 && written === size) {
      this.#end(id, 'whole');
    } else if (image?.size !== size || image.received < arrival.durable || this.#catalog.early(image) !== sha256) {
      this.#end(id, 'void');
    } else arrival.durable = image.received;
  }

  #end(id: number, state: 'whole' | 'void'): void {
    const arrival = this.#arrivals.get(id);
    if (!arrival) return;
    this.#arrivals.delete(id);
    arrival.state = state;
    wake(arrival);
  }
}

/** What clients are sent waits in the kernel as pages of the file: no byte that was readable is changed in place. */
function reader(arrival: Arrival, fd: number, { disk }: BlobStore, close: () => Promise<void>): BlobReader {
  const { sha256, size } = arrival;
  const readable = (): number => (arrival.state === 'whole' ? size : Math.min(arrival.written, size - 1));
  const check = (): void => {
    if (arrival.state === 'void') throw new Error('the content does not come any more');
  };
  return {
    sha256,
    size,
    readable,
    onMore: (listener) => {
      arrival.waiting.add(listener);
      return () => void arrival.waiting.delete(listener);
    },
    read: async (buffer, length, position) => {
      const bytes = await disk.read(fd, buffer, Math.min(length, readable() - position), position);
      check();
      return bytes;
    },
    readNow: (buffer, length, position) => {
      check();
      return disk.readNow(fd, buffer, Math.min(length, readable() - position), position);
    },
    sendNow: (socket, length, position) => {
      check();
      return disk.sendNow(fd, socket, Math.min(length, readable() - position), position);
    },
    isVoid: () => arrival.state === 'void',
    close,
  };
}

function wake({ waiting }: Arrival): void {
  for (const listener of [...waiting]) listener();
}
