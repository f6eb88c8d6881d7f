import {
  parseWbxml,
  parseXml,
  writeWbxml,
  writeXml,
  type DocumentLimits,
  type Element,
} from '../../firmware/codec/index.js';
import type { Encoding } from '../../firmware/dm/index.js';
import { forWbxml, forXml } from './elements.js';

/** A document in an encoding, as well as that encoding can carry it. */
export function write(encoding: Encoding, root: Element): Uint8Array {
  return encoding === 'xml' ? writeXml(forXml(root)) : writeWbxml(forWbxml(root));
}

export function parse(encoding: Encoding, octets: Uint8Array, limits: DocumentLimits): Element | undefined {
  const root = encoding === 'xml' ? parseXml(octets, limits) : parseWbxml(octets, limits);
  return root.ok ? root.value : undefined;
}
