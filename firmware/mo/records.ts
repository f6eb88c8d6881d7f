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
    const [name, ...rest] = path;
    if (name === undefined) return '';
    const record = this.records.find(name);
    if (!record) return undefined;
    const id = this.records.idOf(record);
    const inner = this.#inner(record, rest);
    if (inner) {
      const within = inner.provider.locate(inner.path);
      return within === undefined ? undefined : [id, rest[0], within].filter((part) => part !== '').join('/');
    }
    if (rest.length === 0) return id;
    const key = rest.join('/');
    if (!this.#places.has(key)) return undefined;
    const leaf = this.records.leaves[key];
    const exists = leaf?.read === undefined || leaf.read(record) !== null;
    return exists ? `${id}/${key}` : undefined;
  }

  children(path: NodePath, after: string | undefined, limit: number): readonly string[] {
    const [name, ...rest] = path;
    if (name === undefined) return this.records.names(after, limit);
    const inner = this.#innerOf(name, rest);
    return inner ? inner.provider.children(inner.path, after, limit) : [];
  }

  read(path: NodePath): TreeOutcome<LeafValue> {
    const [name = '', ...rest] = path;
    const inner = this.#innerOf(name, rest);
    if (inner) return inner.provider.read(inner.path);
    const record = this.records.find(name);
    const value = record && this.records.leaves[rest.join('/')]?.read?.(record);
    return value === undefined || value === null ? noSuchNode() : success(value);
  }

  stage(operation: Operation): TreeOutcome {
    const [name = '', ...rest] = operation.path;
    const inner = this.#innerOf(name, rest);
    if (inner && inner.path.length > 0) return inner.provider.stage({ ...operation, path: inner.path });
    const record = this.records.find(name);
    if (rest.length === 0) {
      if (operation.kind === 'add') return this.records.create(name, operation.by);
      return record && operation.kind === 'delete' ? this.records.remove(record) : noSuchNode();
    }
    const leaf = record && this.records.leaves[rest.join('/')];
    const staged =
      operation.kind === 'delete'
        ? record && leaf?.remove?.(record, operation.by)
        : record && operation.value !== undefined && leaf?.write?.(record, operation.value, operation.by);
    return staged || treeFailure('not-allowed', 'the node cannot be changed');
  }

  rename(path: NodePath, name: string, by: Subject): TreeOutcome {
    const [own = '', ...rest] = path;
    const inner = this.#innerOf(own, rest);
    if (inner) return inner.provider.rename?.(inner.path, name, by) ?? notRenamable();
    const record = this.records.find(own);
    return record && rest.length === 0 ? (this.records.rename?.(record, name) ?? notRenamable()) : noSuchNode();
  }

  writeSink([name = '', ...rest]: NodePath, request: SinkRequest): TreeOutcome<ByteSink> | undefined {
    return this.records.sinks?.[rest.join('/')]?.(name, request);
  }

  exec(request: ExecRequest): TreeOutcome<'done' | 'accepted'> {
    const [name = '', ...rest] = request.path;
    const inner = this.#innerOf(name, rest);
    if (inner) return inner.provider.exec({ ...request, path: inner.path });
    const record = this.records.find(name);
    const operation = this.records.operations[rest.join('/')];
    return record && operation ? operation(record, request) : noSuchNode();
  }

  #innerOf(name: string, rest: NodePath): { provider: Provider; path: NodePath } | undefined {
    const record = this.records.find(name);
    return record && this.#inner(record, rest);
  }

  #inner(record: R, rest: NodePath): { provider: Provider; path: NodePath } | undefined {
    const [head, ...path] = rest;
    const { collections } = this.records;
    const collection = head !== undefined && Object.hasOwn(collections, head) ? collections[head] : undefined;
    return collection && { provider: collection(record), path };
  }
}

function notRenamable(): TreeOutcome<never> {
  return treeFailure('not-allowed', 'the node keeps its name');
}

function noSuchNode(): TreeOutcome<never> {
  return treeFailure('not-found', 'there is no such node');
}
