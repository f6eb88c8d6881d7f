import type { Logger } from '../log/index.js';
import { StoreError, type Store } from '../store/index.js';
import {
  fitsUriLimits,
  isListUri,
  type IncomingValue,
  type LeafValue,
  type StoredValue,
  type Subject,
  type Tree,
  type TreeErrorCode,
  type TreeOutcome,
} from '../tree/index.js';
import { Alert, Status } from './codes.js';
import type { AlertCommand, AtomicCommand, Item, Location, Part, ServerCommand, StatusCommand } from './message.js';
import { resultsOfList, resultsOfValue, type ResultsAnswer } from './results.js';
import { effectiveMeta } from './syncml.js';
import type { Wire } from './wire.js';

/** A Status or Results without the numbers that the session gives when it puts it into a message. */
export type Answer = Omit<StatusCommand, 'cmdId'> | ResultsAnswer;

export interface ExecutionContext {
  readonly tree: Tree;
  readonly store: Store;
  readonly subject: Subject;
  /** MsgID of the message that carried the commands. */
  readonly msgRef: string;
  readonly log: Logger;
  /** In what the answers will go out: it says how many octets they take. */
  readonly wire: Wire;
  /** Octets that one message of ours has for answers: those of an Atomic must fit into it (DMREP 517). */
  readonly room: () => number;
  /** Answers an Alert of the server with a Status code. */
  readonly onAlert: (alert: AlertCommand) => number;
  /** Items that are pieces of a large object, or its end. */
  readonly pieces?: ReadonlyMap<Item, Piece>;
}

/** What has become of a piece of a large object: its Status code, or the whole value that it completes. */
export type Piece = { readonly code: number } | { readonly value: LeafValue | StoredValue };

/** Values that the commands of one message may read, in octets: each Get costs the server a few, and may cost us many. */
const MAX_RESULT_BYTES = 1024 * 1024;

/** It is kept until the operation has ended, and sent back. */
const MAX_CORRELATOR_LENGTH = 1024;

/** One message at work. */
interface Execution extends ExecutionContext {
  resultBytes: number;
}

/** Status code of each error of the tree (facts 4.4). */
export const TREE_STATUS: Readonly<Record<TreeErrorCode, number>> = {
  'bad-uri': Status.BAD_REQUEST,
  'uri-too-long': Status.URI_TOO_LONG,
  'not-found': Status.NOT_FOUND,
  'not-allowed': Status.NOT_ALLOWED,
  'not-supported': Status.NOT_SUPPORTED,
  forbidden: Status.FORBIDDEN,
  'permission-denied': Status.PERMISSION_DENIED,
  'already-exists': Status.ALREADY_EXISTS,
  'bad-format': Status.UNSUPPORTED_FORMAT,
  'bad-value': Status.BAD_REQUEST,
  incomplete: Status.INCOMPLETE,
  'too-large': Status.TOO_LARGE,
  full: Status.DEVICE_FULL,
  busy: Status.RETRY_LATER,
  failed: Status.COMMAND_FAILED,
};

/**
 * Executes the commands of one message in document order, in one transaction: what is answered 200 is committed when
 * this returns (and survives a power cut after `store.durable()`). When the disk refuses the commit, every command
 * gets 510 (420 where it is full) and nothing has happened.
 * DMPRO: one Status per command, or per Item where there are several; Results follow their Status.
 */
export function executeCommands(commands: readonly ServerCommand[], context: ExecutionContext): Answer[] {
  const execution = { resultBytes: 0, ...context };
  try {
    return context.store.transaction(() => executeAll(commands, execution));
  } catch (thrown) {
    if (!(thrown instanceof StoreError)) throw thrown;
    context.log.error('the database did not take the commands of a message', { code: thrown.code });
    return refuseCommands(commands, statusOfStoreError(thrown), context.msgRef);
  }
}

/** Status code of a database that does not take, or give, something. */
export function statusOfStoreError({ code }: StoreError): number {
  return code === 'full' ? Status.DEVICE_FULL : Status.STORE_FAILURE;
}

/** Answers every command, and those inside Atomic and Sequence, with the same code; executes none. */
export function refuseCommands(commands: readonly ServerCommand[], code: number, msgRef: string): Answer[] {
  return commands.flatMap((command) => [
    ...statusOf(command, code, msgRef),
    ...('commands' in command ? refuseCommands(command.commands, code, msgRef) : []),
  ]);
}

function executeAll(commands: readonly ServerCommand[], context: Execution): Answer[] {
  const answers: Answer[] = [];
  for (const command of commands) execute(command, context, answers);
  return answers;
}

/** @param answers those of the command are added to them */
function execute(command: ServerCommand, context: Execution, answers: Answer[]): void {
  switch (command.kind) {
    case 'Atomic':
      answers.push(...executeAtomic(command, context));
      return;
    case 'Sequence':
      answers.push(...statusOf(command, Status.OK, context.msgRef), ...executeAll(command.commands, context));
      return;
    case 'Alert':
      answers.push(...statusOf(command, context.onAlert(command), context.msgRef));
      return;
    case 'Unusable': {
      const code = command.reason === 'unused' ? Status.NOT_IMPLEMENTED : Status.BAD_REQUEST;
      answers.push(...statusOf(command, code, context.msgRef));
      return;
    }
    case 'Exec':
      if (command.items.length > 1) answers.push(...statusOf(command, Status.BAD_REQUEST, context.msgRef));
      else executeItems(command, context, answers);
      return;
    case 'Get':
    case 'Add':
    case 'Replace':
    case 'Copy':
    case 'Delete':
      executeItems(command, context, answers);
  }
}

type ItemCommand = Extract<ServerCommand, { kind: 'Add' | 'Copy' | 'Delete' | 'Exec' | 'Get' | 'Replace' }>;

function executeItems(command: ItemCommand, context: Execution, answers: Answer[]): void {
  if (command.items.length === 0) answers.push(...statusOf(command, Status.INCOMPLETE, context.msgRef));
  for (const item of command.items) {
    const { code, results, failedAt } = executeItem(command, item, context);
    const failed = failedAt === undefined || failedAt === item.target?.uri ? [] : [{ target: { uri: failedAt } }];
    if (!command.noResp) answers.push(newStatus(command, code, context.msgRef, item, failed));
    answers.push(...results);
  }
}

interface Executed {
  readonly code: number;
  readonly results: readonly Answer[];
  /** URI of the node that failed, where it is not the addressed one: an ancestor, or one of a sub-tree. */
  readonly failedAt?: string;
}

function executeItem(command: ItemCommand, item: Item, context: Execution): Executed {
  const uri = item.target?.uri;
  if (uri === undefined || uri === '') return { code: Status.INCOMPLETE, results: [] };
  const piece = context.pieces?.get(item);
  if (piece && 'code' in piece) return { code: piece.code, results: [] };
  // A piece anywhere but at the end of a message, as in a Sequence or an Atomic, is of an object that does not fit there.
  if (item.moreData) return { code: Status.TOO_LARGE, results: [] };
  const { tree, subject } = context;
  switch (command.kind) {
    case 'Get':
      return executeGet(command, uri, context);
    case 'Add':
      return plain(tree.add(subject, uri, incoming(command, item, piece)));
    case 'Replace':
      return plain(tree.replace(subject, uri, incoming(command, item, piece)));
    case 'Copy': {
      const source = item.source?.uri ?? '';
      return source === '' ? { code: Status.INCOMPLETE, results: [] } : plain(tree.copy(subject, source, uri));
    }
    case 'Delete':
      return plain(tree.delete(subject, uri));
    case 'Exec': {
      if ((command.correlator?.length ?? 0) > MAX_CORRELATOR_LENGTH) return { code: Status.TOO_LARGE, results: [] };
      const started = tree.exec(subject, uri, item.data, command.correlator);
      if (!started.ok) return plain(started);
      return { code: started.value === 'done' ? Status.OK : Status.ACCEPTED, results: [] };
    }
  }
}

function executeGet(command: ItemCommand, uri: string, context: Execution): Executed {
  const { tree, subject, msgRef, wire } = context;
  const left = MAX_RESULT_BYTES - context.resultBytes;
  if (left < 0) return { code: Status.TOO_LARGE, results: [] };
  const get = { msgRef, cmdRef: command.cmdId, uri };
  if (isListUri(uri)) {
    const listing = tree.list(subject, uri, left);
    if (!listing.ok) return plain(listing);
    const results = resultsOfList(get, listing.value, wire, context.room(), (answer) => sizeOf(answer, wire));
    for (const answer of results) context.resultBytes += sizeOf(answer, wire);
    return { code: Status.OK, results };
  }
  const value = tree.get(subject, uri);
  if (!value.ok) return plain(value);
  context.resultBytes += Buffer.byteLength(value.value.data);
  return { code: Status.OK, results: [resultsOfValue(get, value.value)] };
}

function plain(outcome: TreeOutcome<unknown>): Executed {
  if (outcome.ok) return { code: Status.OK, results: [] };
  const { code, uri } = outcome.error;
  return { code: TREE_STATUS[code], results: [], ...(uri !== undefined && { failedAt: uri }) };
}

function incoming(command: ItemCommand, item: Item, piece: Piece | undefined): IncomingValue {
  const { format, type } = effectiveMeta(command, item);
  return { format, type, data: piece && 'value' in piece ? piece.value : item.data };
}

/**
 * All or nothing. The Atomic's Status comes first, then those of its content; after a failure the commands before it
 * are rolled back (216) and those after it are not executed (215). DMREP: no Get, Exec, Atomic or Sequence inside.
 */
function executeAtomic(atomic: AtomicCommand, context: Execution): Answer[] {
  const { msgRef } = context;
  const forbidden = atomic.commands.findIndex((inner) => !MAY_STAND_IN_ATOMIC.has(inner.kind));
  if (forbidden >= 0) {
    return [
      ...statusOf(atomic, Status.ATOMIC_FAILED, msgRef),
      ...atomic.commands.flatMap((inner, index) =>
        index === forbidden ? refuseForbidden(inner, msgRef) : refuseCommands([inner], Status.NOT_EXECUTED, msgRef),
      ),
    ];
  }
  const executed: Answer[][] = [];
  const outcome = context.store.tentative(() => {
    for (const [index, inner] of atomic.commands.entries()) {
      const answers: Answer[] = [];
      execute({ ...inner, noResp: false }, context, answers);
      executed.push(answers);
      if (answers.some(isFailure)) return { ok: false as const, failed: index, code: Status.ATOMIC_FAILED };
    }
    const bytes = [...statusOf(atomic, Status.OK, msgRef), ...executed.flat()].reduce(
      (sum, one) => sum + sizeOf(one, context.wire),
      0,
    );
    return bytes > context.room()
      ? { ok: false as const, failed: executed.length, code: Status.ATOMIC_TOO_LARGE }
      : { ok: true as const };
  });
  if (outcome.ok) return [...statusOf(atomic, Status.OK, msgRef), ...executed.flat()];
  const content = atomic.commands.flatMap((inner, index) => {
    if (index === outcome.failed) return (executed[index] ?? []).map(asRolledBack);
    return refuseCommands([inner], index > outcome.failed ? Status.NOT_EXECUTED : Status.ROLLED_BACK, msgRef);
  });
  return [...statusOf(atomic, outcome.code, msgRef), ...content];
}

/** A command that may not stand in an Atomic; what stands in that command was not executed. */
function refuseForbidden(command: ServerCommand, msgRef: string): Answer[] {
  const content = 'commands' in command ? command.commands : [];
  return [...statusOf(command, Status.COMMAND_FAILED, msgRef), ...refuseCommands(content, Status.NOT_EXECUTED, msgRef)];
}

const MAY_STAND_IN_ATOMIC: ReadonlySet<ServerCommand['kind']> = new Set([
  'Add',
  'Alert',
  'Copy',
  'Delete',
  'Replace',
  'Unusable',
]);

/** The Items of the failing command that had succeeded were undone too. */
function asRolledBack(answer: Answer): Answer {
  return answer.kind === 'Status' && !isFailure(answer) ? { ...answer, data: String(Status.ROLLED_BACK) } : answer;
}

function isFailure(answer: Answer): boolean {
  return answer.kind === 'Status' && Number(answer.data) >= 300;
}

/** One Status for the whole command: its TargetRef when it has just one Item. */
export function statusOf(command: ServerCommand, code: number, msgRef: string): Answer[] {
  if (command.noResp || isAnswer(command)) return [];
  const items = 'items' in command ? command.items : [];
  const only = items.length === 1 ? items[0] : undefined;
  return [newStatus(command, code, msgRef, only)];
}

/** A Status or Results that stands where a command should, or lacks what it needs: it is never answered. */
export function isAnswer(command: ServerCommand): boolean {
  return command.kind === 'Unusable' && (command.name === 'Status' || command.name === 'Results');
}

/** TargetRef or SourceRef; what is longer than any URI of a node is not repeated. */
export function reference(location: Location | undefined): string[] {
  const uri = location?.uri ?? '';
  return uri !== '' && fitsUriLimits(uri) ? [uri] : [];
}

/** Octets of a part in a message, at most. */
export function sizeOf(part: Part, wire: Wire): number {
  return wire.write(part).bytes;
}

function newStatus(
  command: ServerCommand,
  code: number,
  msgRef: string,
  about?: Item,
  items: readonly Item[] = [],
): Omit<StatusCommand, 'cmdId'> {
  return {
    kind: 'Status',
    msgRef,
    // 0 would mean the SyncHdr: a command that calls itself so has no CmdID.
    cmdRef: command.cmdId === '0' ? '' : command.cmdId,
    cmd: command.kind === 'Unusable' ? command.name : command.kind,
    targetRefs: reference(about?.target),
    sourceRefs: reference(about?.source),
    data: String(code),
    items,
  };
}

/** Status code for an Alert that a server may send to a device without a user interface. */
export function answerAlert(alert: AlertCommand): number {
  if (alert.data === undefined) return Status.INCOMPLETE;
  const code = Number(alert.data);
  const ofSessions: readonly number[] = [Alert.NEXT_MESSAGE, Alert.SESSION_ABORT, Alert.NO_END_OF_DATA];
  if (ofSessions.includes(code)) return Status.OK;
  return Status.NOT_SUPPORTED;
}

/** Alert 1222: it only asks for what the other side still has to say. */
export function isNextMessage(command: ServerCommand): boolean {
  return command.kind === 'Alert' && Number(command.data) === Alert.NEXT_MESSAGE;
}
