import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { minimal } from '../config/example.fixture.js';
import { REPORT_FORMAT } from '../ops/index.js';
import { isMarked, markReset, resetIfMarked } from './reset.js';
import { dmgw } from './terminal.fixture.js';

describe('a factory reset', () => {
  let folder = '';
  let config = '';
  let places = { stateDir: '', storeDir: '' };
  const mark = (name: keyof typeof places): string => join(places[name], 'factory-reset');
  const reset = (...words: string[]): ReturnType<typeof dmgw> =>
    dmgw(['factory-reset', '--yes', '--config', config, ...words]);
  const isThere = (): { images: boolean; provisioned: boolean; database: boolean } => ({
    images: existsSync(join(places.storeDir, 'blobs')),
    provisioned: existsSync(join(places.stateDir, 'provisioned.json')),
    database: existsSync(join(places.stateDir, 'dmgw.db')),
  });
  const NOTHING = { images: false, provisioned: false, database: false };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dmgw-reset-'));
    places = { stateDir: join(folder, 'state'), storeDir: join(folder, 'store') };
    for (const path of [places.stateDir, join(places.storeDir, 'blobs')]) mkdirSync(path, { recursive: true });
    // An empty file is an empty database.
    for (const name of ['dmgw.db', 'dmgw.db-wal', 'provisioned.json', 'provisioned.json.new']) {
      writeFileSync(join(places.stateDir, name), '', { mode: 0o600 });
    }
    config = join(folder, 'gateway.json');
    writeFileSync(config, JSON.stringify({ ...minimal(), ...places }), { mode: 0o600 });
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('forgets what was provisioned though it is wrong, and leaves no mark', async () => {
    writeFileSync(join(places.stateDir, 'provisioned.json'), '{"accounts', { mode: 0o644 });
    const { code, err } = await reset();
    assert.deepEqual([code, err], [0, '']);
    assert.deepEqual([readdirSync(places.stateDir), readdirSync(places.storeDir)], [[], []]);
    assert.equal((await reset()).out, 'nothing to remove\n');
  });

  it('goes on where it was cut off, with what it was to keep', async () => {
    const inner = join(places.storeDir, 'blobs');
    await markReset(places, { 'keep-provisioning': true });
    rmSync(inner, { recursive: true });
    assert.equal(isMarked(places), true);
    assert.deepEqual(
      resetIfMarked(places)?.sort(),
      ['dmgw.db', 'dmgw.db-wal'].map((name) => join(places.stateDir, name)),
    );
    assert.deepEqual(isThere(), { ...NOTHING, provisioned: true });
    assert.equal(isMarked(places), false);
    assert.equal((await reset('--keep-provisioning')).out, 'nothing to remove\n');
  });

  it('has its mark in the store where there is no other folder', async () => {
    rmSync(places.stateDir, { recursive: true });
    await markReset(places, {});
    assert.ok(existsSync(mark('storeDir')));
    assert.deepEqual(resetIfMarked(places), [join(places.storeDir, 'blobs')]);
    assert.deepEqual(readdirSync(places.storeDir), []);
  });

  it('keeps what all marks keep', () => {
    writeFileSync(mark('stateDir'), 'keep-images keep-provisioning\n');
    writeFileSync(mark('storeDir'), 'keep-images\n');
    resetIfMarked(places);
    assert.deepEqual(isThere(), { ...NOTHING, images: true });
    writeFileSync(mark('stateDir'), 'keep-images');
    writeFileSync(mark('storeDir'), '');
    resetIfMarked(places);
    assert.deepEqual(isThere(), NOTHING);
    assert.equal(isMarked(places), false);
  });

  it('is asked for by a file only', () => {
    const before = isThere();
    const foreign = join(folder, 'foreign');
    writeFileSync(foreign, 'foreign');
    mkdirSync(mark('stateDir'));
    symlinkSync(foreign, mark('storeDir'));
    assert.equal(isMarked(places), false);
    assert.equal(resetIfMarked(places), undefined);
    assert.deepEqual(isThere(), before);
  });

  it('writes its mark over a link, never through it', async () => {
    const foreign = join(folder, 'foreign');
    writeFileSync(foreign, 'foreign');
    for (const name of [mark('stateDir'), `${mark('stateDir')}.new`]) symlinkSync(foreign, name);
    await markReset(places, { 'keep-images': true });
    assert.ok(lstatSync(mark('stateDir')).isFile());
    assert.deepEqual(
      [readFileSync(mark('stateDir'), 'utf8'), readFileSync(foreign, 'utf8')],
      ['keep-images', 'foreign'],
    );
    assert.equal(existsSync(`${mark('stateDir')}.new`), false);
  });

  it('is marked by root as the owner of the folder', { skip: process.getuid?.() !== 0 && 'needs root' }, async () => {
    chmodSync(folder, 0o755);
    chownSync(places.stateDir, 12345, 23456);
    assert.ok((await markReset(places, {})).ok);
    assert.equal(lstatSync(mark('stateDir')).uid, 12345);
  });

  it('is still to be done, and says so, where the gateway refuses to start anew', async () => {
    const server = createServer((request, response) => {
      const isAsked = request.method === 'GET';
      response.writeHead(isAsked ? 200 : 409, { 'content-type': 'application/json' });
      response.end(JSON.stringify(isAsked ? { format: REPORT_FORMAT } : { error: 'not now' }));
    });
    await new Promise<void>((resolve) => server.listen(join(places.stateDir, 'dmgw.sock'), resolve));
    try {
      const { code, err } = await reset('--keep-images');
      assert.equal(code, 1);
      assert.match(err, /^dmgw: nothing is forgotten yet, the next start does it; [^\n]+\n$/);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
    assert.deepEqual(isThere(), { images: true, provisioned: true, database: true });
    resetIfMarked(places);
    assert.deepEqual(isThere(), { ...NOTHING, images: true });
  });
});
