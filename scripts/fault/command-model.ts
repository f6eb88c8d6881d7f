/**
 * Commands of every kind in an endless row, and the part of the management tree that the first n of them make, both as
 * they follow from a number. For the tests that cut the power while the gateway executes them.
 */
import type { Command } from '../flow/dm-server.js';

export const SERVER_ID = 'dm.lab';

/** Value by URI, of what the commands have made. */
export type State = ReadonlyMap<string, string>;

interface Step {
  readonly command: Command;
  readonly apply: (state: Map<string, string>) => void;
}

/** Where a step does what it does. */
interface Place {
  readonly n: number;
  /** The fanout of the cycle before and after it is renamed. */
  readonly at: string;
  readonly old: string;
}

const FANOUTS = './GwMO/Fanout';
/** Fanouts that are there at a time; a cycle makes one of them and removes the oldest. */
const SLOTS = 3;

/** What is read of each fanout: enough to tell any two states apart. */
const PARTS = [
  '?prop=Title',
  '?prop=ACL',
  '/ImageRef',
  '/Repeat',
  '/Targets',
  '/Target/t/DeviceID',
  '/Target/tnds/DeviceID',
];

/** Every URI whose value belongs to a state. */
export const URIS: readonly string[] = Array.from({ length: SLOTS }, (_, slot) =>
  ['new', 'old'].flatMap((age) => PARTS.map((part) => `${FANOUTS}/${age}${slot}${part}`)),
).flat();

/** Lines of a value that fits into no message of the gateway: it goes out as a large object. */
const MANY_LINES = 400;

/** A cycle: a fanout comes into being as `new<slot>`, gets its values, and is renamed to `old<slot>`. */
const CYCLE: readonly ((place: Place) => Step)[] = [
  ({ at }) => ({
    command: { cmd: 'Add', target: at, format: 'node' },
    apply: (state) => {
      // What a node that has just been made has: no title, and the rights of its creator.
      state.set(`${at}?prop=Title`, '');
      state.set(`${at}?prop=ACL`, aclOf(undefined));
    },
  }),
  ({ n, at }) => leaf('Add', `${at}/ImageRef`, `image-${n}`),
  ({ n, at }) => leaf('Replace', `${at}/ImageRef`, `image-${n}`),
  ({ n, at }) => leaf('Add', `${at}/Target/t/DeviceID`, `MAC:${n}`),
  ({ n, at }) => leaf('Replace', `${at}?prop=Title`, `title ${n}`),
  ({ n, at }) => leaf('Replace', `${at}?prop=ACL`, aclOf(n)),
  ({ at, old }) => ({
    command: { cmd: 'Replace', target: `${at}?prop=Name`, data: old.slice(FANOUTS.length + 1) },
    apply: (state) => move(state, at, old),
  }),
  ({ old }) => ({
    command: { cmd: 'Copy', source: `${old}/ImageRef`, target: `${old}/Target/t/DeviceID` },
    apply: (state) => void state.set(`${old}/Target/t/DeviceID`, state.get(`${old}/ImageRef`) ?? ''),
  }),
  ({ n, old }) => {
    const parts = [
      leaf('Replace', `${old}/ImageRef`, `image-${n}`),
      leaf('Add', `${old}/Repeat`, String(1 + (n % 16))),
    ];
    return {
      command: { cmd: 'Atomic', commands: parts.map(({ command }) => command) },
      apply: (state) => {
        for (const { apply } of parts) apply(state);
      },
    };
  },
  ({ n, old }) => leaf('Add', `${old}/Targets`, `MAC:${String(n).padStart(12, '0')}\n`.repeat(MANY_LINES).trimEnd()),
  ({ n, old }) => ({
    command: {
      cmd: 'Add',
      target: `${old}/Target`,
      format: 'xml',
      type: 'application/vnd.syncml.dmtnds+xml',
      data: targetTree('tnds', `MAC:tnds-${n}`),
    },
    apply: (state) => void state.set(`${old}/Target/tnds/DeviceID`, `MAC:tnds-${n}`),
  }),
];

/** A TNDS document with a Target node and its leaf: both come into being, or neither. */
function targetTree(name: string, deviceId: string): string {
  const interior = '<RTProperties><Format><node/></Format><Type><DDFName/></Type></RTProperties>';
  const text = '<RTProperties><Format><chr/></Format><Type><MIME>text/plain</MIME></Type></RTProperties>';
  const leafNode = `<Node><NodeName>DeviceID</NodeName>${text}<Value>${deviceId}</Value></Node>`;
  const node = `<Node><NodeName>${name}</NodeName>${interior}${leafNode}</Node>`;
  return `<MgmtTree xmlns="syncml:dmddf1.2"><VerDTD>1.2</VerDTD>${node}</MgmtTree>`;
}

/** Steps of a cycle, and one that removes the fanout of the slot that comes next. */
const PERIOD = CYCLE.length + 1;

function stepOf(n: number): Step {
  const cycle = Math.floor((n - 1) / PERIOD);
  const [at, old] = ['new', 'old'].map((age) => `${FANOUTS}/${age}${cycle % SLOTS}`) as [string, string];
  const make = CYCLE[(n - 1) % PERIOD];
  if (make) return make({ n, at, old });
  const oldest = `${FANOUTS}/old${(cycle + 1) % SLOTS}`;
  if (cycle < SLOTS - 1) return leaf('Replace', `${old}?prop=Title`, `title ${n}`);
  return { command: { cmd: 'Delete', target: oldest }, apply: (state) => remove(state, oldest) };
}

/** The n-th command, from 1 on. */
export function commandOf(n: number): Command {
  return stepOf(n).command;
}

/** The states after `from` commands and each later one, up to `to`. */
export function* statesAfter(from: number, to: number): Generator<readonly [n: number, state: State]> {
  const state = new Map<string, string>();
  for (let n = 0; n <= to; n += 1) {
    if (n > 0) stepOf(n).apply(state);
    if (n >= from) yield [n, new Map(state)];
  }
}

/** A property without a value and a node that is not there are read alike where the node has no value at all. */
export function sameState(one: State, other: State): boolean {
  return URIS.every((uri) => one.get(uri) === other.get(uri));
}

/** ACL entries in any order are the same. */
export function asRead(uri: string, value: string): string {
  return uri.endsWith('?prop=ACL') ? value.split('&').sort().join('&') : value;
}

function aclOf(n: number | undefined): string {
  const entries = [`Add=${SERVER_ID}`, `Delete=${SERVER_ID}`, `Get=${SERVER_ID}`, `Replace=${SERVER_ID}`];
  return [...entries, n === undefined ? `Exec=${SERVER_ID}` : `Exec=by${n}`].sort().join('&');
}

function leaf(cmd: 'Add' | 'Replace', target: string, data: string): Step {
  return { command: { cmd, target, data }, apply: (state) => void state.set(target, data) };
}

function move(state: Map<string, string>, from: string, to: string): void {
  for (const [uri, value] of [...state]) {
    if (!isWithin(uri, from)) continue;
    state.delete(uri);
    state.set(to + uri.slice(from.length), value);
  }
}

function remove(state: Map<string, string>, at: string): void {
  for (const uri of [...state.keys()]) if (isWithin(uri, at)) state.delete(uri);
}

function isWithin(uri: string, node: string): boolean {
  return uri.startsWith(`${node}/`) || uri.startsWith(`${node}?`);
}
