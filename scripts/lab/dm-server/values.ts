import { isUtf8 } from 'node:buffer';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { isXmlText } from '../../../firmware/codec/index.js';
import type { ItemData } from '../../../firmware/dm/index.js';

/** The value that a command carries. It can be read piece by piece, so that it need not be whole in memory. */
export interface Value {
  /** How it stands in a message: as text, or as octets, for which the encodings have different forms. */
  readonly kind: 'text' | 'octets';
  /** Octets of the value; text counts as UTF-8. */
  readonly bytes: number;
  /**
   * So many octets from there on, or all that are left.
   * @throws Unsendable when they cannot be had
   */
  read(from: number, bytes: number): Buffer;
}

/** Why a command cannot be sent, in one line. */
export class Unsendable extends Error {}

/** Text; what XML cannot hold counts as octets. */
export function textValue(text: string): Value {
  return inMemory(isXmlText(text) ? 'text' : 'octets', Buffer.from(text, 'utf8'));
}

export function octetsValue(octets: Uint8Array): Value {
  return inMemory('octets', Buffer.from(octets));
}

function inMemory(kind: Value['kind'], content: Buffer): Value {
  return { kind, bytes: content.byteLength, read: (from, bytes) => content.subarray(from, from + bytes) };
}

/**
 * The content of a file, as long as it is now. It is opened for each piece, so that nothing is left open when a session
 * breaks off.
 * @throws Unsendable when it is not there
 */
export function fileValue(file: string, kind: Value['kind']): Value {
  const bytes = onDisk(() => {
    const found = statSync(file);
    if (!found.isFile()) throw new Unsendable(`${file} is not a file`);
    return found.size;
  });
  const read = (from: number, wanted: number): Buffer => {
    const piece = onDisk(() => readPiece(file, from, Math.min(wanted, bytes - from)));
    if (piece.byteLength < Math.min(wanted, bytes - from)) throw new Unsendable(`${file} has become shorter`);
    return piece;
  };
  return { kind, bytes, read };
}

function onDisk<T>(work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    if (thrown instanceof Unsendable) throw thrown;
    throw new Unsendable(thrown instanceof Error ? thrown.message : String(thrown));
  }
}

function readPiece(file: string, from: number, bytes: number): Buffer {
  const fd = openSync(file, 'r');
  try {
    const piece = Buffer.alloc(bytes);
    let filled = 0;
    for (let got = -1; got !== 0 && filled < bytes; filled += got) {
      got = readSync(fd, piece, filled, bytes - filled, from + filled);
    }
    return piece.subarray(0, filled);
  } finally {
    closeSync(fd);
  }
}

/** Data of an Item as text, where it is text: WBXML may carry any text as octets. Else octets. */
export function textOrOctets(data: ItemData, format: string | undefined): ItemData {
  if (typeof data === 'string' || format === 'bin') return data;
  const text = Buffer.from(data).toString('utf8');
  return isUtf8(data) && isXmlText(text) ? text : data;
}

/** Data of an Item that can only be text. */
export function asText(data: ItemData): string {
  return typeof data === 'string' ? data : Buffer.from(data).toString('utf8');
}

/** A piece of a value as it goes into an Item. @throws Unsendable for text that is none */
export function asItemData({ kind }: Value, piece: Buffer): ItemData {
  if (kind === 'octets') return piece;
  const text = piece.toString('utf8');
  if (!isUtf8(piece) || !isXmlText(text)) throw new Unsendable('the file is not text: give it the format bin');
  return text;
}
