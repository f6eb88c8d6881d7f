import { isUtf8 } from 'node:buffer';
import { success } from '../outcome/index.js';
import { decodeBase64 } from './base64.js';
import { DEFAULT_LEAF_TYPE, MAX_VALUE_BYTES, type Format, type NodeDefinition } from './definition.js';
import { treeFailure, type TreeOutcome } from './errors.js';
import type { AnnouncedValue, IncomingValue, LeafValue, StoredValue } from './provider.js';
import { isTnds } from './tnds-read.js';

/**
 * Turns what a message carries into the value of a leaf: format against the definition (`bad-format`), text form
 * (`bad-value`), length (`too-large`), presence (`incomplete`).
 * A value that came in pieces was converted on its way, and is held against the definition only.
 */
export function acceptValue(definition: NodeDefinition, incoming: IncomingValue): TreeOutcome<LeafValue | StoredValue> {
  const { data } = incoming;
  const unfit = unfitFormat(definition, incoming);
  if (unfit) return unfit;
  if (data === undefined) {
    return definition.format === 'null' ? success('') : treeFailure('incomplete', 'the value is missing');
  }
  if (isStored(data)) return data.bytes > boundOf(definition) ? tooLarge(definition) : success(data);
  const { format } = definition;
  const converted = format === 'bin' ? toOctets(incoming.format, data) : toText(format, data);
  if (!converted.ok) return converted;
  const bytes = typeof converted.value === 'string' ? Buffer.byteLength(converted.value) : converted.value.byteLength;
  return bytes > boundOf(definition) ? tooLarge(definition) : converted;
}

/** An interior node is called one and has no value; anything else is `bad-format`. */
export function acceptInterior(definition: NodeDefinition, incoming: IncomingValue): TreeOutcome {
  const { format, type, data } = incoming;
  if (format !== undefined && format.toLowerCase() !== 'node') {
    return treeFailure('bad-format', 'the node is an interior one: format node');
  }
  if (data !== undefined && data !== '') return treeFailure('bad-format', 'an interior node has no value');
  // DMTND: the Type of an interior node is the identifier of its management object.
  const identifier = type === undefined || type === DEFAULT_LEAF_TYPE ? '' : type;
  return identifier === '' || identifier === definition.type
    ? success()
    : treeFailure('bad-format', `the node is no ${identifier}`);
}

/**
 * What can be said of a value before it comes: its format, and whether it is sure to be too long for the leaf.
 * @returns the most octets that it can have, undefined where the peer did not say
 */
export function acceptAnnounced(
  definition: NodeDefinition,
  announced: AnnouncedValue,
): TreeOutcome<number | undefined> {
  const unfit = unfitFormat(definition, announced);
  if (unfit) return unfit;
  const { size } = announced;
  if (size === undefined) return success(undefined);
  // Four characters of base64 are three octets, or up to two less at the end.
  const maybeEncoded = definition.format === 'bin';
  const least = maybeEncoded ? Math.floor(size / 4) * 3 - 2 : size;
  if (least > boundOf(definition)) return tooLarge(definition);
  return success(maybeEncoded && announced.format?.toLowerCase() === 'b64' ? Math.ceil(size / 4) * 3 : size);
}

/** Octets that a value of this leaf may have. */
export function boundOf(definition: NodeDefinition): number {
  return definition.maxBytes ?? MAX_VALUE_BYTES;
}

export function tooLarge(definition: NodeDefinition): TreeOutcome<never> {
  return treeFailure('too-large', `the value is longer than ${boundOf(definition)} bytes`);
}

export function isStored(data: LeafValue | StoredValue): data is StoredValue {
  return typeof data !== 'string' && !(data instanceof Uint8Array);
}

/** The text of a value; octets are read as UTF-8. */
export function textOfValue(data: LeafValue): string {
  return typeof data === 'string' ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8');
}

/**
 * Whether data for a `bin` node is base64. In XML it always is: Meta Format should be `b64`, but deployed servers also
 * call the encoded form `bin`. In WBXML an opaque is raw, unless Meta Format says `b64`.
 */
export function isEncoded(format: string | undefined, data: LeafValue): boolean {
  return typeof data === 'string' || format?.toLowerCase() === 'b64';
}

function unfitFormat(
  definition: NodeDefinition,
  announced: Pick<IncomingValue, 'format' | 'type'>,
): TreeOutcome<never> | undefined {
  if (isTnds(announced)) return treeFailure('bad-format', 'a sub-tree is no value of a leaf');
  const { format } = definition;
  const said = announced.format?.toLowerCase();
  const fits = said === undefined || said === format || (format === 'bin' && said === 'b64');
  return fits ? undefined : treeFailure('bad-format', `format ${said} does not fit a node of format ${format}`);
}

function toOctets(format: string | undefined, data: LeafValue): TreeOutcome<LeafValue> {
  if (typeof data !== 'string' && !isEncoded(format, data)) return success(data);
  const octets = decodeBase64(typeof data === 'string' ? data : Buffer.from(data).toString('latin1'));
  return octets ? success(octets) : treeFailure('bad-value', 'the value is not base64');
}

function toText(format: Format, data: LeafValue): TreeOutcome<LeafValue> {
  if (typeof data !== 'string' && !isUtf8(data)) return treeFailure('bad-value', 'the value is not UTF-8');
  const text = textOfValue(data);
  if (format === 'int') return toInt(text.trim());
  if (format === 'bool') {
    const word = text.trim();
    return word === 'true' || word === 'false'
      ? success(word)
      : treeFailure('bad-value', 'the value is not true or false');
  }
  return success(text);
}

/** `int` is 32-bit signed decimal. */
function toInt(text: string): TreeOutcome<LeafValue> {
  const value = Number(text);
  const inRange = /^[+-]?\d{1,11}$/.test(text) && value >= -(2 ** 31) && value < 2 ** 31;
  return inRange ? success(String(value)) : treeFailure('bad-value', 'the value is not a 32-bit integer');
}
