import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { success } from '../outcome/index.js';
import type { NodePath, Provider } from '../tree/index.js';
import { RecordProvider } from './records.js';

interface Box {
  readonly id: number;
  name: string;
  color: string | null;
  readonly things: Map<string, string>;
}

const by = { serverId: 'A' };
let boxes: Box[];
let provider: Provider;
let executed: string[];

/** Boxes with things in them: leaves of every kind, an operation, a collection. */
beforeEach(() => {
  executed = [];
  boxes = [
    { id: 7, name: 'one', color: 'red', things: new Map([['t', 'thing']]) },
    { id: 8, name: 'two', color: null, things: new Map() },
  ];
  const things = (box: Box): Provider =>
    new RecordProvider<[string, string]>({
      idOf: ([name]) => `#${name}`,
      find: (name) => (box.things.has(name) ? [name, box.things.get(name) ?? ''] : undefined),
      names: (after, limit) => [...box.things.keys()].filter((name) => name > (after ?? '')).slice(0, limit),
      create: (name) => success(void box.things.set(name, '')),
      remove: ([name]) => success(void box.things.delete(name)),
      leaves: {
        Value: {
          read: ([, value]) => value,
          write: ([name], value) => success(void box.things.set(name, String(value))),
        },
      },
      operations: {},
      collections: {},
    });
  provider = new RecordProvider<Box>({
    idOf: (box) => String(box.id),
    find: (name) => boxes.find((box) => box.name === name),
    names: (after, limit) =>
      boxes
        .map(({ name }) => name)
        .filter((name) => name > (after ?? ''))
        .slice(0, limit),
    create: (name) => success(void boxes.push({ id: 9, name, color: null, things: new Map() })),
    remove: (box) => success(void boxes.splice(boxes.indexOf(box), 1)),
    rename: (box, name) => success(void (box.name = name)),
    leaves: {
      Color: {
        read: (box) => box.color,
        write: (box, value) => success(void (box.color = String(value))),
        remove: (box) => success(void (box.color = null)),
      },
      'Result/Count': { read: (box) => String(box.things.size) },
      Secret: { write: () => success() },
    },
    operations: {
      'Do/Shake': (box, { correlator }) => {
        executed.push(`${box.name} ${correlator ?? ''}`);
        return success('accepted');
      },
    },
    collections: { Things: things },
  });
});

describe('locate', () => {
  const cases: readonly (readonly [path: string, identity: string | undefined])[] = [
    ['', ''],
    ['one', '7'],
    ['none', undefined],
    ['one/Color', '7/Color'],
    ['two/Color', undefined],
    ['two/Secret', '8/Secret'],
    ['one/Result', '7/Result'],
    ['one/Result/Count', '7/Result/Count'],
    ['one/Result/None', undefined],
    ['one/Do/Shake', '7/Do/Shake'],
    ['one/Things', '7/Things'],
    ['one/Things/t', '7/Things/#t'],
    ['one/Things/t/Value', '7/Things/#t/Value'],
    ['one/Things/u', undefined],
    ['none/Things/t', undefined],
    ['one/constructor', undefined],
    ['one/__proto__', undefined],
  ];
  for (const [path, identity] of cases) {
    it(`${path || 'the mount point'}: ${identity ?? 'does not exist'}`, () =>
      assert.equal(provider.locate(split(path)), identity));
  }
  it('keeps the identity of everything below a record that is renamed', () => {
    assert.ok(provider.rename?.(['one'], 'renamed', by).ok);
    assert.equal(provider.locate(['renamed', 'Things', 't', 'Value']), '7/Things/#t/Value');
    assert.equal(provider.locate(['one']), undefined);
  });
});

describe('rename', () => {
  for (const [what, path, code] of [
    ['a record that is not there', 'none', 'not-found'],
    ['a leaf', 'one/Color', 'not-found'],
    ['the record of a collection whose owner names them', 'one/Things/t', 'not-allowed'],
  ] as const) {
    it(`refuses ${what}`, () => {
      const renamed = provider.rename?.(split(path), 'x', by);
      assert.equal(renamed?.ok ? 'ok' : renamed?.error.code, code);
    });
  }
});

describe('children', () => {
  it('are the records, in pages, and those of a collection; fixed names are the definition’s', () => {
    assert.deepEqual(provider.children([], undefined, 1), ['one']);
    assert.deepEqual(provider.children([], 'one', 5), ['two']);
    assert.deepEqual(provider.children(['one', 'Things'], undefined, 5), ['t']);
    assert.deepEqual(provider.children(['one'], undefined, 5), []);
  });
});

describe('stage and exec', () => {
  const stage = (kind: 'add' | 'replace', path: string, value?: string): string => {
    const common = { path: split(path), by };
    const done = provider.stage(kind === 'add' ? { kind, ...common, value } : { kind, ...common, value: value ?? '' });
    return done.ok ? 'ok' : done.error.code;
  };
  const remove = (path: string): string => {
    const done = provider.stage({ kind: 'delete', path: split(path), by });
    return done.ok ? 'ok' : done.error.code;
  };

  it('make, change and remove records, leaves and what is in a collection', () => {
    assert.equal(stage('add', 'three'), 'ok');
    assert.equal(stage('add', 'three/Color', 'blue'), 'ok');
    assert.equal(stage('add', 'three/Things/x'), 'ok');
    assert.equal(stage('replace', 'three/Things/x/Value', 'new'), 'ok');
    assert.deepEqual(provider.read(['three', 'Things', 'x', 'Value']), success('new'));
    assert.equal(remove('three/Color'), 'ok');
    assert.equal(provider.locate(['three', 'Color']), undefined);
    assert.equal(remove('three/Things/x'), 'ok');
    assert.equal(remove('three'), 'ok');
    assert.deepEqual(
      boxes.map(({ name }) => name),
      ['one', 'two'],
    );
  });
  it('refuse what cannot be written, and what is not there', () => {
    assert.equal(stage('replace', 'one/Result/Count', '5'), 'not-allowed');
    assert.equal(stage('replace', 'none/Color', 'x'), 'not-allowed');
    assert.equal(remove('one/Secret'), 'not-allowed');
    assert.equal(remove('none'), 'not-found');
    assert.equal(stage('replace', 'one', 'x'), 'not-found');
  });
  it('start the operation of one record, with its correlator', () => {
    const request = { argument: undefined, correlator: 'c7', by };
    assert.deepEqual(provider.exec({ ...request, path: ['two', 'Do', 'Shake'] }), success('accepted'));
    assert.ok(!provider.exec({ ...request, path: ['none', 'Do', 'Shake'] }).ok);
    assert.ok(!provider.exec({ ...request, path: ['one', 'Color'] }).ok);
    assert.deepEqual(executed, ['two c7']);
  });
  it('a leaf that can only be written has no value', () => {
    assert.ok(!provider.read(['one', 'Secret']).ok);
  });
});

function split(path: string): NodePath {
  return path === '' ? [] : path.split('/');
}
