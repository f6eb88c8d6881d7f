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
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { makeCertificate, NO_CERTIFICATES } from '../net/certificate.fixture.js';
import { account, minimal } from './example.fixture.js';
import { loadConfiguration, provision } from './index.js';

/** Any user but root. */
const OWNER = 65534;

const NO_ROOT = process.getuid?.() === 0 ? NO_CERTIFICATES : 'needs root';

describe("root's provisioning of a gateway that has a user of its own", { skip: NO_ROOT }, () => {
  let folder = '';
  let file = '';
  let stateDir = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dmgw-provision-'));
    chmodSync(folder, 0o711);
    stateDir = join(folder, 'state');
    mkdirSync(stateDir, { mode: 0o700 });
    file = join(folder, 'dmgw.json');
    writeFileSync(file, JSON.stringify({ ...minimal(), stateDir, accounts: [account()] }), { mode: 0o600 });
    for (const path of [stateDir, file]) chownSync(path, OWNER, OWNER);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const ofDevice = (changes: object): object => ({ accounts: [{ serverId: 'srv', ...changes }] });
  const run = async (document: object): Promise<boolean | string> => {
    const done = await provision({ file }, document, 0);
    assert.deepEqual([process.geteuid?.(), process.getegid?.()], [0, 0]);
    return done.ok ? done.value : done.error.text;
  };

  it('is taken again and again, and all of it belongs to that user', async () => {
    const { cert, key } = makeCertificate('gateway.example');
    const groups = process.getgroups?.();
    assert.equal(await run(ofDevice({ client: { secret: 'one' }, cert, key })), true);
    assert.equal(await run(ofDevice({ client: { secret: 'two' } })), true);
    assert.equal(await run(ofDevice({ client: { secret: 'two' } })), false);
    assert.deepEqual(process.getgroups?.(), groups);
    const names = readdirSync(stateDir, { recursive: true }) as string[];
    assert.equal(names.length, 4);
    for (const name of names) {
      const { uid, gid, mode } = lstatSync(join(stateDir, name));
      assert.deepEqual([uid, gid, mode & 0o077], [OWNER, OWNER, 0], name);
    }
    for (const uid of [0, OWNER]) {
      const loaded = loadConfiguration({ file }, uid);
      assert.ok(loaded.ok, loaded.ok ? '' : loaded.error.text);
      assert.equal(loaded.value.configuration.accounts[0]?.client.secret, 'two');
    }
  });

  it('follows no link to where that user may not write', async () => {
    const foreign = join(folder, 'foreign');
    mkdirSync(foreign);
    writeFileSync(join(foreign, 'passwd'), 'root');
    symlinkSync(foreign, join(stateDir, 'provisioned'));
    const { cert } = makeCertificate('dm.example');
    assert.match(String(await run(ofDevice({ ca: cert }))), /cannot be written \(EACCES/);
    assert.match(String(await run(ofDevice({ client: { secret: 'one' } }))), /cannot be written \(EACCES/);
    assert.deepEqual(readdirSync(foreign), ['passwd']);
    assert.equal(readFileSync(join(foreign, 'passwd'), 'utf8'), 'root');
  });

  it('reads no file through a link that this user may not read', async () => {
    const secret = join(folder, 'secret.json');
    writeFileSync(secret, JSON.stringify(ofDevice({ name: 'x' })), { mode: 0o600 });
    symlinkSync(secret, join(stateDir, 'provisioned.json'));
    assert.match(String(await run(ofDevice({ client: { secret: 'one' } }))), /cannot be read \(EACCES/);
  });

  it('takes nothing else from what was provisioned, however it came there: the folder is not of root', async () => {
    const provisioned = join(stateDir, 'provisioned.json');
    for (const [key, value] of [
      ['storeDir', '/etc'],
      ['requireMount', '/'],
    ] as const) {
      writeFileSync(provisioned, JSON.stringify({ device: { model: 'R2' }, [key]: value }), { mode: 0o600 });
      chownSync(provisioned, OWNER, OWNER);
      const text = `${provisioned}: '${key}' is not provisioned; expected accounts, device, retrieve`;
      const loaded = loadConfiguration({ file }, 0);
      assert.equal(loaded.ok ? '' : loaded.error.text, text);
      assert.equal(await run(ofDevice({ name: 'x' })), text);
    }
  });

  it('makes a folder that is missing for whom the one above it belongs to', async () => {
    const inner = join(stateDir, 'inner');
    writeFileSync(file, JSON.stringify({ ...minimal(), stateDir: inner, accounts: [account()] }));
    assert.equal(await run(ofDevice({ client: { secret: 'one' } })), true);
    assert.ok(existsSync(join(inner, 'provisioned.json')));
    assert.deepEqual(
      [inner, join(inner, 'provisioned.json')].map((path) => lstatSync(path).uid),
      [OWNER, OWNER],
    );
  });
});
