import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { success } from '../outcome/index.js';
import { A, B, C, code, MemoryProvider, node, open, read, records, value } from './fixture.js';
import { Properties } from './properties.js';
import type { IncomingValue } from './provider.js';
import type { Mount } from './route.js';
import type { Tree } from './tree.js';

describe('the worked example of the standard', () => {
  const provider = new MemoryProvider();
  for (const key of ['Node1', 'Node2', 'Node3', 'Node3/Node4', 'Node3/Node5']) provider.nodes.set(key, key);
  const node3 = node('Node3', 'GRAD', {
    acl: 'Get=B&Replace=B&Delete=B',
    children: [node('Node4', 'GRAD'), node('Node5', 'GRAD', { acl: 'Get=A+B&Replace=A' })],
  });
  const nodeA = node('NodeA', 'GA', {
    acl: 'Get=C&Replace=C',
    children: [node('Node1', 'GRD', { acl: 'Get=*' }), node('New', 'GA')],
  });
  const nodeB = node('NodeB', 'GA', { acl: 'Get=A&Replace=A', children: [node('Node2', 'GR'), node3] });
  let tree: Tree;
  before(() => {
    tree = open([
      { place: ['NodeA'], definition: nodeA, provider },
      { place: ['NodeB'], definition: nodeB, provider },
    ]);
  });

  const servers = { A, B, C };
  type Act = (subject: typeof A) => { readonly ok: boolean };
  const rows: readonly (readonly [what: string, act: Act, allowed: string])[] = [
    ['list NodeA', (by) => tree.get(by, './NodeA'), 'C'],
    ['add below NodeA', (by) => tree.add(by, './NodeA/New', value('x')), ''],
    ['read Node1', (by) => tree.get(by, './NodeA/Node1'), 'ABC'],
    ['replace Node1', (by) => tree.replace(by, './NodeA/Node1', value('x')), ''],
    ['delete Node1', (by) => tree.delete(by, './NodeA/Node1'), ''],
    ['change the ACL of Node1', (by) => tree.replace(by, './NodeA/Node1?prop=ACL', value('Get=*')), 'C'],
    ['read Node2', (by) => tree.get(by, './NodeB/Node2'), 'A'],
    ['replace Node2', (by) => tree.replace(by, './NodeB/Node2', value('x')), 'A'],
    ['list Node3', (by) => tree.get(by, './NodeB/Node3'), 'B'],
    ['read Node4', (by) => tree.get(by, './NodeB/Node3/Node4'), 'B'],
    ['read Node5', (by) => tree.get(by, './NodeB/Node3/Node5'), 'AB'],
    ['replace Node5', (by) => tree.replace(by, './NodeB/Node3/Node5', value('x')), 'A'],
    [
      'change the ACL of Node3',
      (by) => tree.replace(by, './NodeB/Node3?prop=ACL', value('Get=B&Replace=B&Delete=B')),
      'AB',
    ],
    [
      'change the ACL of Node5',
      (by) => tree.replace(by, './NodeB/Node3/Node5?prop=ACL', value('Get=A+B&Replace=A')),
      'B',
    ],
    ['delete Node3', (by) => tree.delete(by, './NodeB/Node3'), 'B'],
  ];
  for (const [what, act, allowed] of rows) {
    it(`${what}: ${allowed || 'nobody'}`, () => {
      const can = Object.entries(servers).flatMap(([name, by]) => (act(by).ok ? [name] : []));
      assert.equal(can.join(''), allowed);
    });
  }

  it('an ACL that is not stored reads as empty, never as the inherited one', () => {
    const own = tree.get('local', './NodeB/Node2?prop=ACL');
    assert.ok(own.ok);
    assert.deepEqual(own.value, { format: 'chr', type: 'text/plain', data: '' });
  });
});

describe('Tree.add', () => {
  it('makes the missing parents on the way, with what they bring along', () => {
    const { tree, provider } = records();
    assert.equal(code(tree.add(A, './Top/Records/r/Name', value('n'))), 'ok');
    assert.equal(read(tree, A, './Top/Records/r/Name'), 'n');
    assert.equal(read(tree, A, './Top/Records/r/State'), 'default');
    assert.equal(code(tree.add(A, './Top/Records/s/Sub/t/Leaf', value('l'))), 'ok', 'through a node that comes along');
    assert.equal(provider.nodes.get('s/Sub/t/Leaf'), 'l');
  });
  it('gives the record to its creator alone, and lists it for nobody else', () => {
    const { tree } = records();
    tree.add(A, './Top/Records/a', value(undefined, 'node'));
    tree.add(B, './Top/Records/b', value(undefined, 'node'));
    assert.equal(read(tree, A, './Top/Records/a?prop=ACL'), 'Add=A&Delete=A&Exec=A&Get=A&Replace=A');
    assert.equal(read(tree, A, './Top/Records'), 'a');
    assert.equal(read(tree, B, './Top/Records'), 'b');
    assert.equal(read(tree, 'local', './Top/Records'), 'a/b');
    assert.equal(read(tree, B, './Top/Records/a'), 'permission-denied');
    assert.equal(code(tree.add(B, './Top/Records/a/Name', value('x'))), 'permission-denied');
    assert.equal(code(tree.exec(B, './Top/Records/a/Do/Drop', undefined, undefined)), 'permission-denied');
  });
  it('leaves nothing behind when the last of several nodes is refused', () => {
    const { tree, provider } = records();
    provider.failOn = 'r/Name';
    assert.equal(code(tree.add(A, './Top/Records/r/Name', value('n'))), 'failed');
    provider.nodes.delete('r');
    assert.equal(read(tree, 'local', './Top/Records/r?prop=ACL'), 'not-found');
    tree.add(B, './Top/Records/r', value(undefined));
    assert.equal(read(tree, B, './Top/Records/r?prop=ACL'), 'Add=B&Delete=B&Exec=B&Get=B&Replace=B');
  });

  const refusals: readonly (readonly [what: string, uri: string, incoming: IncomingValue, expected: string])[] = [
    ['a place that is not defined', './Top/Records/r/Nonsense', value('x'), 'not-allowed'],
    ['a read-only leaf', './Top/Records/r/State', value('x'), 'not-allowed'],
    ['a permanent place', './Top/New', value('x'), 'not-allowed'],
    ['below a leaf', './Top/Records/r/Name/x', value('x'), 'not-allowed'],
    ['what exists', './Top/Records', value(undefined, 'node'), 'already-exists'],
    ['the root', '.', value('x'), 'already-exists'],
    ['a property', './Top/Records/r?prop=Title', value('x'), 'not-allowed'],
    ['a leaf without a value', './Top/Records/r/Name', value(undefined), 'incomplete'],
    ['an interior node called chr', './Top/Records/r', value(undefined, 'chr'), 'bad-format'],
    ['an interior node with a value', './Top/Records/r', value('x'), 'bad-format'],
    [
      'a management object of another kind',
      './Top/Records/r',
      value(undefined, 'node', 'org.example/1.0/X'),
      'bad-format',
    ],
    ['a leaf called node', './Top/Records/r/Name', value('x', 'node'), 'bad-format'],
    ['a child of a named node that is only a way', './Top/Records/r/Sub', value(undefined, 'node'), 'not-allowed'],
  ];
  for (const [what, uri, incoming, expected] of refusals) {
    it(`refuses ${what}: ${expected}`, () => assert.equal(code(records().tree.add(A, uri, incoming)), expected));
  }

  it('gives a creator without Replace on the parent the rights on its node, beside what it inherits', () => {
    const provider = new MemoryProvider();
    const root = node('R', 'G', {
      scope: 'Permanent',
      acl: 'Add=*&Get=*',
      children: [node('x', 'GAD', { children: [node('L', 'GRA')] })],
    });
    const tree = open([{ place: ['R'], definition: root, provider }]);
    tree.add(A, './R/a', value(undefined));
    assert.equal(read(tree, B, './R/a?prop=ACL'), 'Add=*&Delete=A&Get=*&Replace=A');
  });
  it('gives a creator with Replace on the parent nothing: it inherits', () => {
    const provider = new MemoryProvider();
    const root = node('R', 'G', {
      scope: 'Permanent',
      acl: 'Add=A&Get=A&Replace=A',
      children: [node('x', 'GAD', { children: [] })],
    });
    const tree = open([{ place: ['R'], definition: root, provider }]);
    tree.add(A, './R/a', value(undefined));
    assert.equal(read(tree, A, './R/a?prop=ACL'), '');
  });
});

describe('Tree.replace, delete and exec', () => {
  const withRecord = (): ReturnType<typeof records> => {
    const made = records();
    made.tree.add(A, './Top/Records/r/Name', value('n'));
    made.tree.add(A, './Top/Records/r/Secret', value('s'));
    return made;
  };
  const rows: readonly (readonly [what: string, act: (tree: Tree) => ReturnType<typeof code>, expected: string])[] = [
    ['replace a leaf', (t) => code(t.replace(A, './Top/Records/r/Name', value('m'))), 'ok'],
    ['replace a leaf that is not there', (t) => code(t.replace(A, './Top/Records/s/Name', value('m'))), 'not-found'],
    ['replace an interior node', (t) => code(t.replace(A, './Top/Records/r', value('m'))), 'not-allowed'],
    ['replace a read-only leaf', (t) => code(t.replace(A, './Top/Records/r/State', value('m'))), 'not-allowed'],
    ['delete a leaf without Delete', (t) => code(t.delete(A, './Top/Records/r/Name')), 'not-allowed'],
    ['delete a record', (t) => code(t.delete(A, './Top/Records/r')), 'ok'],
    ['delete a permanent node', (t) => code(t.delete(A, './Top/Records')), 'not-allowed'],
    ['delete the root', (t) => code(t.delete(A, '.')), 'not-allowed'],
    ['delete a property', (t) => code(t.delete(A, './Top/Records/r?prop=ACL')), 'not-allowed'],
    ['delete nothing', (t) => code(t.delete(A, './Top/Records/x')), 'not-found'],
    ['exec an operation', (t) => code(t.exec(A, './Top/Records/r/Do/Drop', undefined, undefined)), 'ok'],
    ['exec a leaf without Exec', (t) => code(t.exec(A, './Top/Records/r/Name', undefined, undefined)), 'not-allowed'],
    [
      'exec a property',
      (t) => code(t.exec(A, './Top/Records/r/Do/Drop?prop=Name', undefined, undefined)),
      'not-allowed',
    ],
    ['exec nothing', (t) => code(t.exec(A, './Top/Records/r/Do/Other', undefined, undefined)), 'not-found'],
    ['get a leaf without Get', (t) => code(t.get(A, './Top/Records/r/Secret')), 'not-allowed'],
    ['get nothing', (t) => code(t.get(A, './Top/Nowhere')), 'not-found'],
  ];
  for (const [what, act, expected] of rows) {
    it(`${what}: ${expected}`, () => assert.equal(act(withRecord().tree), expected));
  }

  for (const [how, remove] of [
    ['deleted', (tree: Tree) => tree.delete(A, './Top/Records/r')],
    ['removed by an operation', (tree: Tree) => tree.exec(A, './Top/Records/r/Do/Drop', undefined, undefined)],
    [
      'removed by its owner, outside a session',
      (tree: Tree, provider: MemoryProvider) => {
        tree.forgetNode(['Top', 'Records', 'r']);
        for (const key of [...provider.nodes.keys()]) if (/^r(\/|$)/.test(key)) provider.nodes.delete(key);
        return success();
      },
    ],
  ] as const) {
    it(`a record that was ${how} leaves no ACL for the next one of its name`, () => {
      const { tree, provider } = withRecord();
      tree.replace(A, './Top/Records/r/Name?prop=ACL', value('Get=*'));
      assert.equal(code(remove(tree, provider)), 'ok');
      tree.add(B, './Top/Records/r/Name', value('n'));
      assert.equal(read(tree, 'local', './Top/Records/r/Name?prop=ACL'), '');
      assert.equal(read(tree, A, './Top/Records/r'), 'permission-denied');
    });
  }
});

describe('properties', () => {
  const rows: readonly (readonly [uri: string, expected: string])[] = [
    ['.?prop=ACL', 'Get=*'],
    ['.?prop=Name', '.'],
    ['./Top?prop=Type', ''],
    ['./Top/Records?prop=Type', 'org.example/1.0/R'],
    ['./Top/Records?prop=Format', 'node'],
    ['./Top/Records/r?prop=Name', 'r'],
    ['./Top/Records/r/Name?prop=Name', 'Name'],
    ['./Top/Records/r/Name?prop=Type', 'text/plain'],
    ['./Top/Records/r/Secret?prop=Format', 'chr'],
    ['./Top/Records/r?prop=Title', ''],
    ['./Top/Records/r/Name?prop=Size', '2'],
    ['./Top/Records/r?prop=Size', 'not-supported'],
    ['./Top/Records/r/Secret?prop=Size', 'not-supported'],
    ['./Top/Records/r/State?prop=VerNo', 'not-supported'],
    ['./Top/Records/r/State?prop=TStamp', 'not-supported'],
    ['./Top/Records/r?prop=', 'not-supported'],
    ['./Top/Records/r?prop=Nonsense', 'not-supported'],
    ['./Top/Records/r?list=Struct', 'not-supported'],
    ['./Top/Records/r?prop', 'not-supported'],
    ['./Top/Records/r?x=y', 'bad-uri'],
    ['./Top/Records/r?prop=ACL=1', 'bad-uri'],
    ['./Top/Records/x?prop=ACL', 'not-found'],
  ];
  const { tree } = records();
  tree.add(A, './Top/Records/r/Name', value('é'));
  tree.add(A, './Top/Records/r/Secret', value('s'));
  for (const [uri, expected] of rows) it(`${uri}: '${expected}'`, () => assert.equal(read(tree, A, uri), expected));

  const changes: readonly (readonly [uri: string, data: string | undefined, expected: string])[] = [
    ['./Top/Records/r/Name?prop=Name', 'renamed', 'not-allowed'],
    ['./Top?prop=Name', 'renamed', 'not-allowed'],
    ['.?prop=Name', 'renamed', 'not-allowed'],
    ['./Top/Records?prop=Name', 'renamed', 'not-allowed'],
    ['./Top/Records/r?prop=Format', 'int', 'not-allowed'],
    ['./Top/Records/r?prop=Type', 'x', 'not-allowed'],
    ['./Top/Records/r?prop=Size', '1', 'not-allowed'],
    ['./Top/Records/r?prop=TStamp', '20010711T163817Z', 'not-allowed'],
    ['./Top/Records/r?prop=VerNo', '1', 'not-allowed'],
    ['./Top/Records/r?prop=Nonsense', '1', 'not-supported'],
    ['./Top/Records/r?list=Struct', '1', 'not-supported'],
    ['./Top/Records/r?prop=Title', 'x', 'ok'],
    ['./Top/Records/r/State?prop=Title', 'x', 'ok'],
    ['./Top/Records/r?prop=Title', 'x'.repeat(256), 'too-large'],
    ['./Top/Records/r?prop=Title', undefined, 'incomplete'],
    ['./Top/Records?prop=Title', 'x', 'permission-denied'],
    ['./Top/Records/r?prop=ACL', 'Get=A B', 'bad-value'],
    ['./Top/Records/r?prop=ACL', undefined, 'incomplete'],
    ['./Top/Records?prop=ACL', 'Get=*', 'permission-denied'],
    ['.?prop=ACL', 'Add=A&Get=*', 'permission-denied'],
    ['./Top/Records/r/Name?prop=ACL', 'Get=*', 'ok'],
    ['./Top/Records/r?prop=ACL', ' Get=*&Replace=A\n', 'ok'],
    ['./Top/Records/r?prop=ACL', '', 'ok'],
  ];
  for (const [uri, data, expected] of changes) {
    it(`replace of ${uri} by '${data ?? ''}': ${expected}`, () =>
      assert.equal(code(tree.replace(A, uri, value(data))), expected));
  }
  it('the root keeps an ACL, whoever may change it', () => {
    const made = records();
    new Properties(made.store, made.clock).setAcl('.', 'Get=*&Replace=A');
    assert.equal(code(made.tree.replace(A, '.?prop=ACL', value(''))), 'bad-value');
    assert.equal(code(made.tree.replace(A, '.?prop=ACL', value('Get=*'))), 'ok');
    assert.equal(read(made.tree, B, '.?prop=ACL'), 'Get=*');
  });
  it('an ACL that was emptied inherits again', () => {
    assert.equal(read(tree, B, './Top/Records/r'), 'Name/State/Secret/Sub/Do');
  });
});

describe('a permanent node', () => {
  const provider = new MemoryProvider();
  provider.nodes.set('kept', '');
  const kept = node('x', 'GAD', { scope: 'Permanent', children: [] });
  const list = node('List', 'G', { acl: 'Add=*&Delete=*&Get=*&Replace=*', children: [kept] });
  const tree = open([{ place: ['List'], definition: list, provider }]);
  it('is neither deleted nor renamed, whatever else its definition says', () => {
    assert.equal(code(tree.delete(A, './List/kept')), 'not-allowed');
    assert.equal(code(tree.replace(A, './List/kept?prop=Name', value('lost'))), 'not-allowed');
  });
  it('stays where a new sub-tree does not have it', () => {
    const type = 'application/vnd.syncml.dmtnds+xml';
    const data = '<MgmtTree><Node><NodeName>List</NodeName></Node></MgmtTree>';
    assert.equal(code(tree.replace(A, './List', { format: 'xml', type, data })), 'ok');
    assert.equal(read(tree, A, './List'), 'kept');
  });
});

describe('what changes count', () => {
  const NAME = './Top/Records/r/Name';
  const version = (tree: Tree, uri: string): unknown => read(tree, A, `${uri}?prop=VerNo`);

  it('each change of a node is one, with its time, and its neighbours keep theirs', () => {
    const { tree, clock } = records();
    tree.add(A, NAME, value('n'));
    assert.deepEqual([version(tree, NAME), version(tree, './Top/Records/r')], ['0', '0']);
    assert.equal(read(tree, A, `${NAME}?prop=TStamp`), '20231114T221320Z');
    clock.advance(60_000);
    tree.replace(A, NAME, value('m'));
    tree.replace(A, `${NAME}?prop=Title`, value('t'));
    tree.replace(A, `${NAME}?prop=ACL`, value('Get=A&Replace=A'));
    assert.deepEqual([version(tree, NAME), version(tree, './Top/Records/r')], ['3', '0']);
    assert.equal(read(tree, A, `${NAME}?prop=TStamp`), '20231114T221420Z');
    assert.equal(read(tree, A, './Top/Records/r?prop=TStamp'), '20231114T221320Z');
  });
  it('what is refused is none', () => {
    const { tree, provider } = records();
    tree.add(A, NAME, value('n'));
    provider.failOn = 'r/Name';
    assert.equal(code(tree.replace(A, NAME, value('m'))), 'failed');
    assert.equal(code(tree.replace(A, `${NAME}?prop=ACL`, value('nonsense'))), 'bad-value');
    assert.equal(version(tree, NAME), '0');
  });
  it('the number has 16 bits and wraps', () => {
    const { tree, store } = records();
    tree.add(A, NAME, value('n'));
    store.sql("UPDATE node SET version = 65535 WHERE identity LIKE '%Name'").run();
    tree.replace(A, NAME, value('m'));
    assert.equal(version(tree, NAME), '0');
  });
  it('without a plausible clock there is a number, and no time', () => {
    const { tree, clock } = records();
    tree.add(A, NAME, value('n'));
    clock.isPlausible = false;
    tree.replace(A, NAME, value('m'));
    assert.equal(version(tree, NAME), '1');
    assert.equal(read(tree, A, `${NAME}?prop=TStamp`), 'not-supported');
  });
  it('nodes that the gateway makes itself have neither', () => {
    const { tree, provider } = records();
    for (const name of ['own', 'own/Name']) provider.nodes.set(name, 'x');
    assert.equal(read(tree, 'local', './Top/Records/own/Name?prop=VerNo'), 'not-supported');
  });
  it('a node that is made again begins anew, with neither title nor number of the old one', () => {
    const { tree } = records();
    tree.add(A, NAME, value('n'));
    tree.replace(A, NAME, value('m'));
    tree.replace(A, `${NAME}?prop=Title`, value('t'));
    tree.delete(A, './Top/Records/r');
    tree.add(A, NAME, value('n'));
    assert.deepEqual([version(tree, NAME), read(tree, A, `${NAME}?prop=Title`)], ['0', '']);
  });
});

describe('renaming', () => {
  const withTwo = (): ReturnType<typeof records> => {
    const made = records();
    made.tree.add(A, './Top/Records/r/Name', value('n'));
    made.tree.replace(A, './Top/Records/r?prop=Title', value('title'));
    made.tree.replace(A, './Top/Records/r/Name?prop=ACL', value('Get=A+B'));
    made.tree.add(A, './Top/Records/s', value(undefined));
    made.tree.add(B, './Top/Records/theirs', value(undefined));
    return made;
  };
  const rows: readonly (readonly [what: string, by: typeof A, uri: string, name: string, expected: string])[] = [
    ['to a new name', A, './Top/Records/r', 'q', 'ok'],
    ['to a name that a URI has to encode', A, './Top/Records/r', 'a b?é', 'ok'],
    ['to its own name', A, './Top/Records/r', 'r', 'ok'],
    ['to the name of a sibling', A, './Top/Records/r', 's', 'already-exists'],
    ['to the name of a sibling that it cannot see', A, './Top/Records/r', 'theirs', 'already-exists'],
    ['to nothing', A, './Top/Records/r', '', 'bad-value'],
    ['to a path', A, './Top/Records/r', 'a/b', 'bad-value'],
    ['to dots', A, './Top/Records/r', '..', 'bad-value'],
    ['to a long name', A, './Top/Records/r', 'x'.repeat(129), 'uri-too-long'],
    ['to a name that is long when it is encoded', A, './Top/Records/r', 'é'.repeat(22), 'uri-too-long'],
    ["of another server's node", B, './Top/Records/r', 'q', 'permission-denied'],
    ['of what is not there', A, './Top/Records/x', 'q', 'not-found'],
    ['of a node with a fixed name', A, './Top/Records/r/Name', 'q', 'not-allowed'],
    ['of a permanent node', A, './Top/Records', 'q', 'not-allowed'],
  ];
  for (const [what, by, uri, name, expected] of rows) {
    it(`${what}: ${expected}`, () =>
      assert.equal(code(withTwo().tree.replace(by, `${uri}?prop=Name`, value(name))), expected));
  }
  it('moves everything along: values, rights, titles, numbers', () => {
    const { tree } = withTwo();
    assert.equal(code(tree.replace(A, './Top/Records/r?prop=Name', value('a b'))), 'ok');
    assert.equal(read(tree, A, './Top/Records'), 'a%20b/s');
    assert.equal(read(tree, A, './Top/Records/r'), 'not-found');
    assert.equal(read(tree, A, './Top/Records/a%20b?prop=Name'), 'a b');
    assert.equal(read(tree, A, './Top/Records/a%20b?prop=Title'), 'title');
    assert.equal(read(tree, A, './Top/Records/a%20b?prop=VerNo'), '2');
    assert.equal(read(tree, B, './Top/Records/a%20b/Name'), 'n');
    assert.equal(read(tree, B, './Top/Records/a%20b'), 'permission-denied');
  });
  it('is refused where the URI would be longer than one may be', () => {
    const provider = new MemoryProvider();
    const place = ['a', 'b', 'c', 'd'].map((name) => name.repeat(120));
    const list = node('list', 'G', { acl: 'Add=*&Get=*', children: [node('x', 'GAD', { children: [] })] });
    const tree = open([{ place, definition: list, provider }]);
    const uri = `./${place.join('/')}`;
    assert.equal(code(tree.add(A, `${uri}/r`, value(undefined))), 'ok');
    const rename = (bytes: number): string => code(tree.replace(A, `${uri}/r?prop=Name`, value('x'.repeat(bytes))));
    const room = 512 - uri.length - 1;
    assert.deepEqual([rename(room + 1), rename(room)], ['uri-too-long', 'ok']);
  });
  it('is refused where the owner of the nodes names them', () => {
    const { tree, provider } = withTwo();
    provider.renames = false;
    assert.equal(code(tree.replace(A, './Top/Records/r?prop=Name', value('q'))), 'not-allowed');
  });
  it('a property may come in pieces too', async () => {
    const { tree } = withTwo();
    const sink = tree.receive(A, 'Replace', './Top/Records/r?prop=Title', { format: 'int', type: 'x/y', size: 4 });
    assert.ok(sink.ok);
    assert.ok((await sink.value.write('pie')).ok && (await sink.value.write('ce')).ok);
    const whole = await sink.value.end();
    assert.ok(whole.ok);
    const incoming = { format: 'int', type: 'x/y', data: whole.value };
    assert.equal(code(tree.replace(A, './Top/Records/r?prop=Title', incoming)), 'ok');
    assert.equal(read(tree, A, './Top/Records/r?prop=Title'), 'piece');
    for (const [uri, size, expected] of [
      ['./Top/Records/r?prop=Title', 256, 'too-large'],
      ['./Top/Records/r?prop=VerNo', 1, 'not-allowed'],
    ] as const) {
      assert.equal(code(tree.receive(A, 'Replace', uri, { format: undefined, type: undefined, size })), expected);
    }
  });
});

describe('Tree.copy', () => {
  const R = './Top/Records/r';
  const withTwo = (): ReturnType<typeof records> => {
    const made = records();
    made.tree.add(A, `${R}/Name`, value('n'));
    made.tree.add(A, `${R}/Secret`, value('s'));
    made.tree.add(A, `${R}/Count`, value('7'));
    made.tree.add(A, `${R}/Octets`, value('AAEC'));
    made.tree.add(A, './Top/Records/s/Name', value('other'));
    made.tree.add(B, './Top/Records/theirs/Name', value('t'));
    return made;
  };
  const rows: readonly (readonly [what: string, source: string, target: string, expected: string])[] = [
    ['to a leaf that exists', `${R}/Name`, './Top/Records/s/Name', 'ok'],
    ['to a leaf that does not, in a record that does not', `${R}/Name`, './Top/Records/t/Name', 'ok'],
    ['of a number', `${R}/Count`, './Top/Records/s/Count', 'ok'],
    ['of octets', `${R}/Octets`, './Top/Records/s/Octets', 'ok'],
    ['to itself', `${R}/Name`, `${R}/Name`, 'ok'],
    ['of a read-only leaf', `${R}/State`, './Top/Records/s/Name', 'ok'],
    ['to a read-only leaf', `${R}/Name`, './Top/Records/s/State', 'not-allowed'],
    ['of a leaf that cannot be read', `${R}/Secret`, './Top/Records/s/Name', 'not-allowed'],
    ['to a leaf that cannot be read', `${R}/Name`, './Top/Records/s/Secret', 'ok'],
    ['of a leaf that is not there', './Top/Records/s/Count', `${R}/Count`, 'not-found'],
    ['to a place that is not defined', `${R}/Name`, `${R}/Nonsense`, 'not-allowed'],
    ['of an interior node', R, './Top/Records/t', 'forbidden'],
    ['of an interior node to a leaf', R, './Top/Records/s/Name', 'forbidden'],
    ['to an interior node', `${R}/Name`, './Top/Records/s', 'forbidden'],
    ['to an interior node that is not there', `${R}/Name`, './Top/Records/t', 'forbidden'],
    ['to another format', `${R}/Count`, './Top/Records/s/Name', 'bad-format'],
    ['of octets to text', `${R}/Octets`, './Top/Records/s/Name', 'bad-format'],
    ['of text to octets', `${R}/Name`, './Top/Records/s/Octets', 'bad-format'],
    ["of another server's leaf", './Top/Records/theirs/Name', './Top/Records/s/Name', 'permission-denied'],
    ["to another server's leaf", `${R}/Name`, './Top/Records/theirs/Name', 'permission-denied'],
    ["to a new leaf of another server's record", `${R}/Count`, './Top/Records/theirs/Count', 'permission-denied'],
    ['of a property', `${R}/Name?prop=Name`, './Top/Records/s/Name', 'not-allowed'],
    ['to a property', `${R}/Name`, './Top/Records/s?prop=Title', 'not-allowed'],
    ['of no URI', './Top//r', './Top/Records/s/Name', 'bad-uri'],
    ['to no URI', `${R}/Name`, './Top/Records/s/', 'not-found'],
  ];
  for (const [what, source, target, expected] of rows) {
    it(`${what}: ${expected}`, () => {
      const { tree, provider } = withTwo();
      const before = new Map(provider.nodes);
      assert.equal(code(tree.copy(A, source, target)), expected);
      if (expected !== 'ok') assert.deepEqual(provider.nodes, before);
    });
  }
  it('gives the target the value, counts as a change of it, and leaves the source alone', () => {
    const { tree, provider } = withTwo();
    tree.copy(A, `${R}/Name`, './Top/Records/s/Name');
    tree.copy(A, `${R}/Octets`, './Top/Records/t/Octets');
    assert.equal(read(tree, A, './Top/Records/s/Name'), 'n');
    assert.equal(read(tree, A, './Top/Records/s/Name?prop=VerNo'), '1');
    assert.equal(read(tree, A, `${R}/Name?prop=VerNo`), '0');
    assert.deepEqual(provider.nodes.get('t/Octets'), Buffer.from([0, 1, 2]));
    assert.equal(read(tree, A, './Top/Records/t?prop=ACL'), 'Add=A&Delete=A&Exec=A&Get=A&Replace=A');
  });
});

describe('an account is removed', () => {
  it('its server vanishes from every ACL, and what was its own is inherited again', () => {
    const { tree } = records();
    tree.add(A, './Top/Records/a', value(undefined));
    tree.add(B, './Top/Records/b', value(undefined));
    tree.replace(B, './Top/Records/b?prop=ACL', value('Get=A+B&Replace=B'));
    tree.forgetServer('A');
    assert.equal(read(tree, 'local', './Top/Records/a?prop=ACL'), '');
    assert.equal(read(tree, 'local', './Top/Records/b?prop=ACL'), 'Get=B&Replace=B');
  });
  it('an ACL of a server whose name contains the other stays', () => {
    const { tree } = records();
    tree.add({ serverId: 'AA' }, './Top/Records/a', value(undefined));
    tree.forgetServer('A');
    assert.match(String(read(tree, 'local', './Top/Records/a?prop=ACL')), /Get=AA/);
  });
});

describe('where management objects stand', () => {
  const mount = (...place: string[]): Mount => ({
    place,
    definition: node('M', 'G', { children: [] }),
    provider: new MemoryProvider(),
  });
  it('nodes above them are permanent interior nodes, listed once', () => {
    const tree = open([mount('G', 'A'), mount('G', 'B'), mount('C')]);
    assert.equal(read(tree, A, '.'), 'C/G');
    assert.equal(read(tree, A, './G'), 'A/B');
    assert.equal(code(tree.delete(A, './G')), 'not-allowed');
  });
  for (const [what, mounts] of [
    ['twice at one place', [mount('A'), mount('A')]],
    ['one inside the other', [mount('A'), mount('A', 'B')]],
    ['at the root', [mount()]],
  ] as const) {
    it(`${what}: a mistake of ours, refused loudly`, () => assert.throws(() => open(mounts)));
  }
  it('thousands of children are read in pages, each once and in order', () => {
    const { tree, provider } = records();
    const names = Array.from({ length: 600 }, (_, n) => `n${String(n).padStart(4, '0')}`);
    for (const name of names) provider.nodes.set(name, '');
    assert.equal(read(tree, 'local', './Top/Records'), names.join('/'));
  });
});
