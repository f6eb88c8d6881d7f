import { isXmlText, element, type Element } from '../codec/index.js';
import type { PropertyName } from './property-access.js';
import type { LeafValue } from './provider.js';

/** What a TNDS document may tell of a node beside its name. */
export type TndsPart = PropertyName | 'Value';

/** A node on its way into a document. */
export interface TndsNode {
  /** Percent-encoded as in a URI. */
  readonly name: string;
  readonly interior: boolean;
  /** In the order of the DTD; empty texts are left out where the DTD permits it. */
  readonly properties: readonly (readonly [PropertyName, string])[];
  readonly value: LeafValue | undefined;
  readonly children: readonly Element[];
}

/** A document of these sub-trees (facts 8: TNDS). */
export function tndsDocument(nodes: readonly Element[]): Element {
  return ddf('MgmtTree', [ddf('VerDTD', '1.2'), ...nodes]);
}

/** A node as an element. Octets become base64; so does text that XML cannot carry, and Format says so. */
export function tndsNode({ name, interior, properties, value, children }: TndsNode): Element {
  const text = typeof value === 'string';
  const encoded = value !== undefined && !(text && isXmlText(value));
  const parts = properties.flatMap(([property, content]) => {
    if (property === 'Type') return [ddf('Type', [ddf(interior ? 'DDFName' : 'MIME', content)])];
    if (property === 'Format') return [ddf('Format', [ddf(encoded && text ? 'b64' : content, '')])];
    return content === '' ? [] : [ddf(property, content)];
  });
  const written = typeof value === 'string' && !encoded ? value : value && Buffer.from(value).toString('base64');
  return ddf('Node', [
    ddf('NodeName', name),
    ...(parts.length > 0 ? [ddf('RTProperties', parts)] : []),
    ...(written !== undefined ? [ddf('Value', written)] : []),
    ...children,
  ]);
}

function ddf(name: string, content: string | readonly Element[]): Element {
  return element('dmddf', name, content);
}
