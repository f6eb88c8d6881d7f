import fc from 'fast-check';
import type { Element } from '../../firmware/codec/index.js';
import { draftOf, positions, type Draft, type Position } from './elements.js';
import { ACLS, ALERT_CODES, choose, ELEMENT_NAMES, FORMATS, NUMBERS, TYPES, uriFrom, VALUES } from './words.js';

/** One change of a message as a tree: which, where, and two numbers that say how. */
export interface TreeMutation {
  readonly kind: TreeMutationKind;
  readonly at: number;
  readonly how: number;
  readonly other: number;
}

export type TreeMutationKind = keyof typeof CHANGES;

/** Deeper than any limit of a reader. */
const DEEP = 80;
/** A message has so many elements at most after a change: what is beyond, the reader's limit of octets refuses anyway. */
const MOST_ELEMENTS = 20_000;

/** What is done with the element at a position; `all` are the positions of the document. */
type Change = (position: Position, mutation: TreeMutation, all: readonly Position[], donor: Element) => void;

const CHANGES = {
  drop: ({ node, parent }) => {
    if (parent) parent.children = parent.children.filter((one) => one !== node);
  },
  double: ({ node, parent }) => {
    parent?.children.splice(parent.children.indexOf(node), 0, draftOf(node));
  },
  move: ({ node, parent }, { how }, all) => {
    const target = choose(all, how).node;
    if (!parent || within(node, target)) return;
    parent.children = parent.children.filter((one) => one !== node);
    target.children.splice(how % (target.children.length + 1), 0, node);
  },
  reverse: ({ node }) => {
    node.children.reverse();
  },
  rename: ({ node }, { how }) => {
    node.name = choose(ELEMENT_NAMES, how);
  },
  namespace: ({ node }, { how }) => {
    node.namespace = choose(['syncml', 'metinf', 'dmddf', 'other'] as const, how);
  },
  empty: ({ node }) => {
    node.text = '';
    node.children = [];
  },
  nest: ({ node }, { how }) => {
    const copy = draftOf(node);
    for (let depth = how % 3 === 0 ? DEEP : how % 6; depth > 0; depth -= 1) {
      const inner = { ...node };
      Object.assign(node, { namespace: copy.namespace, name: copy.name, text: '', children: [inner] });
    }
  },
  many: ({ node, parent }, { how, other }, all) => {
    const times = Math.min(
      2 ** (how % (other % 8 === 0 ? 14 : 5)),
      Math.floor(MOST_ELEMENTS / Math.min(all.length, positions(node).length)),
    );
    const copies = Array.from({ length: times }, () => draftOf(node));
    parent?.children.splice(parent.children.indexOf(node), 0, ...copies);
  },
  number: ({ node }, { how }) => {
    setText(node, choose(NUMBERS, how));
  },
  text: ({ node }, { how, other }) => {
    const lists = [VALUES, VALUES, ACLS, FORMATS, TYPES, ALERT_CODES, [uriFrom([other, how, other >> 3])]];
    setText(node, choose(choose(lists, how), other));
  },
  octets: ({ node }, { how, other }) => {
    node.children = [];
    node.text = Uint8Array.from({ length: other % 300 }, (_, n) => (n * 31 + how) & 0xff);
  },
  // Another command's CmdID, or that of the SyncHdr.
  cmdId: (_, { how, other }, all) => {
    const ids = all.filter(({ node }) => node.name === 'CmdID' || node.name === 'CmdRef');
    if (ids.length > 0) setText(choose(ids, how).node, choose([...ids.map(({ node }) => node.text), '0'], other));
  },
  // A part of another message.
  transplant: ({ node, parent }, { how, other }, _, donor) => {
    const part = choose(positions(draftOf(donor)), other).node;
    if (parent && how % 2 === 0) parent.children.splice(parent.children.indexOf(node), 1, part);
    else node.children.push(part);
  },
  // A large object without its end, without its size, with a wrong one.
  chunk: (_, { how, other }, all) => {
    const items = all.filter(({ node }) => node.name === 'Item');
    if (items.length === 0) return;
    const { node } = choose(items, how);
    if (other % 3 > 0) node.children.push(leaf('MoreData', ''));
    if (other % 2 > 0) node.children.unshift({ ...leaf('Meta', ''), children: [size(choose(NUMBERS, other >> 2))] });
  },
} as const satisfies Record<string, Change>;

/** Any changes of a message as a tree, seldom many. */
export const treeMutations: fc.Arbitrary<readonly TreeMutation[]> = fc.array(
  fc.record({
    kind: fc.constantFrom(...(Object.keys(CHANGES) as TreeMutationKind[])),
    at: fc.nat(4095),
    how: fc.nat(4095),
    other: fc.nat(4095),
  }),
  { minLength: 1, maxLength: 5 },
);

/** The message with the changes made, one after the other. @param donor another message, of which parts are taken */
export function mutateTree(message: Element, mutations: readonly TreeMutation[], donor: Element): Element {
  const root = draftOf(message);
  for (const mutation of mutations) {
    const all = positions(root);
    if (all.length > MOST_ELEMENTS) break;
    const change: Change = CHANGES[mutation.kind];
    change(choose(all, mutation.at), mutation, all, donor);
  }
  return root;
}

function setText(node: Draft, text: string | Uint8Array): void {
  node.children = [];
  node.text = text;
}

function within(node: Draft, searched: Draft): boolean {
  return node === searched || node.children.some((inner) => within(inner, searched));
}

function leaf(name: string, text: string): Draft {
  return { namespace: 'syncml', name, text, children: [] };
}

function size(text: string): Draft {
  return { namespace: 'metinf', name: 'Size', text, children: [] };
}
