import { printable } from '../ops/index.js';
import type { Terminal } from './terminal.js';

/** Columns under their headings, row by row: as wide as the first rows need, so that a long list is not held for it. */
export class TableWriter {
  #widths: number[] | undefined;

  constructor(
    private readonly terminal: Terminal,
    private readonly headings: readonly string[],
  ) {}

  async rows(rows: readonly (readonly string[])[]): Promise<void> {
    if (rows.length === 0) return;
    const cells = rows.map((row) => row.map(printable));
    const heads = this.#widths ? [] : [this.terminal.paint.bold(this.#line(this.headings, this.#measure(cells)))];
    const widths = (this.#widths ??= this.#measure(cells));
    const lines = [...heads, ...cells.map((row) => this.#line(row, widths))];
    await this.terminal.write(`${lines.join('\n')}\n`);
  }

  #measure(rows: readonly (readonly string[])[]): number[] {
    return this.headings.map((heading, column) =>
      Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)),
    );
  }

  #line(row: readonly string[], widths: readonly number[]): string {
    return row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  }
}
