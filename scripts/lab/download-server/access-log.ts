import { appendFileSync, writeFileSync } from 'node:fs';

/** One reply, as a line of the access log. */
export interface Access {
  readonly time: string;
  readonly method: string;
  readonly path: string;
  /** Range and If-Range as asked for; null where there was none. */
  readonly range: string | null;
  readonly ifRange: string | null;
  readonly status: number;
  /** Offset in the file of the first byte of the body. */
  readonly from: number;
  /** Bytes of the body that the kernel took for sending. */
  readonly bytes: number;
  /** All that the reply announced was sent. */
  readonly complete: boolean;
  /** Faults that were asked for and met this request. */
  readonly faults: readonly string[];
}

/** What `GET /stats` answers. */
export interface Stats {
  /** Requests answered, or being answered. */
  readonly requests: number;
  /** Bodies being sent right now. */
  readonly open: number;
  /** Bytes of bodies so far, those of replies in flight among them. */
  readonly bytes: number;
  readonly bytesByPath: Readonly<Record<string, number>>;
}

/** Counts what leaves, and writes a line for each reply that is over. */
export class AccessLog {
  #requests = 0;
  #open = 0;
  readonly #bytesByPath = new Map<string, number>();

  constructor(private readonly file: string) {
    writeFileSync(file, '');
  }

  begin(): void {
    this.#requests += 1;
    this.#open += 1;
  }

  sent(path: string, bytes: number): void {
    this.#bytesByPath.set(path, (this.#bytesByPath.get(path) ?? 0) + bytes);
  }

  end(access: Access): void {
    this.#open -= 1;
    appendFileSync(this.file, `${JSON.stringify(access)}\n`);
  }

  stats(): Stats {
    let bytes = 0;
    for (const ofPath of this.#bytesByPath.values()) bytes += ofPath;
    return {
      requests: this.#requests,
      open: this.#open,
      bytes,
      bytesByPath: Object.fromEntries(this.#bytesByPath),
    };
  }
}
