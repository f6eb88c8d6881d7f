import { isUtf8 } from 'node:buffer';
import { loadAddon } from '../native/index.js';
import { describeThrown, failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import type { DocumentLimits, Element } from './element.js';
import { scanXml, type XmlRefusal } from './scan.js';

export type XmlError = CodedError<XmlRefusal>;

/**
 * Parses an XML document within limits: UTF-8 only, no document type but an external identifier (which is cut off), no
 * entities beyond XML's own five, no processing instructions that mean anything.
 *
 * The elements are built by our own linear scan, and libxml2 has the last word on whether the document is well-formed,
 * where the scan is not certain of it: it took a quarter of the time of a message. The scan comes first, so libxml2 never
 * sees a declaration, an entity or a document beyond the limits.
 */
export function parseXml(bytes: Uint8Array, limits: DocumentLimits): Outcome<Element, XmlError> {
  if (bytes.byteLength > limits.maxBytes) {
    return failure('too-large', `${bytes.byteLength} octets, ${limits.maxBytes} are allowed`);
  }
  if (!isUtf8(bytes)) return failure('not-utf8', 'the octets are not UTF-8');
  const decoded = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  const text = decoded.startsWith(BYTE_ORDER_MARK) ? decoded.slice(1) : decoded;
  if (FORBIDDEN.test(text)) return failure('bad-character', 'a control character that XML forbids');
  const scanned = scanXml(text, limits);
  if (!scanned.ok) return scanned;
  const { root, rootStart, certain } = scanned.value;
  const fault = certain ? undefined : faultOf(text.slice(rootStart));
  return fault === undefined ? success(root) : failure('malformed', fault);
}

const BYTE_ORDER_MARK = '\ufeff';
const FORBIDDEN = /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/;

/** XML_ERR_DOCUMENT_END of libxml2: something follows a complete root element. */
const EXTRA_CONTENT = 5;

/**
 * What libxml2 finds wrong with a document, or undefined.
 *
 * A stray `<` on a line of its own is appended, so that the parse of a good document fails at that very place and
 * libxml2 frees its tree before it returns. The tree of a successful parse would live until a full garbage collection,
 * which does not know its size: over 100 MB pile up within seconds.
 */
export function faultOf(text: string): string | undefined {
  const libxml2 = loadAddon('libxmljs2') as Libxml2;
  try {
    libxml2.fromXml(`${text}\n<`, { nonet: true, nowarning: true });
  } catch (thrown) {
    const { code, line } = thrown as Partial<SyntaxFault>;
    const atTheEnd = code === EXTRA_CONTENT && line === lineCount(text) + 1;
    return atTheEnd ? undefined : describeThrown(thrown);
  }
  throw new Error('libxml2 accepted a document that ends in a stray character');
}

/** What is called of libxmljs2, straight on its addon: as its lib/ does in the version that package.json pins. */
interface Libxml2 {
  /** @throws SyntaxFault */
  fromXml(text: string, options: { readonly nonet: boolean; readonly nowarning: boolean }): unknown;
}

interface SyntaxFault {
  readonly code: number;
  readonly line: number;
}

function lineCount(text: string): number {
  let lines = 1;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines += 1;
  return lines;
}
