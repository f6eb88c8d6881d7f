import { closeSync, openSync, writeSync } from 'node:fs';

/** Writes one JSON line per event; a line is complete in the file when `write` returns, whatever happens next. */
export class JsonLog {
  #fd: number | undefined;

  /** Appends to the file, made readable for its owner only. */
  constructor(file: string) {
    this.#fd = openSync(file, 'a', 0o600);
  }

  write(entry: Readonly<Record<string, unknown>>): void {
    if (this.#fd !== undefined)
      writeSync(this.#fd, `${JSON.stringify({ time: new Date().toISOString(), ...entry })}\n`);
  }

  /** May be called again; what is written afterwards is dropped. */
  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
