import { writeWbxml, writeXml, type Element } from '../../../firmware/codec/index.js';
import { expandMessage, withNamespaces } from '../../../firmware/conversations/format.js';
import type { Encoding } from '../../../firmware/dm/index.js';

export type Content = 'get' | 'replace';

/** What a server that watches over an image asks for. */
const ASKED = [
  './DevInfo/Man',
  './DevInfo/Mod',
  './DevDetail/SwV',
  './DevDetail/FwV',
  ...[
    'State',
    'Result',
    'Received',
    'Size',
    'LocalImageURI',
    'ImageURI',
    'Name',
    'Version',
    'Priority',
    'Delivered',
  ].map((leaf) => `./GwMO/ImageInventory/fw/${leaf}`),
  './GwMO/DeviceInventory/d/Address',
  './GwMO/DeviceInventory/d/Reachable',
  './GwMO/Fanout/f/State',
  './GwMO/Fanout/f/Result/Total',
  './GwMO/Storage/Free',
];

const REPLACED = ['Name', 'Version', 'Description', 'Priority'].map((leaf) => `./GwMO/ImageInventory/fw/${leaf}`);

/** What must be so before: the nodes that are asked for. */
export const GIVEN = [
  'other adds ./GwMO/ImageInventory/theirs/Name = theirs',
  ...['Name = n', 'Version = 1', 'Description = d', 'Priority = 1', 'ImageURI = http://images.example/fw'].map(
    (leaf) => `dmserver adds ./GwMO/ImageInventory/fw/${leaf}`,
  ),
  'dmserver adds ./GwMO/DeviceInventory/d/DeviceID = urn:uuid:d',
  'dmserver adds ./GwMO/DeviceInventory/d/Address = udp://192.168.1.7:2948',
  'dmserver adds ./GwMO/Fanout/f/Targets = urn:uuid:d',
].map((line) => ['given', line] as const);

/** The server's messages of one session, each filled up to `bytes` octets. @param count without the last, which ends the session */
export function sessionMessages(encoding: Encoding, content: Content, bytes: number, count: number): Uint8Array[] {
  const messages = Array.from({ length: count }, (_, index) => filled(encoding, content, bytes, index));
  return [...messages, encode(encoding, whole(count, ''))];
}

/** No Get or Replace is shorter, not even in WBXML. */
const LEAST_COMMAND_BYTES = 30;

/** As many commands as there is room for: halves the doubt until it is none. */
function filled(encoding: Encoding, content: Content, bytes: number, number: number): Uint8Array {
  let [fits, tooMany] = [0, Math.ceil(bytes / LEAST_COMMAND_BYTES)];
  while (tooMany - fits > 1) {
    const commands = Math.floor((fits + tooMany) / 2);
    if (made(encoding, content, commands, number).byteLength <= bytes) fits = commands;
    else tooMany = commands;
  }
  return made(encoding, content, fits, number);
}

function made(encoding: Encoding, content: Content, commands: number, number: number): Uint8Array {
  const body = Array.from({ length: commands }, (_, n) => command(content, n, number)).join('');
  return encode(encoding, whole(number, body));
}

function command(content: Content, n: number, number: number): string {
  const id = `<CmdID>${n + 2}</CmdID>`;
  const list = content === 'get' ? ASKED : REPLACED;
  const target = `<Target><LocURI>${list[n % list.length] ?? ''}</LocURI></Target>`;
  if (content === 'get') return `<Get>${id}<Item>${target}</Item></Get>`;
  return `<Replace>${id}<Item>${target}<Data>${1000 + ((number + n) % 1000)}</Data></Item></Replace>`;
}

function whole(number: number, body: string): Element {
  const status = `<Status><CmdID>1</CmdID><MsgRef>${number + 1}</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>212</Data></Status>`;
  return withNamespaces(expandMessage(`<SyncHdr/>${status}${body}<Final/>`, 'server', number + 1, '1234'));
}

function encode(encoding: Encoding, message: Element): Uint8Array {
  return encoding === 'xml' ? writeXml(message) : writeWbxml(message);
}
