/** Commands and SyncHdr, each with the Status codes that DMREP lists for it (facts 4.2), and those "needed in addition". */
export const LISTED: Readonly<Record<string, readonly number[]>> = {
  SyncHdr: [200, 212, 400, 401, 407, 413, 500, 503, 505, 511, 513],
  Add: [200, 213, 215, 216, 401, 404, 405, 407, 413, 414, 415, 418, 420, 424, 425, 500, 516],
  Alert: [200, 202, 214, 215, 216, 304, 401, 405, 406, 407, 408, 412, 415, 416, 500, 516],
  Atomic: [200, 215, 401, 406, 407, 500, 507, 517],
  Copy: [200, 215, 216, 401, 403, 405, 406, 407, 414, 418, 420, 425, 500, 510, 516],
  Delete: [200, 215, 216, 401, 403, 404, 405, 407, 414, 425, 500, 516],
  Exec: [200, 202, 215, 401, 403, 404, 405, 406, 407, 414, 420, 425, 500, 510],
  Get: [200, 215, 401, 404, 405, 406, 407, 413, 414, 415, 425, 500],
  Replace: [200, 213, 215, 216, 401, 403, 404, 405, 407, 413, 414, 415, 418, 420, 424, 425, 500, 516],
  Sequence: [200, 401, 407, 500],
};

const ROLLBACK = 'the rollback is that of the database: it undoes all, or the disk fails and every command gets 510';
const FORBIDDEN = 'nothing is refused regardless of credentials but by the definition of a node, which is 405';
const NO_DISPLAY = 'there is nobody to ask: a user interaction is 406';
const HEADER = 'a header that cannot be answered for ends the session: there is no sound message to answer';
const BETTER = 'each failure of the tree has a code of its own; that of the disk is 420 or 510';

/** Listed codes that this client never sends, by command and code, each with the reason. */
export const NEVER: Readonly<Record<string, string>> = {
  'SyncHdr 400': HEADER,
  'SyncHdr 413': 'a message beyond MaxMsgSize is not read: the session is broken off',
  'SyncHdr 500': HEADER,
  'SyncHdr 503': 'the client asked for the message: it is never too busy for it',
  'SyncHdr 511': HEADER,
  'Add 500': BETTER,
  'Add 516': ROLLBACK,
  'Alert 202': 'the alerts that a client takes need no processing',
  'Alert 214': NO_DISPLAY,
  'Alert 304': NO_DISPLAY,
  'Alert 405': 'an alert that only a client sends is not supported: 406',
  'Alert 408': NO_DISPLAY,
  'Alert 415': 'no alert with a type is taken: 406',
  'Alert 416': NO_DISPLAY,
  'Alert 500': BETTER,
  'Alert 516': ROLLBACK,
  'Atomic 406': 'Atomic is implemented',
  'Copy 406': 'Copy is implemented',
  'Copy 418': 'Copy onto a leaf that exists replaces its value',
  'Copy 500': BETTER,
  'Copy 516': ROLLBACK,
  'Delete 403': FORBIDDEN,
  'Delete 500': 'a node in use is 417, a permanent one 405',
  'Delete 516': ROLLBACK,
  'Exec 403': FORBIDDEN,
  'Exec 406': 'Exec is implemented; on a property it is 405',
  'Get 415': 'a Get carries no data whose format could be wrong',
  'Replace 500': BETTER,
  'Replace 516': ROLLBACK,
};

/** Codes beyond the lists, which are guidance and no limits, that this client sends: by code, each with the section. */
export const BEYOND: Readonly<Record<number, string>> = {
  215: 'facts 4.1: content of a command that was not executed',
  400: 'facts 4.3, 4.4: malformed URI, value or command',
  404: 'facts 4.3: no such node',
  406: 'facts 4.3, 7.3: property that is not supported',
  411: 'facts 6: the first chunk of a large object does not tell its Size',
  412: 'facts 4.3: mandatory part missing',
  415: 'facts 4.3: format or type that does not fit',
  417: 'facts 4.4: an operation that runs excludes it',
  420: 'facts 4.4: the disk is full, nothing of the message has happened',
  510: 'facts 4.4: the disk takes no writes, nothing of the message has happened',
};

/** What a command and a code stand for in a table: the tests that produce it, the reason why it never comes, or neither. */
export interface Cell {
  readonly command: string;
  readonly code: number;
  readonly listed: boolean;
  readonly tests: readonly string[];
  readonly reason: string | undefined;
}

/** The whole table. @param seen names of the conversations by command and code, `Get 404` */
export function statusTable(seen: ReadonlyMap<string, ReadonlySet<string>>): Cell[] {
  return Object.entries(LISTED).flatMap(([command, codes]) => {
    const sent = [...seen.keys()].flatMap((key) => (key.startsWith(`${command} `) ? [Number(key.split(' ')[1])] : []));
    const all = [...new Set([...codes, ...sent])].sort((a, b) => a - b);
    return all.map((code) => {
      const key = `${command} ${code}`;
      const listed = codes.includes(code);
      const reason = listed ? NEVER[key] : BEYOND[code];
      return { command, code, listed, tests: [...(seen.get(key) ?? [])].sort(), reason };
    });
  });
}

/** What is wrong with a cell; undefined where nothing is. */
export function cellFault({ command, code, listed, tests, reason }: Cell): string | undefined {
  const name = `${command} ${code}`;
  if (!listed) return reason === undefined ? `${name} is not on the list, and no reason is given for it` : undefined;
  if (tests.length === 0 && reason === undefined) return `${name}: no conversation produces it, and no reason is given`;
  if (tests.length > 0 && reason !== undefined)
    return `${name} is said never to be sent, but ${tests[0] ?? ''} shows it`;
  return undefined;
}

/** Names shown for a cell; the rest is counted. */
const SHOWN = 3;

/** The table as text, one line a cell. */
export function formatStatusTable(cells: readonly Cell[]): string {
  const lines = cells.map(({ command, code, listed, tests, reason }) => {
    const more = tests.length > SHOWN ? `, and ${tests.length - SHOWN} more` : '';
    const shown = tests.length > 0 ? `${tests.slice(0, SHOWN).join(', ')}${more}` : 'never';
    const why = reason === undefined ? '' : listed ? `: ${reason}` : ` (beyond the list; ${reason})`;
    return `${command.padEnd(8)} ${code}  ${shown}${why}`;
  });
  return `${lines.join('\n')}\n`;
}
