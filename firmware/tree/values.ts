import { success } from '../outcome/index.js';
import { MAX_VALUE_BYTES, type Format, type NodeDefinition } from './definition.js';
import { treeFailure, type TreeOutcome } from './errors.js';
import type { IncomingValue, LeafValue } from './provider.js';

/**
 * Turns what a message carries into the value of a leaf: format against the definition (`bad-format`), text form
 * (`bad-value`), length (`too-large`), presence (`incomplete`).
 * Binary data stands base64-encoded in XML (Meta Format `b64`) and raw in WBXML; deployed servers also call the encoded
 * form `bin`, so text that arrives for a `bin` node is decoded in both cases.
 */
export function acceptValue(definition: NodeDefinition, incoming: IncomingValue): TreeOutcome<LeafValue> {
  const { format } = definition;
  if (isTnds(incoming)) return treeFailure('bad-format', 'TNDS is not supported');
  const announced = incoming.format?.toLowerCase();
  const fits = announced === undefined || announced === format || (format === 'bin' && announced === 'b64');
  if (!fits) return treeFailure('bad-format', `format ${announced} does not fit a node of format ${format}`);
  if (incoming.data === undefined) {
    return format === 'null' ? success('') : treeFailure('incomplete', 'the value is missing');
  }
  const converted = format === 'bin' ? toOctets(incoming.data) : toText(format, incoming.data);
  if (!converted.ok) return converted;
  const bytes = typeof converted.value === 'string' ? Buffer.byteLength(converted.value) : converted.value.byteLength;
  if (bytes > (definition.maxBytes ?? MAX_VALUE_BYTES)) {
    return treeFailure('too-large', `the value is longer than ${definition.maxBytes ?? MAX_VALUE_BYTES} bytes`);
  }
  return converted;
}

/** A whole sub-tree in one value: with another type it would be taken for text. */
export function isTnds({ type }: IncomingValue): boolean {
  return type !== undefined && /^application\/vnd\.syncml\.dmtnds\+/i.test(type);
}

function toOctets(data: LeafValue): TreeOutcome<LeafValue> {
  if (typeof data !== 'string') return success(data);
  const compact = data.replace(/\s+/g, '');
  if (compact.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(compact)) {
    return treeFailure('bad-value', 'the value is not base64');
  }
  return success(Buffer.from(compact, 'base64'));
}

function toText(format: Format, data: LeafValue): TreeOutcome<LeafValue> {
  const text = typeof data === 'string' ? data : Buffer.from(data).toString('utf8');
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
