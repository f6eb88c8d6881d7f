import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { preparePlaces } from './index.js';

const TMPFS = 0x01021994;
const MEMORY = '/dev/shm';
const noMemory = !existsSync(MEMORY) || statfsSync(MEMORY).type !== TMPFS ? 'no tmpfs here' : false;

describe('the places on disk', () => {
  let folder = '';
  let remembers = false;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dmgw-places-'));
    remembers = statfsSync(folder).type !== TMPFS;
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** Where the temporary folder itself is in memory, that is allowed, except in the tests about it. */
  const places = (changes: object = {}) => ({
    stateDir: join(folder, 'state'),
    storeDir: join(folder, 'deep', 'store'),
    volatile: !remembers,
    ...changes,
  });
  const codeOf = (prepared: ReturnType<typeof preparePlaces>): string => (prepared.ok ? 'ready' : prepared.error.code);

  it('are made where they are missing, for their owner only, and left clean', () => {
    assert.equal(codeOf(preparePlaces(places())), 'ready');
    assert.equal(statSync(join(folder, 'state')).mode & 0o777, 0o700);
    assert.deepEqual(readdirSync(join(folder, 'deep', 'store')), []);
    assert.equal(codeOf(preparePlaces(places())), 'ready');
  });

  it('in memory are refused before anything is made there', { skip: noMemory }, () => {
    const storeDir = join(MEMORY, `dmgw-${process.pid}`, 'store');
    const prepared = preparePlaces(places({ storeDir, volatile: false, ...(!remembers && { stateDir: storeDir }) }));
    assert.ok(!prepared.ok);
    assert.equal(prepared.error.code, 'in-memory');
    assert.match(
      prepared.error.text,
      /^st(ore|ate)Dir: .* is on tmpfs and is lost at a reboot; expected a disk, or volatile set to true$/,
    );
    assert.equal(existsSync(join(MEMORY, `dmgw-${process.pid}`)), false);
  });

  it('in memory are taken when volatile', { skip: noMemory }, () => {
    const root = mkdtempSync(join(MEMORY, 'dmgw-'));
    try {
      const prepared = preparePlaces({ stateDir: join(root, 'a'), storeDir: join(root, 'b'), volatile: true });
      assert.equal(codeOf(prepared), 'ready');
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  it('below a required mount wait for it', () => {
    const prepared = preparePlaces(places({ requireMount: folder }));
    assert.ok(!prepared.ok);
    assert.equal(prepared.error.code, 'not-mounted');
    assert.equal(prepared.error.text, `requireMount: nothing is mounted on ${folder}, which stateDir needs`);
    assert.equal(existsSync(join(folder, 'state')), false);
  });

  it('below a required mount are taken once it is there', () => {
    const table = join(folder, 'mountinfo');
    writeFileSync(table, `22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 8:2 / ${folder} rw - ext4 /dev/sdb1 rw\n`);
    assert.equal(codeOf(preparePlaces(places({ requireMount: folder }), table)), 'ready');
  });

  it('do not wait for a mount that only the other one needs', () => {
    const storeDir = join(folder, 'disk', 'store');
    const prepared = preparePlaces(places({ storeDir, requireMount: join(folder, 'disk') }));
    assert.equal(prepared.ok ? '' : prepared.error.text.slice(-20), 'which storeDir needs');
    assert.equal(existsSync(join(folder, 'state')), true);
  });

  it('know the mount points of the running system', () => {
    assert.equal(codeOf(preparePlaces(places({ requireMount: '/' }), '/dev/null')), 'ready');
  });

  it('are refused where a file has their name', () => {
    writeFileSync(join(folder, 'state'), '');
    assert.equal(codeOf(preparePlaces(places())), 'not-a-folder');
  });

  it('are refused where a file stands on the way', () => {
    writeFileSync(join(folder, 'deep'), '');
    assert.equal(codeOf(preparePlaces(places())), 'not-a-folder');
  });

  it('are refused where nothing can be written', () => {
    const prepared = preparePlaces(places({ stateDir: '/proc/dmgw' }));
    assert.ok(!prepared.ok);
    assert.equal(prepared.error.code, 'not-writable');
    assert.match(prepared.error.text, /^stateDir: \/proc\/dmgw cannot be written \(/);
  });
});
