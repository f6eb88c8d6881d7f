import { join } from 'node:path';
import { native } from '../native/index.js';
import type { Disk } from './disk.js';
import { formatSidecar, MAX_SIDECAR_BYTES, parseSidecar, type Sidecar } from './sidecar.js';

/** The files that stand beside the blobs of a folder: `<sha256>.json`. All of it rejects with the system's error, but `read`. */
export class Sidecars {
  /** What they say, as fingerprints of their text: what is said already need not be written again. */
  readonly #said = new Map<string, bigint>();

  constructor(
    private readonly disk: Disk,
    private readonly folder: string,
  ) {}

  /** Undefined when there is none, or a damaged one. */
  async read(sha256: string): Promise<Sidecar | undefined> {
    const path = this.#path(sha256);
    try {
      const size = await this.disk.size(path);
      if (size === undefined || size > MAX_SIDECAR_BYTES) return undefined;
      const buffer = Buffer.alloc(size);
      const fd = await this.disk.open(path, 'read');
      try {
        const text = buffer.toString('utf8', 0, await this.disk.read(fd, buffer, size, 0));
        this.#said.set(sha256, fingerprint(text));
        return parseSidecar(text);
      } finally {
        await this.disk.close(fd);
      }
    } catch {
      return undefined;
    }
  }

  /** Whether this is what stands there. */
  async isSaid(sha256: string, sidecar: Sidecar): Promise<boolean> {
    if (!this.#said.has(sha256)) await this.read(sha256);
    return this.#said.get(sha256) === fingerprint(formatSidecar(sidecar));
  }

  /** Whole or not at all; the name is durable when the folder is flushed. */
  async write(sha256: string, sidecar: Sidecar): Promise<void> {
    const path = this.#path(sha256);
    const text = formatSidecar(sidecar);
    this.#said.delete(sha256);
    const fd = await this.disk.open(`${path}.new`, 'replace');
    try {
      await this.disk.write(fd, Buffer.from(text), 0);
      await this.disk.flush(fd);
    } finally {
      await this.disk.close(fd);
    }
    await this.disk.rename(`${path}.new`, path);
    this.#said.set(sha256, fingerprint(text));
  }

  remove(sha256: string): Promise<void> {
    this.#said.delete(sha256);
    return this.disk.remove(this.#path(sha256));
  }

  #path(sha256: string): string {
    return join(this.folder, `${sha256}.json`);
  }
}

/** Tells texts apart, in a few bytes. A start has all of them read in the background: nothing of Node.js need be loaded for it. */
function fingerprint(text: string): bigint {
  return native().checksum(Buffer.from(text), NOTHING);
}

const NOTHING = new Uint8Array();
