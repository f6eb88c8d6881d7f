import {
  isXmlText,
  octetsOf,
  parseWbxml,
  parseXml,
  WbxmlWriter,
  writeWbxml,
  writeXmlFragment,
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
 * A message with `Final` has exactly `envelope(header).bytes` octets plus the `sizeOf` of each of its commands; without
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
  /** A command as it stands in every message, around its CmdID. */
  write(command: Unnumbered<BodyCommand>): Written;
  /** A message with this header around its commands, with `Final`. */
  envelope(header: Header): Written;
  /** How `Final` stands between the commands of a message and what the envelope ends with. */
  readonly final: string;
  /** The octets of a message that was put together from its written parts. */
  octetsOf(text: string): Uint8Array;
  /** Octets that a command adds to a message, under this CmdID. */
  sizeOf(command: Unnumbered<BodyCommand>, cmdId: string): number;
  /** A TNDS document as a value: text or octets, and their media type. */
  tnds(document: Element): { readonly type: string; readonly data: ItemData };
  /** A value as it stands in Data, with the Meta Format that tells it. @param format of the node */
  transported(format: string | undefined, data: ItemData): Transported;
}

/**
 * Part of a message as text, with a gap; in WBXML one character stands for each octet. So what waits for its message is
 * written once: to know its size, and to be sent.
 */
export interface Written {
  readonly before: string;
  readonly after: string;
  /** Octets: of a command with `LONG_CMD_ID` in its gap, of an envelope with `Final`. */
  readonly bytes: number;
}

/** No message has more commands. */
export const LONG_CMD_ID = '99999';

export interface Transported {
  readonly format: string | undefined;
  readonly data: ItemData;
}

const XML_FINAL = '<Final/>';
const WBXML_FINAL = '\x12';

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
  write: (command) => {
    const text = xmlText(command, LONG_CMD_ID);
    return aroundCmdId(text, Buffer.byteLength(text));
  },
  envelope: (header) => {
    const writer = new XmlWriter();
    writeMessage({ header, body: [], final: true }, writer);
    return aroundFinal(writer.whole, XML_FINAL, Buffer.byteLength(writer.whole));
  },
  final: XML_FINAL,
  octetsOf: (text) => octetsOf(text, 'utf8'),
  sizeOf: (command, cmdId) => Buffer.byteLength(xmlText(command, cmdId)),
  tnds: (document) => ({ type: 'application/vnd.syncml.dmtnds+xml', data: writeXmlFragment(document) }),
  transported: (format, data) =>
    fitsXml(data) ? { format, data } : { format: 'b64', data: valueOctets(data).toString('base64') },
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
  write: (command) => {
    const text = wbxmlText(command, LONG_CMD_ID);
    return aroundCmdId(text, text.length);
  },
  envelope: (header) => {
    const writer = new WbxmlWriter();
    writeMessage({ header, body: [], final: true }, writer);
    return aroundFinal(writer.whole, WBXML_FINAL, writer.whole.length);
  },
  final: WBXML_FINAL,
  octetsOf: (text) => octetsOf(text, 'latin1'),
  sizeOf: (command, cmdId) => wbxmlText(command, cmdId).length,
  tnds: (document) => ({ type: 'application/vnd.syncml.dmtnds+wbxml', data: writeWbxml(document) }),
  transported: (format, data) => ({ format, data }),
};

export const WIRES: Readonly<Record<Encoding, Wire>> = { xml: xmlWire, wbxml: wbxmlWire };

/** The wire of a media type, as `DmTransport` reports it. */
export function wireOf(mediaType: MediaType): Wire {
  return mediaType === MIME_WBXML ? wbxmlWire : xmlWire;
}

function xmlText(command: Unnumbered<BodyCommand>, cmdId: string): string {
  const writer = new XmlWriter('syncml');
  writeCommand(asXml(command), cmdId, writer);
  return writer.text;
}

function wbxmlText(command: Unnumbered<BodyCommand>, cmdId: string): string {
  const writer = new WbxmlWriter();
  writeCommand(command, cmdId, writer);
  return writer.fragment();
}

/** A command begins with its CmdID. */
function aroundCmdId(text: string, bytes: number): Written {
  const at = text.indexOf(LONG_CMD_ID);
  return { before: text.slice(0, at), after: text.slice(at + LONG_CMD_ID.length), bytes };
}

/** A message ends with its Final. */
function aroundFinal(text: string, final: string, bytes: number): Written {
  const at = text.lastIndexOf(final);
  return { before: text.slice(0, at), after: text.slice(at + final.length), bytes };
}

function fitsXml(data: ItemData): boolean {
  return typeof data === 'string' && isXmlText(data);
}

function valueOctets(data: ItemData): Buffer {
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
