import { nameOf, type ElementName, type ElementSink } from '../codec/index.js';
import type {
  BodyCommand,
  Cred,
  Header,
  Item,
  Location,
  Message,
  Meta,
  ServerCommand,
  StatusCommand,
  Unnumbered,
} from './message.js';

/** Writes a message, in the order of the standard (2.1). Octets in Data stay octets. */
export function writeMessage({ header, body, final }: Message, sink: ElementSink): void {
  sink.open(named().SyncML);
  writeHeader(header, sink);
  sink.open(named().SyncBody);
  for (const command of body) writeCommand(command, command.cmdId, sink);
  if (final) mark(named().Final, sink);
  sink.close();
  sink.close();
}

/** Writes one command as it stands in SyncBody. */
export function writeCommand(command: Unnumbered<BodyCommand>, cmdId: string, sink: ElementSink): void {
  sink.open(command.kind === 'Unusable' ? nameOf('syncml', command.name) : named()[command.kind]);
  switch (command.kind) {
    case 'Status':
      writeStatus(command, cmdId, sink);
      break;
    case 'Results':
      sink.leaf(named().CmdID, cmdId);
      text(named().MsgRef, command.msgRef, sink);
      sink.leaf(named().CmdRef, command.cmdRef);
      writeMeta(command.meta, sink);
      text(named().TargetRef, command.targetRef, sink);
      text(named().SourceRef, command.sourceRef, sink);
      writeItems(command.items, sink);
      break;
    case 'Alert':
      writeLeading(command, cmdId, sink);
      text(named().Data, command.data, sink);
      text(named().Correlator, command.correlator, sink);
      writeItems(command.items, sink);
      break;
    case 'Exec':
      writeLeading(command, cmdId, sink);
      text(named().Correlator, command.correlator, sink);
      writeItems(command.items, sink);
      break;
    case 'Atomic':
    case 'Sequence':
      writeLeading(command, cmdId, sink);
      for (const inner of command.commands) writeCommand(inner, inner.cmdId, sink);
      break;
    case 'Unusable':
      writeLeading(command, cmdId, sink);
      break;
    case 'Add':
    case 'Replace':
    case 'Copy':
    case 'Delete':
    case 'Get':
      writeLeading(command, cmdId, sink);
      writeItems(command.items, sink);
  }
  sink.close();
}

function writeHeader(header: Header, sink: ElementSink): void {
  sink.open(named().SyncHdr);
  sink.leaf(named().VerDTD, header.verDtd);
  sink.leaf(named().VerProto, header.verProto);
  sink.leaf(named().SessionID, header.sessionId);
  sink.leaf(named().MsgID, header.msgId);
  writeLocation(named().Target, header.target, sink);
  writeLocation(named().Source, header.source, sink);
  text(named().RespURI, header.respUri, sink);
  if (header.noResp) mark(named().NoResp, sink);
  writeCred(header.cred, sink);
  writeMeta(header.meta, sink);
  sink.close();
}

function writeStatus(status: Unnumbered<StatusCommand>, cmdId: string, sink: ElementSink): void {
  sink.leaf(named().CmdID, cmdId);
  sink.leaf(named().MsgRef, status.msgRef);
  sink.leaf(named().CmdRef, status.cmdRef);
  sink.leaf(named().Cmd, status.cmd);
  for (const uri of status.targetRefs) sink.leaf(named().TargetRef, uri);
  for (const uri of status.sourceRefs) sink.leaf(named().SourceRef, uri);
  writeCred(status.cred, sink);
  if (status.chal) {
    sink.open(named().Chal);
    writeMeta(status.chal, sink);
    sink.close();
  }
  sink.leaf(named().Data, status.data);
  writeItems(status.items, sink);
}

/** What every command of a server begins with. */
function writeLeading({ noResp, meta }: Unnumbered<ServerCommand>, cmdId: string, sink: ElementSink): void {
  if (cmdId !== '') sink.leaf(named().CmdID, cmdId);
  if (noResp) mark(named().NoResp, sink);
  writeMeta(meta, sink);
}

function writeItems(items: readonly Item[], sink: ElementSink): void {
  for (const { target, source, meta, data, moreData } of items) {
    sink.open(named().Item);
    if (target) writeLocation(named().Target, target, sink);
    if (source) writeLocation(named().Source, source, sink);
    writeMeta(meta, sink);
    if (data !== undefined) sink.leaf(named().Data, data);
    if (moreData) mark(named().MoreData, sink);
    sink.close();
  }
}

function writeLocation(name: ElementName, location: Location, sink: ElementSink): void {
  sink.open(name);
  sink.leaf(named().LocURI, location.uri);
  text(named().LocName, location.name, sink);
  sink.close();
}

function writeCred(cred: Cred | undefined, sink: ElementSink): void {
  if (!cred) return;
  sink.open(named().Cred);
  writeMeta(cred.meta, sink);
  sink.leaf(named().Data, cred.data);
  sink.close();
}

/** In the order of the standard (2.3). */
function writeMeta(meta: Meta | undefined, sink: ElementSink): void {
  if (!meta) return;
  sink.open(named().Meta);
  text(named().Format, meta.format, sink);
  text(named().Type, meta.type, sink);
  text(named().Mark, meta.mark, sink);
  count(named().Size, meta.size, sink);
  text(named().NextNonce, meta.nextNonce, sink);
  count(named().MaxMsgSize, meta.maxMsgSize, sink);
  count(named().MaxObjSize, meta.maxObjSize, sink);
  sink.close();
}

function text(name: ElementName, value: string | undefined, sink: ElementSink): void {
  if (value !== undefined) sink.leaf(name, value);
}

function count(name: ElementName, value: number | undefined, sink: ElementSink): void {
  if (value !== undefined) sink.leaf(name, String(value));
}

function mark(name: ElementName, sink: ElementSink): void {
  sink.leaf(name, '');
}

const lookUp = () => ({
  ...names('syncml', [
    ...(['SyncML', 'SyncHdr', 'SyncBody', 'Final', 'VerDTD', 'VerProto', 'SessionID', 'MsgID', 'RespURI'] as const),
    ...(['Status', 'Results', 'Alert', 'Exec', 'Atomic', 'Sequence', 'Add', 'Replace', 'Copy', 'Delete'] as const),
    ...(['Get', 'CmdID', 'MsgRef', 'CmdRef', 'Cmd', 'TargetRef', 'SourceRef', 'NoResp', 'Correlator', 'Cred'] as const),
    ...(['Chal', 'Item', 'Target', 'Source', 'LocURI', 'LocName', 'Meta', 'Data', 'MoreData'] as const),
  ]),
  ...names('metinf', ['Format', 'Type', 'Mark', 'Size', 'NextNonce', 'MaxMsgSize', 'MaxObjSize']),
});

let elements: ReturnType<typeof lookUp> | undefined;
/** The elements of a message, looked up once, by the first: a start writes none. */
const named = () => (elements ??= lookUp());

function names<N extends string>(namespace: 'syncml' | 'metinf', list: readonly N[]): Readonly<Record<N, ElementName>> {
  return Object.fromEntries(list.map((name) => [name, nameOf(namespace, name)])) as Record<N, ElementName>;
}
