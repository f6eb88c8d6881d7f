import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { ManualClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { success } from '../outcome/index.js';
import { openTestStore } from '../store/store.fixture.js';
import type { NodeDefinition } from './definition.js';
import { treeFailure, type TreeOutcome } from './errors.js';
import { treeChanges, treeSchema } from './properties.js';
import type { AnnouncedValue, ByteSink, LeafValue, NodePath, Provider } from './provider.js';
import { Tree } from './tree.js';
import type { ValueSink } from './value-sink.js';

const SERVER = { serverId: 'A' };

/** Files below `<x>`: `Data` goes into a sink, `Text` and `Blob` through memory. */
class Files implements Provider {
  readonly values = new Map<string, LeafValue>([['', '']]);
  /** What the sinks took, in order. */
  readonly log: string[] = [];
  room = 1000;

  locate(path: NodePath): string | undefined {
    return this.values.has(path.join('/')) ? path.join('/') : undefined;
  }
  children(): readonly string[] {
    return [];
  }
  read(path: NodePath): TreeOutcome<LeafValue> {
    return success(this.values.get(path.join('/')) ?? '');
  }
  stage(operation: Parameters<Provider['stage']>[0]): TreeOutcome {
    if (operation.kind === 'delete') this.values.delete(operation.path.join('/'));
    else this.values.set(operation.path.join('/'), operation.value ?? '');
    return success();
  }
  exec(): TreeOutcome<never> {
    return treeFailure('not-allowed', '');
  }
  writeSink(path: NodePath, request: { readonly bytes: number | undefined }): TreeOutcome<ByteSink> | undefined {
    if (path.at(-1) !== 'Data') return undefined;
    if ((request.bytes ?? 0) > this.room) return treeFailure('full', 'no room');
    this.log.push(`open ${path.join('/')} ${request.bytes}`);
    const pieces: Buffer[] = [];
    return success({
      write: (octets) => {
        this.log.push(`write ${octets.byteLength}`);
        pieces.push(Buffer.from(octets));
        return Promise.resolve(success());
      },
      end: () => {
        const whole = Buffer.concat(pieces);
        return Promise.resolve(
          success({
            bytes: whole.byteLength,
            stage: (at: NodePath) => {
              this.values.set(at.join('/'), whole);
              return success();
            },
          }),
        );
      },
      discard: () => {
        this.log.push('discard');
        return Promise.resolve();
      },
    });
  }
}

function leaf(key: string, format: 'bin' | 'chr' | 'int', maxBytes: number): NodeDefinition {
  const rest = { occurrence: 'ZeroOrOne', scope: 'Dynamic', description: '' } as const;
  return { key, name: key, format, access: ['Get', 'Replace', 'Add'], maxBytes, ...rest };
}

const record: NodeDefinition = {
  key: 'x',
  name: undefined,
  format: 'node',
  access: ['Get', 'Add', 'Delete'],
  occurrence: 'ZeroOrMore',
  scope: 'Dynamic',
  description: '',
  ownedByCreator: true,
  children: [leaf('Data', 'bin', 30), leaf('Text', 'chr', 30), leaf('Blob', 'bin', 30), leaf('Number', 'int', 30)],
};
const root: NodeDefinition = {
  ...record,
  key: 'Files',
  name: 'Files',
  access: ['Get'],
  scope: 'Permanent',
  occurrence: 'One',
  ownedByCreator: false,
  acl: 'Add=*&Get=*',
  children: [record],
};

const folder = mkdtempSync(join(tmpdir(), 'sink-'));
const store = openTestStore({ file: join(folder, 'db'), schema: [...treeSchema, ...treeChanges], log: silentLog });
after(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

function bench(): { tree: Tree; files: Files } {
  store.sql('DELETE FROM node').run();
  const files = new Files();
  return { files, tree: new Tree(store, [{ place: ['Files'], definition: root, provider: files }], new ManualClock()) };
}

const announced = (size?: number, format?: string): AnnouncedValue => ({ size, format, type: undefined });

function opened(sink: TreeOutcome<ValueSink>): ValueSink {
  assert.ok(sink.ok, sink.ok ? '' : sink.error.text);
  return sink.value;
}

async function fill(sink: ValueSink, pieces: readonly LeafValue[]): ReturnType<ValueSink['end']> {
  for (const piece of pieces) {
    const written = await sink.write(piece);
    if (!written.ok) return written;
  }
  return sink.end();
}

describe('Tree.receive', () => {
  it('hands an image to the sink of its owner, octet for octet, before its node exists', async () => {
    const { tree, files } = bench();
    const sink = opened(tree.receive(SERVER, 'Add', './Files/a/Data', announced(12, 'b64')));
    const value = await fill(sink, ['AAE', 'CA\n', 'wQ', 'FBg==']);
    assert.ok(value.ok);
    assert.equal(files.values.has('a/Data'), false, 'nothing is visible yet');
    const incoming = { format: 'b64', type: undefined, data: value.value };
    assert.ok(tree.add(SERVER, './Files/a/Data', incoming).ok);
    await sink.discard();
    assert.deepEqual(tree.get('local', './Files/a/Data'), {
      ok: true,
      value: { format: 'bin', type: 'text/plain', data: Buffer.from([0, 1, 2, 3, 4, 5, 6]) },
    });
    assert.deepEqual(files.log, ['open a/Data 9', 'write 3', 'write 4', 'discard']);
    assert.equal(read(tree, './Files/a?prop=ACL'), 'Add=A&Delete=A&Exec=A&Get=A&Replace=A', 'its creator owns it');
  });
  it('takes raw octets as they are', async () => {
    const { tree } = bench();
    const sink = opened(tree.receive(SERVER, 'Add', './Files/a/Data', announced(3, 'bin')));
    const value = await fill(sink, [Uint8Array.of(0, 255), Uint8Array.of(65)]);
    assert.ok(value.ok && tree.add(SERVER, './Files/a/Data', { ...announced(), data: value.value }).ok);
    assert.deepEqual(read(tree, './Files/a/Data'), Buffer.from([0, 255, 65]));
  });
  it('collects a text whose octets are cut within a character', async () => {
    const { tree } = bench();
    const sink = opened(tree.receive(SERVER, 'Add', './Files/a/Text', announced(6)));
    const value = await fill(sink, ['a', Uint8Array.of(0xe2, 0x82), Uint8Array.of(0xac), 'é']);
    assert.ok(value.ok && tree.add(SERVER, './Files/a/Text', { ...announced(), data: value.value }).ok);
    assert.equal(read(tree, './Files/a/Text'), 'a€é');
  });
  it('replaces a value, and the old one is there until then', async () => {
    const { tree } = bench();
    assert.ok(tree.add(SERVER, './Files/a/Blob', { ...announced(), data: 'AA==' }).ok);
    const sink = opened(tree.receive(SERVER, 'Replace', './Files/a/Blob', announced(4)));
    const value = await fill(sink, ['AA', 'EC']);
    assert.deepEqual(read(tree, './Files/a/Blob'), Buffer.from([0]));
    assert.ok(value.ok && tree.replace(SERVER, './Files/a/Blob', { ...announced(), data: value.value }).ok);
    assert.deepEqual(read(tree, './Files/a/Blob'), Buffer.from([0, 1, 2]));
  });

  const refusals: readonly (readonly [
    what: string,
    command: 'Add' | 'Replace',
    uri: string,
    announced: AnnouncedValue,
    code: string,
  ])[] = [
    ['an add of what is there', 'Add', './Files/a/Text', announced(1), 'already-exists'],
    ['a replacement of what is not', 'Replace', './Files/a/Blob', announced(1), 'not-found'],
    ['what is not defined', 'Add', './Files/a/Other', announced(1), 'not-allowed'],
    ['an interior node', 'Add', './Files/b', announced(1), 'bad-format'],
    ['a URI that is none', 'Add', './Files//x', announced(1), 'bad-uri'],
    ['another format', 'Add', './Files/a/Number', announced(1, 'chr'), 'bad-format'],
    ['more than the leaf holds', 'Add', './Files/a/Data', announced(44, 'b64'), 'too-large'],
    ['more than there is room for', 'Add', './Files/a/Data', announced(40, 'b64'), 'full'],
    ['what the server may not', 'Replace', './Files/theirs/Text', announced(1), 'permission-denied'],
  ];
  for (const [what, command, uri, said, expected] of refusals) {
    it(`refuses ${what} before its first octet: ${expected}`, () => {
      const { tree, files } = bench();
      files.room = 20;
      assert.ok(tree.add(SERVER, './Files/a/Text', { ...announced(), data: 'x' }).ok);
      assert.ok(tree.add({ serverId: 'B' }, './Files/theirs/Text', { ...announced(), data: 'x' }).ok);
      const sink = tree.receive(SERVER, command, uri, said);
      assert.equal(sink.ok ? 'ok' : sink.error.code, expected);
    });
  }

  const broken: readonly (readonly [what: string, leaf: string, pieces: readonly LeafValue[], code: string])[] = [
    ['more octets than the leaf holds', 'Text', ['x'.repeat(20), 'x'.repeat(11)], 'too-large'],
    ['more octets than the sink of the leaf may take', 'Data', ['AAEC'.repeat(10), 'AAEC'], 'too-large'],
    ['what is not base64', 'Data', ['AAEC', 'A-', '__'], 'bad-value'],
    ['base64 that ends early', 'Blob', ['AAE'], 'bad-value'],
    ['a text that is not UTF-8', 'Text', [Uint8Array.of(0xc3)], 'bad-value'],
    ['a number that is none', 'Number', ['1', 'x'], 'bad-value'],
  ];
  for (const [what, name, pieces, expected] of broken) {
    it(`refuses ${what}: ${expected}, and nothing has changed`, async () => {
      const { tree } = bench();
      const uri = `./Files/a/${name}`;
      const sink = opened(tree.receive(SERVER, 'Add', uri, announced()));
      const value = await fill(sink, pieces);
      const added = value.ok ? tree.add(SERVER, uri, { ...announced(), data: value.value }) : value;
      await sink.discard();
      assert.equal(added.ok ? 'ok' : added.error.code, expected);
      assert.equal(read(tree, './Files/a'), 'not-found');
    });
  }
});

function read(tree: Tree, uri: string): unknown {
  const found = tree.get('local', uri);
  return found.ok ? found.value.data : found.error.code;
}
