/** The namespaces of OMA DM documents, as one word each. In WBXML they are code pages 0, 1 and 2. */
export type Namespace = 'syncml' | 'metinf' | 'dmddf' | 'other';

/**
 * An element of a decoded document, the same for XML and WBXML. A document is bounded by `DocumentLimits` before it is
 * decoded, so a whole message as a tree is small.
 */
export interface Element {
  readonly namespace: Namespace;
  readonly name: string;
  /** Text in document order, joined; raw octets where WBXML carried an opaque. Empty for elements with children. */
  readonly text: string | Uint8Array;
  readonly children: readonly Element[];
}

export interface DocumentLimits {
  /** Octets of the document. */
  readonly maxBytes: number;
  /** Depth of element nesting; the root counts 1. */
  readonly maxDepth: number;
  /** Elements in the document. */
  readonly maxElements: number;
}

/** Builds an element; `content` is its text or its children. */
export function element(
  namespace: Namespace,
  name: string,
  content: string | Uint8Array | readonly Element[],
): Element {
  return typeof content === 'string' || content instanceof Uint8Array
    ? { namespace, name, text: content, children: [] }
    : { namespace, name, text: '', children: content };
}

/** The first child of that local name, whatever its namespace and place: senders are not strict about either. */
export function child(parent: Element, name: string): Element | undefined {
  for (const candidate of parent.children) if (candidate.name === name) return candidate;
  return undefined;
}

/** All children of that local name, in document order. */
export function childrenNamed(parent: Element, name: string): readonly Element[] {
  return parent.children.filter((candidate) => candidate.name === name);
}

/** The text of an element; octets are read as UTF-8, because WBXML may carry any text as an opaque. */
export function textOf({ text }: Element): string {
  return typeof text === 'string' ? text : Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString('utf8');
}
