import { success } from '../outcome/index.js';
import {
  treeFailure,
  type ByteSink,
  type ExecRequest,
  type LeafValue,
  type NodePath,
  type Operation,
  type Provider,
  type SinkRequest,
  type Subject,
  type TreeOutcome,
} from '../tree/index.js';

/** One leaf of a record: how it is read (null: not added yet; absent: it cannot be read) and set. */
export interface RecordLeaf<R> {
  readonly read?: (record: R) => LeafValue | null;
  readonly write?: (record: R, value: LeafValue, by: Subject) => TreeOutcome;
  /** Takes an optional leaf away again. */
  readonly remove?: (record: R, by: Subject) => TreeOutcome;
}

export interface Records<R> {
  /** Identity of a record; stays when the record is renamed. */
  readonly idOf: (record: R) => string;
  readonly find: (name: string) => R | undefined;
  /** Names in order after `after`, at most `limit`. */
  readonly names: (after: string | undefined, limit: number) => readonly string[];
  readonly create: (name: string, by: Subject) => TreeOutcome;
  readonly remove: (record: R) => TreeOutcome;
  /** Absent: the gateway names its records itself. */
  readonly rename?: (record: R, name: string) => TreeOutcome;
  /** Leaves by path below the record (`ImageURI`, `Result/Total`). */
  readonly leaves: Readonly<Record<string, RecordLeaf<R>>>;
  /** Sinks of leaves whose values do not go through memory, by path below the record (`Data`). */
  readonly sinks?: Readonly<Record<string, (name: string, request: SinkRequest) => TreeOutcome<ByteSink>>>;
  /** Operations by path below the record (`Operations/Start`). */
  readonly operations: Readonly<Record<string, (record: R, request: ExecRequest) => TreeOutcome<'done' | 'accepted'>>>;
  /** Collections inside a record by the name of the node that holds them (`Target`). */
  readonly collections: Readonly<Record<string, (record: R) => Provider>>;
}

/** `<x>` nodes that are rows of a table, with leaves, operations and collections of the same kind inside. */
export class RecordProvider<R> implements Provider {
  readonly #places: ReadonlySet<string>;

  constructor(private readonly records: Records<R>) {
    const { leaves, operations, collections } = records;
    const paths = [...Object.keys(leaves), ...Object.keys(operations), ...Object.keys(collections)];
    this.#places = new Set(
      paths.flatMap((path) => path.split('/').map((_, n, names) => names.slice(0, n + 1).join('/'))),
    );
  }

  locate(path: NodePath): string | undefined {
    if (path.length === 0) return '';
    const record = this.#recordOf(path);
    if (!record) return undefined;
    const id = this.records.idOf(record);
    const inner = this.#inner(record, path);
    if (inner) {
      const within = inner.provider.locate(inner.path);
      return within === undefined ? undefined : [id, path[1], within].filter((part) => part !== '').join('/');
    }
    if (path.length === 1) return id;
    const key = keyOf(path);
    if (!this.#places.has(key)) return undefined;
    const leaf = this.records.leaves[key];
    const exists = leaf?.read === undefined || leaf.read(record) !== null;
    return exists ? `${id}/${key}` : undefined;
  }

  children(path: NodePath, after: string | undefined, limit: number): readonly string[] {
    if (path.length === 0) return this.records.names(after, limit);
    const record = this.#recordOf(path);
    const inner = record && this.#inner(record, path);
    return inner ? inner.provider.children(inner.path, after, limit) : [];
  }

  read(path: NodePath): TreeOutcome<LeafValue> {
    const record = this.#recordOf(path);
    const inner = record && this.#inner(record, path);
    if (inner) return inner.provider.read(inner.path);
    const value = record && this.records.leaves[keyOf(path)]?.read?.(record);
    return value === undefined || value === null ? noSuchNode() : success(value);
  }

  stage(operation: Operation): TreeOutcome {
    const { path } = operation;
    const record = this.#recordOf(path);
    const inner = record && this.#inner(record, path);
    if (inner && inner.path.length > 0) return inner.provider.stage({ ...operation, path: inner.path });
    if (path.length < 2) {
      if (operation.kind === 'add') return this.records.create(path[0] ?? '', operation.by);
      return record && operation.kind === 'delete' ? this.records.remove(record) : noSuchNode();
    }
    const leaf = record && this.records.leaves[keyOf(path)];
    const staged =
      operation.kind === 'delete'
        ? record && leaf?.remove?.(record, operation.by)
        : record && operation.value !== undefined && leaf?.write?.(record, operation.value, operation.by);
    return staged || treeFailure('not-allowed', 'the node cannot be changed');
  }

  rename(path: NodePath, name: string, by: Subject): TreeOutcome {
    const record = this.#recordOf(path);
    const inner = record && this.#inner(record, path);
    if (inner) return inner.provider.rename?.(inner.path, name, by) ?? notRenamable();
    return record && path.length === 1 ? (this.records.rename?.(record, name) ?? notRenamable()) : noSuchNode();
  }

  writeSink(path: NodePath, request: SinkRequest): TreeOutcome<ByteSink> | undefined {
    return this.records.sinks?.[keyOf(path)]?.(path[0] ?? '', request);
  }

  exec(request: ExecRequest): TreeOutcome<'done' | 'accepted'> {
    const record = this.#recordOf(request.path);
    const inner = record && this.#inner(record, request.path);
    if (inner) return inner.provider.exec({ ...request, path: inner.path });
    const operation = this.records.operations[keyOf(request.path)];
    return record && operation ? operation(record, request) : noSuchNode();
  }

  #recordOf(path: NodePath): R | undefined {
    const name = path[0];
    return name === undefined ? undefined : this.records.find(name);
  }

  /** The collection inside a record that the node belongs to. */
  #inner(record: R, path: NodePath): { provider: Provider; path: NodePath } | undefined {
    const head = path[1];
    const { collections } = this.records;
    const collection = head !== undefined && Object.hasOwn(collections, head) ? collections[head] : undefined;
    return collection && { provider: collection(record), path: path.slice(2) };
  }
}

/** The path below the record. Most leaves stand right below it. */
function keyOf(path: NodePath): string {
  return path.length === 2 ? (path[1] ?? '') : path.slice(1).join('/');
}

function notRenamable(): TreeOutcome<never> {
  return treeFailure('not-allowed', 'the node keeps its name');
}

function noSuchNode(): TreeOutcome<never> {
  return treeFailure('not-found', 'there is no such node');
}
