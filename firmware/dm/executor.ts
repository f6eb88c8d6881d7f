import { StoreError, type Store } from '../store/index.js';
import type { IncomingValue, Subject, Tree, TreeErrorCode, TreeOutcome, NodeValue } from '../tree/index.js';
import { Alert, Status } from './codes.js';
import type {
  AlertCommand,
  AtomicCommand,
  Item,
  ItemData,
  Meta,
  ResultsCommand,
  ServerCommand,
  StatusCommand,
} from './message.js';
import { effectiveMeta } from './syncml.js';

/** A Status or Results without the numbers that the session gives when it puts it into a message. */
export type Answer = Omit<StatusCommand, 'cmdId'> | Omit<ResultsCommand, 'cmdId'>;

export interface ExecutionContext {
  readonly tree: Tree;
  readonly store: Store;
  readonly subject: Subject;
  /** MsgID of the message that carried the commands. */
  readonly msgRef: string;
  /** Answers an Alert of the server with a Status code. */
  readonly onAlert: (alert: AlertCommand) => number;
}

/** Status code of each error of the tree (facts 4.4). */
const TREE_STATUS: Readonly<Record<TreeErrorCode, number>> = {
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
  try {
    return context.store.transaction(() => commands.flatMap((command) => execute(command, context)));
  } catch (thrown) {
    if (!(thrown instanceof StoreError)) throw thrown;
    const code = thrown.code === 'full' ? Status.DEVICE_FULL : Status.STORE_FAILURE;
    return refuseCommands(commands, code, context.msgRef);
  }
}

/** Answers every command, and those inside Atomic and Sequence, with the same code; executes none. */
export function refuseCommands(commands: readonly ServerCommand[], code: number, msgRef: string): Answer[] {
  return commands.flatMap((command) => [
    ...statusOf(command, code, msgRef),
    ...('commands' in command ? refuseCommands(command.commands, code, msgRef) : []),
  ]);
}

function execute(command: ServerCommand, context: ExecutionContext): Answer[] {
  switch (command.kind) {
    case 'Atomic':
      return executeAtomic(command, context);
    case 'Sequence':
      return [
        ...statusOf(command, Status.OK, context.msgRef),
        ...command.commands.flatMap((inner) => execute(inner, context)),
      ];
    case 'Alert':
      return statusOf(command, context.onAlert(command), context.msgRef);
    case 'Unusable':
      return statusOf(
        command,
        command.reason === 'unused' ? Status.NOT_IMPLEMENTED : Status.BAD_REQUEST,
        context.msgRef,
      );
    case 'Copy':
      return statusOf(command, Status.NOT_SUPPORTED, context.msgRef);
    case 'Exec':
      if (command.items.length !== 1) return statusOf(command, Status.BAD_REQUEST, context.msgRef);
      return executeItems(command, context);
    case 'Get':
    case 'Add':
    case 'Replace':
    case 'Delete':
      return executeItems(command, context);
  }
}

type ItemCommand = Extract<ServerCommand, { kind: 'Add' | 'Delete' | 'Exec' | 'Get' | 'Replace' }>;

function executeItems(command: ItemCommand, context: ExecutionContext): Answer[] {
  if (command.items.length === 0) return statusOf(command, Status.INCOMPLETE, context.msgRef);
  return command.items.flatMap((item) => {
    const { code, results } = executeItem(command, item, context);
    const status = { ...newStatus(command, code, context.msgRef), targetRefs: item.target ? [item.target.uri] : [] };
    return [...(command.noResp ? [] : [status]), ...results];
  });
}

interface Executed {
  readonly code: number;
  readonly results: readonly Answer[];
}

function executeItem(command: ItemCommand, item: Item, context: ExecutionContext): Executed {
  const uri = item.target?.uri;
  if (uri === undefined || uri === '') return { code: Status.INCOMPLETE, results: [] };
  // Chunks of large objects are not taken: DevDetail/LrgObj says so.
  if (item.moreData) return { code: Status.TOO_LARGE, results: [] };
  const { tree, subject } = context;
  switch (command.kind) {
    case 'Get':
      return executeGet(command, uri, tree.get(subject, uri), context);
    case 'Add':
      return plain(tree.add(subject, uri, incoming(command, item)));
    case 'Replace':
      return plain(tree.replace(subject, uri, incoming(command, item)));
    case 'Delete':
      return plain(tree.delete(subject, uri));
    case 'Exec': {
      const started = tree.exec(subject, uri, item.data, command.correlator);
      if (!started.ok) return plain(started);
      return { code: started.value === 'done' ? Status.OK : Status.ACCEPTED, results: [] };
    }
  }
}

function executeGet(
  command: ItemCommand,
  uri: string,
  outcome: TreeOutcome<NodeValue>,
  context: ExecutionContext,
): Executed {
  if (!outcome.ok) return plain(outcome);
  const isProperty = uri.includes('?prop=');
  const { format, type, data } = outcome.value;
  const results: Answer = {
    kind: 'Results',
    msgRef: context.msgRef,
    cmdRef: command.cmdId,
    items: [
      {
        source: { uri },
        // DMTND: a property is plain text without Meta.
        ...(!isProperty && { meta: valueMeta(format, type) }),
        data: wireData(data),
      },
    ],
  };
  return { code: Status.OK, results: [results] };
}

/** Octets travel base64-encoded in XML, and Meta Format says so. */
function wireData(data: ItemData): ItemData {
  return typeof data === 'string' ? data : Buffer.from(data).toString('base64');
}

function valueMeta(format: string, type: string): Meta {
  return { format: format === 'bin' ? 'b64' : format, type };
}

function plain(outcome: TreeOutcome<unknown>): Executed {
  return { code: outcome.ok ? Status.OK : TREE_STATUS[outcome.error.code], results: [] };
}

function incoming(command: ItemCommand, item: Item): IncomingValue {
  const { format, type } = effectiveMeta(command, item);
  return { format, type, data: item.data };
}

/**
 * All or nothing. The Atomic's Status comes first, then those of its content; after a failure the commands before it
 * are rolled back (216) and those after it are not executed (215). DMREP: no Get, Exec, Atomic or Sequence inside.
 */
function executeAtomic(atomic: AtomicCommand, context: ExecutionContext): Answer[] {
  const executed: Answer[][] = [];
  const forbidden = atomic.commands.findIndex((inner) => !MAY_STAND_IN_ATOMIC.has(inner.kind));
  const outcome =
    forbidden >= 0
      ? { ok: false as const, failed: forbidden }
      : context.store.tentative(() => {
          for (const [index, inner] of atomic.commands.entries()) {
            const answers = execute({ ...inner, noResp: false }, context);
            executed.push(answers);
            if (answers.some(isFailure)) return { ok: false as const, failed: index };
          }
          return { ok: true as const, failed: -1 };
        });
  const status = statusOf(atomic, outcome.ok ? Status.OK : Status.ATOMIC_FAILED, context.msgRef);
  if (outcome.ok) return [...status, ...executed.flat()];
  const content = atomic.commands.flatMap((inner, index) => {
    if (index > outcome.failed) return refuseCommands([inner], Status.NOT_EXECUTED, context.msgRef);
    if (index < outcome.failed) {
      const code = forbidden >= 0 ? Status.NOT_EXECUTED : Status.ROLLED_BACK;
      return refuseCommands([inner], code, context.msgRef);
    }
    if (forbidden >= 0) return statusOf(inner, Status.COMMAND_FAILED, context.msgRef);
    return (executed[index] ?? []).map(asRolledBack);
  });
  return [...status, ...content];
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
function statusOf(command: ServerCommand, code: number, msgRef: string): Answer[] {
  if (command.noResp) return [];
  const items = 'items' in command ? command.items : [];
  const only = items.length === 1 ? items[0] : undefined;
  return [
    {
      ...newStatus(command, code, msgRef),
      targetRefs: only?.target ? [only.target.uri] : [],
      sourceRefs: only?.source ? [only.source.uri] : [],
    },
  ];
}

function newStatus(command: ServerCommand, code: number, msgRef: string): Omit<StatusCommand, 'cmdId'> {
  return {
    kind: 'Status',
    msgRef,
    cmdRef: command.cmdId,
    cmd: command.kind === 'Unusable' ? command.name : command.kind,
    targetRefs: [],
    sourceRefs: [],
    data: String(code),
    items: [],
  };
}

/** Status code for an Alert that a server may send to a device without a user interface. */
export function answerAlert(alert: AlertCommand): number {
  if (alert.data === undefined) return Status.INCOMPLETE;
  const code = Number(alert.data);
  if (code === Alert.NEXT_MESSAGE || code === Alert.SESSION_ABORT) return Status.OK;
  return Status.NOT_SUPPORTED;
}
