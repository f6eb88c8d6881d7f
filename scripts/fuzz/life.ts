import type { Encoding } from '../../firmware/dm/index.js';

/** One message of a server, as it goes out. */
export interface FuzzMessage {
  readonly encoding: Encoding;
  readonly octets: Uint8Array;
}

/** Sessions, one after the other on the same database, and the notifications that came in between. */
export interface Life {
  /** What was so before, as the head of a conversation says it. */
  readonly settings: readonly (readonly [key: string, value: string])[];
  readonly sessions: readonly (readonly FuzzMessage[])[];
  /** Datagrams at the port for Package#0. */
  readonly datagrams: readonly Uint8Array[];
}

/** A life as a file: readable where its messages are. */
interface LifeFile {
  readonly settings: Life['settings'];
  readonly sessions: readonly (readonly MessageFile[])[];
  readonly datagrams: readonly string[];
}
type MessageFile = { readonly xml: string } | { readonly xmlBase64: string } | { readonly wbxmlBase64: string };

export function formatLife({ settings, sessions, datagrams }: Life): string {
  const file: LifeFile = {
    settings,
    sessions: sessions.map((messages) => messages.map(formatMessage)),
    datagrams: datagrams.map((octets) => Buffer.from(octets).toString('hex')),
  };
  return `${JSON.stringify(file, undefined, 1)}\n`;
}

export function parseLife(text: string): Life {
  const { settings, sessions, datagrams } = JSON.parse(text) as LifeFile;
  return {
    settings,
    sessions: sessions.map((messages) => messages.map(parseMessage)),
    datagrams: datagrams.map((hex) => Buffer.from(hex, 'hex')),
  };
}

function formatMessage({ encoding, octets }: FuzzMessage): MessageFile {
  const buffer = Buffer.from(octets);
  if (encoding === 'wbxml') return { wbxmlBase64: buffer.toString('base64') };
  const xml = buffer.toString('utf8');
  return Buffer.from(xml).equals(buffer) ? { xml } : { xmlBase64: buffer.toString('base64') };
}

function parseMessage(file: MessageFile): FuzzMessage {
  if ('xml' in file) return { encoding: 'xml', octets: Buffer.from(file.xml) };
  if ('xmlBase64' in file) return { encoding: 'xml', octets: Buffer.from(file.xmlBase64, 'base64') };
  return { encoding: 'wbxml', octets: Buffer.from(file.wbxmlBase64, 'base64') };
}
