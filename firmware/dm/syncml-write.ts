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
  sink.open(NAME.SyncML);
  writeHeader(header, sink);
  sink.open(NAME.SyncBody);
  for (const command of body) writeCommand(command, command.cmdId, sink);
  if (final) mark(NAME.Final, sink);
  sink.close();
  sink.close();
}

/** Writes one command as it stands in SyncBody. */
export function writeCommand(command: Unnumbered<BodyCommand>, cmdId: string, sink: ElementSink): void {
  sink.open(command.kind === 'Unusable' ? nameOf('syncml', command.name) : NAME[command.kind]);
  switch (command.kind) {
    case 'Status':
      writeStatus(command, cmdId, sink);
      break;
    case 'Results':
      sink.leaf(NAME.CmdID, cmdId);
      text(NAME.MsgRef, command.msgRef, sink);
      sink.leaf(NAME.CmdRef, command.cmdRef);
      writeMeta(command.meta, sink);
      text(NAME.TargetRef, command.targetRef, sink);
      text(NAME.SourceRef, command.sourceRef, sink);
      writeItems(command.items, sink);
      break;
    case 'Alert':
      writeLeading(command, cmdId, sink);
      text(NAME.Data, command.data, sink);
      text(NAME.Correlator, command.correlator, sink);
      writeItems(command.items, sink);
      break;
    case 'Exec':
      writeLeading(command, cmdId, sink);
      text(NAME.Correlator, command.correlator, sink);
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
  sink.open(NAME.SyncHdr);
  sink.leaf(NAME.VerDTD, header.verDtd);
  sink.leaf(NAME.VerProto, header.verProto);
  sink.leaf(NAME.SessionID, header.sessionId);
  sink.leaf(NAME.MsgID, header.msgId);
  writeLocation(NAME.Target, header.target, sink);
  writeLocation(NAME.Source, header.source, sink);
  text(NAME.RespURI, header.respUri, sink);
  if (header.noResp) mark(NAME.NoResp, sink);
  writeCred(header.cred, sink);
  writeMeta(header.meta, sink);
  sink.close();
}

function writeStatus(status: Unnumbered<StatusCommand>, cmdId: string, sink: ElementSink): void {
  sink.leaf(NAME.CmdID, cmdId);
  sink.leaf(NAME.MsgRef, status.msgRef);
  sink.leaf(NAME.CmdRef, status.cmdRef);
  sink.leaf(NAME.Cmd, status.cmd);
  for (const uri of status.targetRefs) sink.leaf(NAME.TargetRef, uri);
  for (const uri of status.sourceRefs) sink.leaf(NAME.SourceRef, uri);
  writeCred(status.cred, sink);
  if (status.chal) {
    sink.open(NAME.Chal);
    writeMeta(status.chal, sink);
    sink.close();
  }
  sink.leaf(NAME.Data, status.data);
  writeItems(status.items, sink);
}

/** What every command of a server begins with. */
function writeLeading({ noResp, meta }: Unnumbered<ServerCommand>, cmdId: string, sink: ElementSink): void {
  if (cmdId !== '') sink.leaf(NAME.CmdID, cmdId);
  if (noResp) mark(NAME.NoResp, sink);
  writeMeta(meta, sink);
}

function writeItems(items: readonly Item[], sink: ElementSink): void {
  for (const { target, source, meta, data, moreData } of items) {
    sink.open(NAME.Item);
    if (target) writeLocation(NAME.Target, target, sink);
    if (source) writeLocation(NAME.Source, source, sink);
    writeMeta(meta, sink);
    if (data !== undefined) sink.leaf(NAME.Data, data);
    if (moreData) mark(NAME.MoreData, sink);
    sink.close();
  }
}

function writeLocation(name: ElementName, location: Location, sink: ElementSink): void {
  sink.open(name);
  sink.leaf(NAME.LocURI, location.uri);
  text(NAME.LocName, location.name, sink);
  sink.close();
}

function writeCred(cred: Cred | undefined, sink: ElementSink): void {
  if (!cred) return;
  sink.open(NAME.Cred);
  writeMeta(cred.meta, sink);
  sink.leaf(NAME.Data, cred.data);
  sink.close();
}

/** In the order of the standard (2.3). */
function writeMeta(meta: Meta | undefined, sink: ElementSink): void {
  if (!meta) return;
  sink.open(NAME.Meta);
  text(NAME.Format, meta.format, sink);
  text(NAME.Type, meta.type, sink);
  text(NAME.Mark, meta.mark, sink);
  count(NAME.Size, meta.size, sink);
  text(NAME.NextNonce, meta.nextNonce, sink);
  count(NAME.MaxMsgSize, meta.maxMsgSize, sink);
  count(NAME.MaxObjSize, meta.maxObjSize, sink);
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

/** The elements of a message, looked up once. */
const NAME = {
  ...names('syncml', [
    ...(['SyncML', 'SyncHdr', 'SyncBody', 'Final', 'VerDTD', 'VerProto', 'SessionID', 'MsgID', 'RespURI'] as const),
    ...(['Status', 'Results', 'Alert', 'Exec', 'Atomic', 'Sequence', 'Add', 'Replace', 'Copy', 'Delete'] as const),
    ...(['Get', 'CmdID', 'MsgRef', 'CmdRef', 'Cmd', 'TargetRef', 'SourceRef', 'NoResp', 'Correlator', 'Cred'] as const),
    ...(['Chal', 'Item', 'Target', 'Source', 'LocURI', 'LocName', 'Meta', 'Data', 'MoreData'] as const),
  ]),
  ...names('metinf', ['Format', 'Type', 'Mark', 'Size', 'NextNonce', 'MaxMsgSize', 'MaxObjSize']),
};

function names<N extends string>(namespace: 'syncml' | 'metinf', list: readonly N[]): Readonly<Record<N, ElementName>> {
  return Object.fromEntries(list.map((name) => [name, nameOf(namespace, name)])) as Record<N, ElementName>;
}
