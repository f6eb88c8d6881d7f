import { element, nameOf, type Element, type Namespace } from '../../firmware/codec/index.js';

/** An element of SyncML with text or children. */
export function syncml(name: string, content: string | Uint8Array | readonly Element[] = ''): Element {
  return element('syncml', name, content);
}

/** Meta with these parts; what is undefined is left out. */
export function meta(parts: Readonly<Record<string, string | undefined>>): Element {
  const children = Object.entries(parts).flatMap(([name, text]) =>
    text === undefined ? [] : [element('metinf', name, text)],
  );
  return syncml('Meta', children);
}

/** An element that can be changed in place. */
export interface Draft {
  namespace: Namespace;
  name: string;
  text: string | Uint8Array;
  children: Draft[];
}

export function draftOf({ namespace, name, text, children }: Element): Draft {
  return { namespace, name, text, children: children.map(draftOf) };
}

/** An element and the one that it stands in; undefined for the root. */
export interface Position {
  readonly node: Draft;
  readonly parent: Draft | undefined;
}

/** Every element of a document, in document order. */
export function positions(root: Draft): Position[] {
  const found: Position[] = [];
  const visit = (node: Draft, parent: Draft | undefined): void => {
    found.push({ node, parent });
    for (const inner of node.children) visit(inner, node);
  };
  visit(root, undefined);
  return found;
}

/** The same document as XML can carry it: octets as base64. */
export function forXml(one: Element): Element {
  if (one.children.length > 0) return { ...one, text: '', children: one.children.map(forXml) };
  return typeof one.text === 'string' ? one : { ...one, text: Buffer.from(one.text).toString('base64') };
}

/** The same document as WBXML can carry it: what has no token takes the name of an element that DM does not use. */
export function forWbxml(one: Element, within: Exclude<Namespace, 'other'> = 'syncml'): Element {
  const namespace = one.namespace === 'other' ? within : one.namespace;
  const name = hasToken(namespace, one.name) ? one.name : UNUSED[namespace];
  return { namespace, name, text: one.text, children: one.children.map((inner) => forWbxml(inner, namespace)) };
}

const UNUSED = { syncml: 'Search', metinf: 'Anchor', dmddf: 'Man' } as const;

function hasToken(namespace: Namespace, name: string): boolean {
  return nameOf(namespace, name).tokens !== undefined;
}
