import {
  isXmlText,
  parseWbxml,
  parseXml,
  WbxmlCounter,
  WbxmlWriter,
  writeWbxml,
  writeXmlFragment,
  XmlCounter,
  XmlWriter,
  type DocumentLimits,
  type Element,
  type WbxmlRefusal,
  type XmlRefusal,
} from '../codec/index.js';
import type { CodedError, Outcome } from '../outcome/index.js';
import { MIME_WBXML, MIME_XML } from './codes.js';
import type { BodyCommand, Header, Item, ItemData, Message, Meta, Unnumbered } from './message.js';
import { decodeMessage, effectiveMeta, type MessageRefusal } from './syncml.js';
import { writeCommand, writeMessage } from './syncml-write.js';

/** How messages are encoded. */
export type Encoding = 'xml' | 'wbxml';

export type MediaType = typeof MIME_XML | typeof MIME_WBXML;

export type DecodingError = CodedError<XmlRefusal | WbxmlRefusal | MessageRefusal>;

/**
 * One of the two encodings of a DM message (facts 1.3): messages to octets and back, and what a part of a message costs.
 * A message with `Final` has exactly `envelopeSize(header)` octets plus the `sizeOf` of each of its commands; without
 * `Final` it is shorter, so that it can be filled up to the receiver's MaxMsgSize.
 *
 * Data of an Item is the value itself for whoever makes a message: text or octets. How a value stands on the wire that
 * cannot stand there as it is, is the wire's business, and Meta Format tells the receiver (facts 7.3).
 */
export interface Wire {
  readonly encoding: Encoding;
  readonly mediaType: MediaType;
  encode(message: Message): Uint8Array;
  decode(octets: Uint8Array, limits: DocumentLimits): Outcome<Message, DecodingError>;
  /** Octets that a command adds to a message, under this CmdID. */
  sizeOf(command: Unnumbered<BodyCommand>, cmdId: string): number;
  /** Octets of a message with this header, `Final`, and no command yet. */
  envelopeSize(header: Header): number;
  /** A TNDS document as a value: text or octets, and their media type. */
  tnds(document: Element): { readonly type: string; readonly data: ItemData };
  /** A value as it stands in Data, with the Meta Format that tells it. @param format of the node */
  transported(format: string | undefined, data: ItemData): Transported;
}

export interface Transported {
  readonly format: string | undefined;
  readonly data: ItemData;
}

/** XML text. Octets, and text that XML cannot hold, travel as base64 with Meta Format `b64`. */
export const xmlWire: Wire = {
  encoding: 'xml',
  mediaType: MIME_XML,
  encode: (message) => {
    const writer = new XmlWriter();
    const { header, body, final } = message;
    writeMessage({ header, body: body.map(asXml), final }, writer);
    return writer.document();
  },
  decode: (octets, limits) => {
    const root = parseXml(octets, limits);
    return root.ok ? decodeMessage(root.value) : root;
  },
  sizeOf: (command, cmdId) => {
    const counter = new XmlCounter('syncml');
    writeCommand(asXml(command), cmdId, counter);
    return counter.bytes;
  },
  envelopeSize: (header) => {
    const counter = new XmlCounter();
    writeMessage({ header, body: [], final: true }, counter);
    return counter.documentBytes;
  },
  tnds: (document) => ({ type: 'application/vnd.syncml.dmtnds+xml', data: writeXmlFragment(document) }),
  transported: (format, data) =>
    fitsXml(data) ? { format, data } : { format: 'b64', data: octetsOf(data).toString('base64') },
};

/** WBXML 1.3. Octets travel raw, as an opaque, with the Format of their node; base64 in an opaque is read as text. */
export const wbxmlWire: Wire = {
  encoding: 'wbxml',
  mediaType: MIME_WBXML,
  encode: (message) => {
    const writer = new WbxmlWriter();
    writeMessage(message, writer);
    return writer.document();
  },
  decode: (octets, limits) => {
    const root = parseWbxml(octets, limits);
    const message = root.ok ? decodeMessage(root.value) : root;
    if (!message.ok) return message;
    const { header, body, final } = message.value;
    return { ok: true, value: { header, body: body.map(withBase64AsText), final } };
  },
  sizeOf: (command, cmdId) => {
    const counter = new WbxmlCounter();
    writeCommand(command, cmdId, counter);
    return counter.bytes;
  },
  envelopeSize: (header) => {
    const counter = new WbxmlCounter();
    writeMessage({ header, body: [], final: true }, counter);
    return counter.documentBytes;
  },
  tnds: (document) => ({ type: 'application/vnd.syncml.dmtnds+wbxml', data: writeWbxml(document) }),
  transported: (format, data) => ({ format, data }),
};

export const WIRES: Readonly<Record<Encoding, Wire>> = { xml: xmlWire, wbxml: wbxmlWire };

/** The wire of a media type, as `DmTransport` reports it. */
export function wireOf(mediaType: MediaType): Wire {
  return mediaType === MIME_WBXML ? wbxmlWire : xmlWire;
}

function fitsXml(data: ItemData): boolean {
  return typeof data === 'string' && isXmlText(data);
}

function octetsOf(data: ItemData): Buffer {
  return typeof data === 'string' ? Buffer.from(data, 'utf8') : Buffer.from(data);
}

function asXml<C extends Unnumbered<BodyCommand>>(command: C): C {
  return mapItems(command, (item) => {
    if (item.data === undefined || fitsXml(item.data)) return item;
    const { format, data } = xmlWire.transported(undefined, item.data);
    return { ...item, meta: { ...item.meta, ...(format !== undefined && { format }) }, data };
  });
}

/** Facts 11.3: base64 remains possible in WBXML, Meta Format `b64` says so; any text may come as an opaque. */
function withBase64AsText(command: BodyCommand): BodyCommand {
  return mapItems(command, (item, of) => {
    if (!(item.data instanceof Uint8Array)) return item;
    if (effectiveMeta(of, item).format?.toLowerCase() !== 'b64') return item;
    return { ...item, data: Buffer.from(item.data).toString('latin1') };
  });
}

type ItemMapper = (item: Item, command: { readonly meta?: Meta }) => Item;

/** The command with its Items changed, also those of commands inside it; the command itself where nothing changes. */
function mapItems<C extends Unnumbered<BodyCommand>>(command: C, change: ItemMapper): C {
  if ('commands' in command) {
    return { ...command, commands: command.commands.map((inner) => mapItems(inner, change)) };
  }
  if (!('items' in command)) return command;
  const { items } = command;
  let changed: Item[] | undefined;
  for (const [index, item] of items.entries()) {
    const mapped = change(item, command);
    if (mapped !== item) changed ??= items.slice(0, index);
    changed?.push(mapped);
  }
  return changed ? { ...command, items: changed } : command;
}
