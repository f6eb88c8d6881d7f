import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ManualClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { success } from '../outcome/index.js';
import { StoreError, type Store, type StoreErrorCode } from '../store/index.js';
import { openTestStore } from '../store/store.fixture.js';
import {
  Tree,
  treeFailure,
  treeChanges,
  treeSchema,
  type NodeDefinition,
  type Provider,
  type TreeErrorCode,
} from '../tree/index.js';
import { answerAlert, executeCommands, refuseCommands, type Answer } from './executor.js';
import type { Item, ServerCommand } from './message.js';
import { xmlWire } from './wire.js';

/** Leaves `./Table/<name>` kept in the database, so that a rollback can be seen. */
const SCHEMA = [
  ...treeSchema,
  ...treeChanges,
  { owner: 'test', sql: 'CREATE TABLE leaf (name TEXT PRIMARY KEY, value TEXT NOT NULL)' },
];

const TABLE: NodeDefinition = {
  key: 'Table',
  name: undefined,
  format: 'node',
  access: ['Get'],
  occurrence: 'One',
  scope: 'Permanent',
  description: '',
  acl: 'Add=*&Delete=*&Exec=*&Get=*&Replace=*',
  children: [
    {
      key: 'x',
      name: undefined,
      format: 'chr',
      access: ['Add', 'Delete', 'Exec', 'Get', 'Replace'],
      occurrence: 'ZeroOrMore',
      scope: 'Dynamic',
      description: '',
    },
  ],
};

let folder: string;
let store: Store;
let tree: Tree;
let effects: string[];
/** Names at which the provider does something that it should not, or cannot. */
let trouble: Record<string, () => void>;

const provider: Provider = {
  locate: ([name]) => (name === undefined ? '' : read(name) === undefined ? undefined : name),
  children: () => [],
  read: ([name = '']) => success(read(name) ?? ''),
  stage: (operation) => {
    const [name = ''] = operation.path;
    trouble[name]?.();
    if (operation.kind === 'delete') store.sql('DELETE FROM leaf WHERE name = ?').run(name);
    else {
      const text = 'value' in operation ? String(operation.value) : '';
      if (text in ERRORS) return treeFailure(text as TreeErrorCode, 'as the test wants');
      store.sql('INSERT OR REPLACE INTO leaf VALUES (?, ?)').run(name, text);
    }
    store.afterCommit(() => effects.push(`${operation.kind} ${name}`));
    return success();
  },
  exec: ({ path: [name = ''], correlator }) => {
    store.afterCommit(() => effects.push(`exec ${name} ${correlator ?? ''}`.trim()));
    return success('accepted');
  },
};

/** Status code of every error of the tree (facts 4.3, 4.4). */
const ERRORS: Readonly<Record<TreeErrorCode, number>> = {
  'bad-uri': 400,
  'uri-too-long': 414,
  'not-found': 404,
  'not-allowed': 405,
  'not-supported': 406,
  forbidden: 403,
  'permission-denied': 425,
  'already-exists': 418,
  'bad-format': 415,
  'bad-value': 400,
  incomplete: 412,
  'too-large': 413,
  full: 420,
  busy: 417,
  failed: 500,
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'executor-'));
  store = openTestStore({ file: join(folder, 'db'), schema: SCHEMA, log: silentLog });
  tree = new Tree(store, [{ place: ['Table'], definition: TABLE, provider }], new ManualClock());
  effects = [];
  trouble = {};
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

function read(name: string): string | undefined {
  return store.sql<{ value: string }>('SELECT value FROM leaf WHERE name = ?').get(name)?.value;
}

let nextId = 1;
type ItemKind = 'Add' | 'Delete' | 'Exec' | 'Get' | 'Replace';

function command(kind: ItemKind, ...items: readonly Item[]): ServerCommand {
  nextId += 1;
  return { kind, cmdId: String(nextId), items };
}

function at(name: string, data?: string): Item {
  return { target: { uri: `./Table/${name}` }, ...(data !== undefined && { data }) };
}

function execute(...commands: readonly ServerCommand[]): string[] {
  const context = {
    tree,
    store,
    subject: { serverId: 'A' },
    msgRef: '1',
    log: silentLog,
    wire: xmlWire,
    room: () => Infinity,
  };
  return executeCommands(commands, { ...context, onAlert: answerAlert }).map(short);
}

function short(answer: Answer): string {
  if (answer.kind === 'Results') return `Results ${String(answer.items[0]?.data)}`;
  return `${answer.cmd} ${answer.data}`;
}

describe('every error of the tree', () => {
  for (const [code, status] of Object.entries(ERRORS)) {
    it(`${code}: ${status}`, () => assert.deepEqual(execute(command('Add', at('a', code))), [`Add ${status}`]));
  }
});

describe('one message is one transaction', () => {
  it('side effects come after the commit, in order, and not for what failed', () => {
    const answers = execute(
      command('Add', at('a', 'x')),
      command('Add', at('a', 'x')),
      command('Exec', at('a')),
      command('Delete', at('a')),
    );
    assert.deepEqual(answers, ['Add 200', 'Add 418', 'Exec 202', 'Delete 200']);
    assert.deepEqual(effects, ['add a', 'exec a', 'delete a']);
  });

  const failures: readonly (readonly [StoreErrorCode, number])[] = [
    ['full', 420],
    ['io', 510],
    ['corrupt', 510],
    ['locked', 510],
  ];
  for (const [code, status] of failures) {
    it(`the database fails in the middle (${code}): ${status} for every command, and nothing has happened`, () => {
      trouble['b'] = () => {
        throw new StoreError(code, 'as the test wants');
      };
      const answers = execute(
        command('Add', at('a', 'x')),
        { kind: 'Sequence', cmdId: '90', commands: [command('Get', at('a')), command('Add', at('b', 'x'))] },
        { kind: 'Atomic', cmdId: '91', commands: [command('Add', at('c', 'x'))] },
        { kind: 'Alert', cmdId: '92', data: '1222', items: [] },
      );
      assert.deepEqual(
        answers,
        ['Add', 'Sequence', 'Get', 'Add', 'Atomic', 'Add', 'Alert'].map((name) => `${name} ${status}`),
      );
      assert.equal(read('a'), undefined);
      assert.deepEqual(effects, []);
    });
  }
  it('the database fails at the commit: nothing has happened either', () => {
    const failing: Store = {
      ...bound(store),
      transaction: (work) =>
        store.transaction(() => {
          work();
          throw new StoreError('full', 'the commit fails');
        }),
    };
    const context = {
      tree,
      store: failing,
      subject: { serverId: 'A' },
      msgRef: '1',
      log: silentLog,
      wire: xmlWire,
      room: () => Infinity,
    };
    const answers = executeCommands([command('Add', at('a', 'x'))], { ...context, onAlert: answerAlert });
    assert.deepEqual(answers.map(short), ['Add 420']);
    assert.equal(read('a'), undefined);
    assert.deepEqual(effects, []);
  });
  it('a mistake of ours is not hidden behind a Status', () => {
    trouble['a'] = () => {
      throw new TypeError('a defect');
    };
    assert.throws(() => execute(command('Add', at('a', 'x'))), TypeError);
    assert.equal(read('a'), undefined);
  });
});

describe('Atomic', () => {
  it('leaves the effects of what it rolled back out, and keeps those around it', () => {
    const answers = execute(
      command('Add', at('before', 'x')),
      {
        kind: 'Atomic',
        cmdId: '90',
        commands: [command('Add', at('a', 'x')), command('Delete', at('before')), command('Replace', at('none', 'x'))],
      },
      command('Add', at('behind', 'x')),
    );
    assert.deepEqual(answers, ['Add 200', 'Atomic 507', 'Add 216', 'Delete 216', 'Replace 404', 'Add 200']);
    assert.deepEqual([read('before'), read('a'), read('behind')], ['x', undefined, 'x']);
    assert.deepEqual(effects, ['add before', 'add behind']);
  });
  it('in which a command asks for no Status fails all the same', () => {
    const silent = { ...command('Replace', at('none', 'x')), noResp: true };
    const answers = execute({ kind: 'Atomic', cmdId: '90', commands: [command('Add', at('a', 'x')), silent] });
    assert.equal(answers[0], 'Atomic 507');
    assert.equal(read('a'), undefined);
  });
  it('that is empty has succeeded', () => {
    assert.deepEqual(execute({ kind: 'Atomic', cmdId: '90', commands: [] }), ['Atomic 200']);
  });
});

describe('Get', () => {
  it('reads what an earlier command of the message has written', () => {
    assert.deepEqual(execute(command('Add', at('a', 'x')), command('Get', at('a'))), [
      'Add 200',
      'Get 200',
      'Results x',
    ]);
  });
  it('is refused once the values of the message are more than can be kept', () => {
    store.sql('INSERT INTO leaf VALUES (?, ?)').run('a', 'x'.repeat(600_000));
    const answers = execute(command('Get', at('a'), at('a'), at('a'), at('a')));
    assert.deepEqual(
      answers.filter((answer) => answer.startsWith('Get')),
      ['Get 200', 'Get 200', 'Get 413', 'Get 413'],
    );
  });
});

describe('Exec', () => {
  it('hands on the Correlator', () => {
    execute(command('Add', at('a', 'x')), { ...command('Exec', at('a')), correlator: 'c7' } as ServerCommand);
    assert.deepEqual(effects, ['add a', 'exec a c7']);
  });
  it('with a Correlator of any length is not started', () => {
    const exec = { ...command('Exec', at('a')), correlator: 'c'.repeat(1025) } as ServerCommand;
    assert.deepEqual(execute(command('Add', at('a', 'x')), exec), ['Add 200', 'Exec 413']);
    assert.deepEqual(effects, ['add a']);
  });
});

describe('refuseCommands', () => {
  it('answers each command once, with what stands inside, and executes nothing', () => {
    const inner = command('Add', at('a', 'x'), at('b', 'x'));
    const nested: ServerCommand = {
      kind: 'Sequence',
      cmdId: '8',
      commands: [{ kind: 'Atomic', cmdId: '9', commands: [inner] }],
    };
    assert.deepEqual(refuseCommands([nested, command('Get', at('a'))], 407, '3').map(short), [
      'Sequence 407',
      'Atomic 407',
      'Add 407',
      'Get 407',
    ]);
    assert.equal(read('a'), undefined);
  });
  it('repeats the Target of a single Item, unless no node can have so long a URI', () => {
    const targets = (name: string): readonly string[] => {
      const [status] = refuseCommands([command('Get', at(name))], 407, '3');
      return status?.kind === 'Status' ? status.targetRefs : [];
    };
    assert.deepEqual(targets('a'), ['./Table/a']);
    assert.deepEqual(targets('a'.repeat(600)), []);
  });
});

/** The methods of a store as functions, so that some can be replaced. */
function bound(of: Store): Store {
  return {
    sql: (text) => of.sql(text),
    transaction: (work) => of.transaction(work),
    tentative: (work) => of.tentative(work),
    afterCommit: (effect) => of.afterCommit(effect),
    get generation() {
      return of.generation;
    },
    get rollbacks() {
      return of.rollbacks;
    },
    durable: () => of.durable(),
    journal: of.journal,
    close: () => of.close(),
  };
}
