/**
 * Bytes <-> trees of elements: XML and WBXML, held to limits before anything else looks at a document.
 * Leaves the meaning of the elements to others (`dm/` for messages, `tree/` for TNDS).
 */
export { child, childrenNamed, element, textOf, type DocumentLimits, type Element, type Namespace } from './element.js';
export { parseXml, type XmlError } from './xml.js';
export { pour, type ElementSink } from './sink.js';
export type { ElementName } from './element-name.js';
export { octetsOf } from './octets.js';
export { isXmlText, writeXml, writeXmlFragment, XmlWriter } from './write.js';
export type { XmlRefusal } from './scan.js';
export { parseWbxml, type WbxmlError, type WbxmlRefusal } from './wbxml.js';
export { nameOf } from './wbxml-tokens.js';
export { WbxmlWriter, writeWbxml } from './wbxml-write.js';
