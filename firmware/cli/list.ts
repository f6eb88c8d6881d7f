import { pagesOf, type Asked, type PagedName, type RowOf } from '../ops/index.js';
import { noAnswer, withSocket } from './ask.js';
import type { Call } from './command.js';
import { ExitCode } from './exit.js';
import { TableWriter } from './table.js';

/** How a list is shown to people. */
export interface Shown<Row> {
  readonly headings: readonly string[];
  readonly cells: (row: Row) => readonly string[];
  /** What is said of a list without rows. */
  readonly none: string;
  /** What stands before the rows, as text, and as an object that holds them, under `rows`. */
  readonly within?: { readonly text: string; readonly json: object; readonly rows: string };
}

/** Shows a list as it comes, page by page; with --json as one line, an array. */
export function list<Name extends PagedName>(
  call: Call,
  name: Name,
  asked: Asked<Name>,
  shown: Shown<RowOf<Name>>,
): Promise<number> {
  const { terminal, given } = call;
  const { within } = shown;
  const opening = within ? `${JSON.stringify(within.json).slice(0, -1)},${JSON.stringify(within.rows)}:[` : '[';
  const closing = within ? ']}\n' : ']\n';
  return withSocket(call, async (socket) => {
    if (within && given.json !== true) await terminal.write(within.text);
    const table = new TableWriter(terminal, shown.headings);
    let count = 0;
    for await (const page of pagesOf(socket, name, asked)) {
      if (!page.ok) {
        if (given.json === true && count > 0) await terminal.write('\n');
        return noAnswer(call, page.error);
      }
      if (given.json === true) {
        const rows = page.value.map((row) => JSON.stringify(row));
        await terminal.write(`${count === 0 ? opening : rows.length === 0 ? '' : ','}${rows.join(',')}`);
      } else await table.rows(page.value.map(shown.cells));
      count += page.value.length;
    }
    if (given.json === true) await terminal.write(closing);
    else if (count === 0) await terminal.write(`${shown.none}\n`);
    return ExitCode.done;
  });
}
