/** For the tests of this room: definitions in short, nodes in memory, a tree on a database of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { ManualClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { success } from '../outcome/index.js';
import type { Store } from '../store/index.js';
import { openTestStore } from '../store/store.fixture.js';
import type { Access, NodeDefinition } from './definition.js';
import { treeFailure } from './errors.js';
import { treeChanges, treeSchema } from './properties.js';
import type { IncomingValue, LeafValue, NodePath, Provider } from './provider.js';
import type { Mount } from './route.js';
import { Tree } from './tree.js';

const LETTERS: Readonly<Record<string, readonly Access[]>> = {
  G: ['Get', 'Copy'],
  R: ['Replace'],
  A: ['Add'],
  D: ['Delete'],
  X: ['Exec'],
};
const access = (letters: string): Access[] => letters.split('').flatMap((letter) => LETTERS[letter] ?? []);

/** A definition in short: named leaf or interior node, `x` for one with a run-time name. */
export function node(key: string, letters: string, more: Partial<NodeDefinition> = {}): NodeDefinition {
  const runTime = key === 'x';
  return {
    key,
    name: runTime ? undefined : key,
    format: more.children ? 'node' : 'chr',
    access: access(letters),
    occurrence: runTime ? 'ZeroOrMore' : 'One',
    scope: 'Dynamic',
    versioned: /[RA]/.test(letters),
    description: '',
    ...more,
  };
}

/** Nodes in memory by their path, with run-time names at the top and below `Sub`; a record brings `brings` along. */
export class MemoryProvider implements Provider {
  readonly nodes = new Map<string, LeafValue>([['', '']]);
  readonly initial = new Map<string, string>();
  failOn = '';
  executed: string[] = [];
  brings: readonly string[] = [];

  /** The name that a record was made with is its identity. */
  readonly #madeAs = new Map<string, string>();
  renames = true;

  locate(path: NodePath): string | undefined {
    if (!this.nodes.has(path.join('/'))) return undefined;
    const [head = '', ...rest] = path;
    return [...(path.length === 0 ? [] : [this.#madeAs.get(head) ?? head]), ...rest]
      .map((name) => `#${name}`)
      .join('/');
  }
  rename([from = '']: NodePath, to: string): ReturnType<Provider['stage']> {
    if (!this.renames) return treeFailure('not-allowed', 'as the test wants');
    for (const [key, value] of [...this.nodes]) {
      if (key !== from && !key.startsWith(`${from}/`)) continue;
      this.nodes.delete(key);
      this.nodes.set(`${to}${key.slice(from.length)}`, value);
    }
    this.#madeAs.set(to, this.#madeAs.get(from) ?? from);
    return success();
  }
  children(path: NodePath, after: string | undefined, limit: number): readonly string[] {
    const prefix = path.length === 0 ? '' : `${path.join('/')}/`;
    const names = [...this.nodes.keys()].flatMap((key) => {
      const rest = key.startsWith(prefix) ? key.slice(prefix.length) : '';
      return rest === '' || rest.includes('/') || !(prefix === '' || prefix.endsWith('/Sub/')) ? [] : [rest];
    });
    return names
      .sort()
      .filter((name) => after === undefined || name > after)
      .slice(0, limit);
  }
  read(path: NodePath): ReturnType<Provider['read']> {
    return success(this.nodes.get(path.join('/')) ?? '');
  }
  stage(operation: Parameters<Provider['stage']>[0]): ReturnType<Provider['stage']> {
    const key = operation.path.join('/');
    if (key === this.failOn) return treeFailure('failed', 'as the test wants');
    if (operation.kind === 'delete') {
      for (const name of [...this.nodes.keys()])
        if (name === key || name.startsWith(`${key}/`)) this.nodes.delete(name);
    } else {
      this.nodes.set(key, operation.value ?? '');
      if (operation.path.length === 1 && operation.kind === 'add') {
        for (const name of this.brings) this.nodes.set(`${key}/${name}`, 'default');
      }
    }
    return success();
  }
  exec({ path }: Parameters<Provider['exec']>[0]): ReturnType<Provider['exec']> {
    this.executed.push(path.join('/'));
    if (path.at(-1) === 'Drop') this.stage({ kind: 'delete', path: path.slice(0, 1), by: A });
    return success('done');
  }
  initialAcl(path: NodePath): string | undefined {
    return this.initial.get(path.join('/'));
  }
}

export const A = { serverId: 'A' };
export const B = { serverId: 'B' };
export const C = { serverId: 'C' };

export function value(data: string | undefined, format?: string, type?: string): IncomingValue {
  return { format, type, data };
}

const folder = mkdtempSync(join(tmpdir(), 'tree-'));
const stores: Store[] = [];
after(async () => {
  for (const store of stores) await store.close();
  rmSync(folder, { recursive: true });
});

export function open(mounts: readonly Mount[]): Tree {
  return bench(mounts).tree;
}

export function bench(mounts: readonly Mount[]): { tree: Tree; store: Store; clock: ManualClock } {
  const clock = new ManualClock();
  const store = openTestStore({
    file: join(folder, `db${stores.length}`),
    schema: [...treeSchema, ...treeChanges],
    log: silentLog,
  });
  stores.push(store);
  return { tree: new Tree(store, mounts, clock), store, clock };
}

export const code = (outcome: { readonly ok: boolean; readonly error?: { readonly code: string } }): string =>
  outcome.ok ? 'ok' : (outcome.error?.code ?? '');

export function read(tree: Tree, actor: Parameters<Tree['get']>[0], uri: string): unknown {
  const found = tree.get(actor, uri);
  return found.ok ? found.value.data : found.error.code;
}

/** One management object as the gateway's are: a list of records that their creator owns. */
export function records(): ReturnType<typeof bench> & { provider: MemoryProvider } {
  const provider = new MemoryProvider();
  provider.brings = ['Sub', 'Do', 'Do/Drop', 'State'];
  const record = node('x', 'GAD', {
    ownedByCreator: true,
    children: [
      node('Name', 'GRA', { occurrence: 'ZeroOrOne' }),
      node('State', 'G'),
      node('Secret', 'RA', { occurrence: 'ZeroOrOne' }),
      node('Count', 'GRA', { occurrence: 'ZeroOrOne', format: 'int' }),
      node('Octets', 'GRA', { occurrence: 'ZeroOrOne', format: 'bin' }),
      node('Sub', 'G', { children: [node('x', 'GAD', { children: [node('Leaf', 'GRA')] })] }),
      node('Do', 'G', { children: [node('Drop', 'X', { format: 'null' })] }),
    ],
  });
  const root = node('Records', 'G', {
    scope: 'Permanent',
    type: 'org.example/1.0/R',
    acl: 'Add=*&Get=*',
    children: [record],
  });
  return { ...bench([{ place: ['Top', 'Records'], definition: root, provider }]), provider };
}
