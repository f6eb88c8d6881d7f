import { child, childrenNamed, textOf, writeXmlFragment, type Element } from '../codec/index.js';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import type {
  BodyCommand,
  Cred,
  Header,
  Item,
  ItemData,
  Location,
  Message,
  Meta,
  ServerCommand,
  UnusableCommand,
} from './message.js';

export type MessageRefusal =
  | 'not-syncml' // the root is not SyncML, or it has no SyncHdr
  | 'bad-header' // SyncHdr without SessionID, MsgID, Target or Source: nobody can be answered
  | 'no-body'; // no SyncBody

/** What the elements of Meta stand for. */
const META_KIND: ReadonlyMap<string, keyof Meta> = new Map([
  ['Format', 'format'],
  ['Type', 'type'],
  ['Mark', 'mark'],
  ['Size', 'size'],
  ['NextNonce', 'nextNonce'],
  ['MaxMsgSize', 'maxMsgSize'],
  ['MaxObjSize', 'maxObjSize'],
]);

/** A value while it is being read. */
type Writable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Reads a message from its elements, in whatever order they stand. Unknown elements are ignored, except where a command
 * should stand: those become `UnusableCommand` and get their Status like any other. Text of control elements is trimmed,
 * Data of Items never. Wrong versions are the caller's to judge (VerDTD, VerProto, empty where absent).
 */
export function decodeMessage(root: Element): Outcome<Message, CodedError<MessageRefusal>> {
  const syncHdr = root.name === 'SyncML' ? child(root, 'SyncHdr') : undefined;
  if (!syncHdr) return failure('not-syncml', 'the document is not a SyncML message');
  const header = decodeHeader(syncHdr);
  if (!header) return failure('bad-header', 'SyncHdr lacks SessionID, MsgID, Target or Source');
  const syncBody = child(root, 'SyncBody');
  if (!syncBody) return failure('no-body', 'the message has no SyncBody');
  const commands = syncBody.children.filter(({ name }) => name !== 'Final');
  return success({ header, body: commands.map(decodeBodyCommand), final: has(syncBody, 'Final') });
}

/** Item level overrides command level, field by field (2.3). */
export function effectiveMeta(command: { readonly meta?: Meta }, item: Item): Meta {
  if (!command.meta) return item.meta ?? {};
  return item.meta ? { ...command.meta, ...item.meta } : command.meta;
}

function decodeHeader(syncHdr: Element): Header | undefined {
  const sessionId = controlText(syncHdr, 'SessionID');
  const msgId = controlText(syncHdr, 'MsgID');
  const target = decodeLocation(syncHdr, 'Target');
  const source = decodeLocation(syncHdr, 'Source');
  if (!sessionId || !msgId || !target?.uri || !source?.uri) return undefined;
  const cred = decodeCred(syncHdr);
  return {
    verDtd: controlText(syncHdr, 'VerDTD') ?? '',
    verProto: controlText(syncHdr, 'VerProto') ?? '',
    sessionId,
    msgId,
    target,
    source,
    ...optional('respUri', controlText(syncHdr, 'RespURI') || undefined),
    ...flag('noResp', has(syncHdr, 'NoResp')),
    ...optional('cred', cred),
    ...optional('meta', decodeMeta(syncHdr)),
  };
}

function decodeBodyCommand(command: Element): BodyCommand {
  if (command.name === 'Status') return decodeStatus(command) ?? unusable(command, 'malformed');
  if (command.name === 'Results') return decodeResults(command) ?? unusable(command, 'malformed');
  return decodeServerCommand(command);
}

/** SyncML commands that DM does not use (4.3: 501). */
const UNUSED = new Set(['Map', 'Move', 'Put', 'Search', 'Sync']);

function decodeServerCommand(command: Element): ServerCommand {
  const cmdId = usableCmdId(command);
  switch (command.name) {
    case 'Add':
    case 'Replace':
    case 'Copy':
    case 'Delete':
    case 'Get':
      if (cmdId === undefined) break;
      return { kind: command.name, ...commandParts(command, cmdId), items: decodeItems(command) };
    case 'Exec': {
      if (cmdId === undefined) break;
      const correlator = optional('correlator', rawText(command, 'Correlator'));
      return { kind: 'Exec', ...commandParts(command, cmdId), ...correlator, items: decodeItems(command) };
    }
    case 'Alert':
      if (cmdId === undefined) break;
      return {
        kind: 'Alert',
        ...commandParts(command, cmdId),
        ...optional('data', controlText(command, 'Data')),
        ...optional('correlator', rawText(command, 'Correlator')),
        items: decodeItems(command),
      };
    case 'Atomic':
    case 'Sequence': {
      if (cmdId === undefined) break;
      const inner = command.children.filter(({ name }) => !CONTAINER_PARTS.has(name)).map(decodeServerCommand);
      return { kind: command.name, ...commandParts(command, cmdId), commands: inner };
    }
    case 'Status':
    case 'Results':
      break;
    default:
      return unusable(command, UNUSED.has(command.name) ? 'unused' : 'unknown');
  }
  return unusable(command, 'malformed');
}

/** What stands in Atomic and Sequence beside commands. */
const CONTAINER_PARTS = new Set(['CmdID', 'NoResp', 'Meta', 'Cred']);

/** 0 means the SyncHdr in a CmdRef, so no command may have it (2.4). */
function usableCmdId(command: Element): string | undefined {
  const cmdId = controlText(command, 'CmdID');
  return cmdId === '' || cmdId === '0' ? undefined : cmdId;
}

function unusable(command: Element, reason: UnusableCommand['reason']): UnusableCommand {
  const cmdId = controlText(command, 'CmdID') ?? '';
  return { kind: 'Unusable', cmdId, ...flag('noResp', has(command, 'NoResp')), name: command.name, reason };
}

/** Made without `optional` and `flag`: a message has a thousand of them. */
function commandParts(command: Element, cmdId: string): { cmdId: string; noResp?: boolean; meta?: Meta } {
  const parts: { cmdId: string; noResp?: boolean; meta?: Meta } = { cmdId };
  if (has(command, 'NoResp')) parts.noResp = true;
  const meta = decodeMeta(command);
  if (meta) parts.meta = meta;
  return parts;
}

/** Nobody answers a Status, so one without CmdID serves as well. */
function decodeStatus(command: Element): BodyCommand | undefined {
  const msgRef = controlText(command, 'MsgRef');
  const cmdRef = controlText(command, 'CmdRef');
  const cmd = controlText(command, 'Cmd');
  const data = controlText(command, 'Data');
  if (msgRef === undefined || cmdRef === undefined || cmd === undefined || data === undefined) return undefined;
  const chal = child(command, 'Chal');
  return {
    kind: 'Status',
    cmdId: controlText(command, 'CmdID') ?? '',
    msgRef,
    cmdRef,
    cmd,
    targetRefs: childrenNamed(command, 'TargetRef').map(trimmedText),
    sourceRefs: childrenNamed(command, 'SourceRef').map(trimmedText),
    ...optional('cred', decodeCred(command)),
    ...optional('chal', chal && decodeMeta(chal)),
    data,
    items: decodeItems(command),
  };
}

function decodeResults(command: Element): BodyCommand | undefined {
  const cmdId = usableCmdId(command);
  const cmdRef = controlText(command, 'CmdRef');
  if (cmdId === undefined || cmdRef === undefined) return undefined;
  return {
    kind: 'Results',
    cmdId,
    ...optional('msgRef', controlText(command, 'MsgRef')),
    cmdRef,
    ...optional('meta', decodeMeta(command)),
    ...optional('targetRef', controlText(command, 'TargetRef')),
    ...optional('sourceRef', controlText(command, 'SourceRef')),
    items: decodeItems(command),
  };
}

export function decodeItems(command: Element): readonly Item[] {
  return childrenNamed(command, 'Item').map(decodeItem);
}

function decodeItem({ children }: Element): Item {
  const item: Writable<Item> = {};
  for (const part of children) {
    if (part.name === 'Target' || part.name === 'Source') {
      const location = locationOf(part);
      if (location) item[part.name === 'Target' ? 'target' : 'source'] ??= location;
    } else if (part.name === 'Meta') item.meta ??= metaOf(part);
    else if (part.name === 'Data') item.data ??= decodeData(part);
    else if (part.name === 'MoreData') item.moreData = true;
  }
  return item;
}

/** TNDS may stand in Data as elements (2.3): they become the text that a sender would have escaped. It has no attributes. */
function decodeData(data: Element): ItemData {
  if (data.children.length === 0) return data.text;
  return data.children.map((inner) => writeXmlFragment(withoutOctets(inner))).join('');
}

function withoutOctets(inner: Element): Element {
  return { ...inner, text: textOf(inner), children: inner.children.map(withoutOctets) };
}

function decodeCred(parent: Element): Cred | undefined {
  const cred = child(parent, 'Cred');
  return cred && { meta: decodeMeta(cred) ?? {}, data: controlText(cred, 'Data') ?? '' };
}

function decodeLocation(parent: Element, name: 'Target' | 'Source'): Location | undefined {
  const location = child(parent, name);
  return location && locationOf(location);
}

function locationOf(location: Element): Location | undefined {
  const uri = controlText(location, 'LocURI');
  if (uri === undefined) return undefined;
  const name = controlText(location, 'LocName');
  return name === undefined ? { uri } : { uri, name };
}

export function decodeMeta(parent: Element): Meta | undefined {
  const meta = child(parent, 'Meta');
  return meta && metaOf(meta);
}

/** Elements of Meta count whatever their namespace, and also inside one `MetInf` (2.3). */
function metaOf(element: Element): Meta {
  const meta: Writable<Meta> = {};
  for (const part of (child(element, 'MetInf') ?? element).children) {
    const kind = META_KIND.get(part.name);
    if (kind === undefined) continue;
    const text = kind === 'nextNonce' ? nonceText(part) : trimmedText(part);
    if (kind === 'size' || kind === 'maxMsgSize' || kind === 'maxObjSize') {
      const octets = decimal(text);
      if (octets !== undefined) meta[kind] ??= octets;
    } else meta[kind] ??= text;
  }
  return meta;
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*[A-Za-z0-9+/]{2}(?:==|[A-Za-z0-9+/]=|[A-Za-z0-9+/]{2})$/;

/** Base64 in either encoding; an opaque of WBXML that is no base64 is the nonce itself. */
function nonceText(found: Element): string {
  const { text } = found;
  const isBase64 = typeof text === 'string' || BASE64.test(textOf(found));
  return isBase64 ? trimmedText(found) : Buffer.from(text).toString('base64');
}

/** Octet counts; whatever is not one counts as absent. 15 digits are exact. */
function decimal(text: string | undefined): number | undefined {
  return text !== undefined && /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined;
}

function has(parent: Element, name: string): boolean {
  return child(parent, name) !== undefined;
}

function controlText(parent: Element, name: string): string | undefined {
  const found = child(parent, name);
  return found && trimmedText(found);
}

function trimmedText(found: Element): string {
  return textOf(found).trim();
}

function rawText(parent: Element, name: string): string | undefined {
  const found = child(parent, name);
  return found && textOf(found);
}

/** A field that is there, or no field: `{...optional('name', value)}`. */
function optional<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]: V });
}

function flag<K extends string>(key: K, set: boolean): { readonly [P in K]?: true } {
  return set ? ({ [key]: true } as { readonly [P in K]: true }) : {};
}
