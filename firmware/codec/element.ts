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
