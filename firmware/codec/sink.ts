import type { Element } from './element.js';
import type { ElementName } from './element-name.js';
import { nameOf } from './wbxml-tokens.js';

/**
 * Takes a document element by element, in its order, and writes it or counts its octets: so whoever has one to write needs
 * no elements for it, and what is counted is what will be written.
 */
export interface ElementSink {
  /** Begins an element with other elements inside, or none. */
  open(name: ElementName): void;
  /** Ends the element that was begun last. */
  close(): void;
  /** An element with a text; or with nothing, where that is empty. Octets are for WBXML. */
  leaf(name: ElementName, text: string | Uint8Array): void;
}

/** Hands over an element with all that it contains. */
export function pour(element: Element, sink: ElementSink): void {
  const { namespace, text, children } = element;
  const name = nameOf(namespace, element.name);
  if (children.length === 0) {
    sink.leaf(name, text);
    return;
  }
  sink.open(name);
  for (const inner of children) pour(inner, sink);
  sink.close();
}
