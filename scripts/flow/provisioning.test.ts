import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { dmgw, RecordingTerminal } from '../../firmware/cli/terminal.fixture.js';
import { makeCertificate } from '../../firmware/net/certificate.fixture.js';
import { ALERT, get } from './operator.js';
import { MIB, sha256At, testImage, withLab } from './with-lab.js';

describe('provisioning', () => {
  it('takes secrets while the gateway runs and while it does not, and forgets all at a factory reset', async () => {
    const image = await testImage('factory', MIB, 50);
    await withLab('provisioning', { devices: 0, offers: [image.offer] }, async (lab) => {
      const { gateway } = lab;
      const config = join(gateway.stateDir, '../gateway.json');
      const file = join(gateway.stateDir, 'provisioned.json');
      const run = (...words: string[]): ReturnType<typeof dmgw> => dmgw([...words, '--config', config]);
      const provision = (document: unknown): ReturnType<typeof dmgw> =>
        dmgw(['provision', '-', '--config', config], new RecordingTerminal(false, JSON.stringify(document)));
      const secret = (text: string): object => ({ accounts: [{ serverId: 'dm1.lab', client: { secret: text } }] });

      // The server does not know the new secret yet: the old one serves.
      const pid = gateway.child.pid;
      const first = await provision(secret('a-new-secret'));
      assert.deepEqual(first, { code: 0, out: 'provisioned, the gateway has taken it over\n', err: '' });
      assert.equal(gateway.child.pid, pid);
      assert.equal(statSync(file).mode & 0o777, 0o600);
      assert.equal(await lab.read('./DevInfo/Man'), 'Lab');
      assert.match(
        (await run('config', 'show')).out,
        /\naccounts\[0\]\.client\.secret +"?\(hidden\)"? +\S+provisioned\.json\n/,
      );
      const told = JSON.stringify((await gateway.status()).startedAt);
      assert.equal((await provision(secret('a-new-secret'))).out, 'nothing has changed\n');
      assert.equal(JSON.stringify((await gateway.status()).startedAt), told);

      // What is wrong is refused as a whole, and nothing is left of it.
      const before = readFileSync(file, 'utf8');
      for (const [document, reason] of [
        [{ accounts: [{ serverId: 'dm1.lab', url: 'ftp://x/' }] }, /accounts\[0\]\.url: /],
        [{ accounts: [{ serverId: 'dm1.lab', ca: 'no certificate' }] }, /certificate/],
        [{ stateDir: '/' }, /'stateDir' is not provisioned/],
        [{ accounts: [{ url: 'https://x/' }] }, /has no serverId/],
        [[], /is not an object/],
      ] as const) {
        const refused = await provision(document);
        assert.equal(refused.code, 2);
        assert.match(refused.err, reason);
      }
      assert.equal(readFileSync(file, 'utf8'), before);
      assert.deepEqual(
        readdirSync(gateway.stateDir).filter((name) => name.endsWith('.new')),
        [],
      );

      // Certificates become files; one that nothing names any more goes.
      for (const ca of [makeCertificate('one').cert, makeCertificate('two').cert]) {
        assert.equal((await provision({ accounts: [{ serverId: 'dm1.lab', ca }] })).code, 0);
        const [name = '', ...others] = readdirSync(join(gateway.stateDir, 'provisioned'));
        assert.deepEqual(others, []);
        assert.equal(readFileSync(join(gateway.stateDir, 'provisioned', name), 'utf8'), ca);
      }

      assert.equal((await run('factory-reset')).code, 2);
      await gateway.stop();
      assert.equal((await provision(secret('another-one'))).out, 'provisioned\n');
      await gateway.start();
      assert.equal(await lab.read('./DevInfo/Man'), 'Lab');
      const imagesNow = async (): Promise<string[]> => (await gateway.status()).images.map(({ imageId }) => imageId);
      assert.equal((await run('images', 'add', image.file, '--id', 'gone')).code, 0);
      const pidOfReset = gateway.child.pid;
      const again = await run('factory-reset', '--yes', '--keep-provisioning');
      assert.deepEqual(again, { code: 0, out: 'everything is forgotten, the gateway has started anew\n', err: '' });
      assert.equal(gateway.child.pid, pidOfReset);
      assert.deepEqual(await imagesNow(), []);
      assert.ok(existsSync(file));

      // Other software leaves a mark, beside the images or beside the database.
      for (const folder of [gateway.storeDir, gateway.stateDir]) {
        assert.equal((await run('images', 'add', image.file, '--id', 'gone')).code, 0);
        await gateway.stop();
        writeFileSync(join(folder, 'factory-reset'), '');
        await gateway.start();
        assert.deepEqual(await imagesNow(), []);
        assert.deepEqual([file, join(folder, 'factory-reset')].filter(existsSync), []);
      }
      assert.equal((await run('images', 'add', image.file, '--id', 'gone')).code, 0);
      await gateway.stop();
      assert.equal((await run('factory-reset', '--yes')).code, 0);
      assert.deepEqual(readdirSync(gateway.stateDir), []);
      assert.equal(existsSync(join(gateway.storeDir, 'blobs')), false);
      assert.equal((await run('factory-reset', '--yes')).out, 'nothing to remove\n');

      // As in a factory image: the first start finds the image, and nobody is told of a damage.
      const seeded = await run('images', 'add', image.file, '--id', 'factory', '--digest', image.sha256, '--json');
      assert.equal((JSON.parse(seeded.out) as { sha256: string }).sha256, image.sha256);
      assert.equal((await run('images', 'add', image.file, '--id', 'factory')).code, 1);
      const after = await lab.dm.now(lab.gatewayId);
      await gateway.start();
      // Both sides agree on new nonces: those of before are gone with the database.
      const commands = [get('./GwMO/ImageInventory/factory/State')];
      const ids = await lab.dm.queue(lab.gatewayId, commands);
      await lab.wake(lab.dm, true);
      assert.equal((await lab.dm.answers(lab.gatewayId, ids, commands))[0]?.value, '50');
      assert.equal(await sha256At(gateway.localUri('factory')), image.sha256);
      const damage = (await lab.dm.events(lab.gatewayId, after)).filter(({ type }) => type === ALERT.storeDamaged);
      assert.deepEqual(damage, []);

      // A store whose gateway has a database: the next start takes what is new, and what is known stays as it is.
      const second = await testImage('second', MIB, 51);
      await gateway.stop();
      assert.equal((await run('images', 'add', second.file, '--id', 'second', '--image-version', '2')).code, 0);
      assert.equal((await run('images', 'add', second.file, '--id', 'factory')).code, 1);
      await gateway.start();
      assert.deepEqual((await imagesNow()).sort(), ['factory', 'second']);
      assert.equal(await sha256At(gateway.localUri('second')), second.sha256);
      assert.match((await run('images', 'show', 'second')).out, /^state +available \(put into the store\)$/m);
      assert.equal((await run('images', 'remove', 'second')).code, 0);
      await gateway.stop();
      await gateway.start();
      assert.deepEqual(await imagesNow(), ['factory'], 'it is taken once');
    });
  });

  it('seeds a store for a factory image without a configuration', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dmgw-seed-'));
    const file = join(folder, 'image');
    writeFileSync(file, Buffer.alloc(100_000, 1));
    const store = join(folder, 'store');
    const seed = (...words: string[]): ReturnType<typeof dmgw> =>
      dmgw(['image', 'add', file, '--store', store, ...words]);
    const wrong = await seed('--id', 'a', '--digest', '0'.repeat(64));
    assert.deepEqual([wrong.code, readdirSync(join(store, 'blobs')), readdirSync(join(store, 'partial'))], [1, [], []]);
    assert.equal((await seed('--id', 'a/b')).code, 1);
    for (const id of ['a', 'b']) assert.equal((await seed('--id', id, '--name', id)).code, 0);
    const names = readdirSync(join(store, 'blobs')).sort();
    assert.equal(names.length, 2, 'the same content is one blob');
    const sidecar = readFileSync(join(store, 'blobs', names[1] ?? ''), 'utf8');
    const { images } = JSON.parse(sidecar) as { images: { node: string; leaves: { name: string } }[] };
    assert.deepEqual(
      images.map(({ node, leaves }) => [node, leaves.name]),
      [
        ['a', 'a'],
        ['b', 'b'],
      ],
    );
    assert.equal(statSync(join(store, 'blobs', names[0] ?? '')).mode & 0o777, 0o600);
    rmSync(folder, { recursive: true });
  });

  const NO_ROOT = process.getuid?.() === 0 ? false : 'needs root';
  it('seeds the store of a gateway that has a user of its own, as root', { skip: NO_ROOT }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dmgw-seed-'));
    chmodSync(folder, 0o711);
    const [file, store] = [join(folder, 'image'), join(folder, 'store')];
    mkdirSync(store, { mode: 0o700 });
    chownSync(store, 65534, 65534);
    for (const content of ['one', 'two']) {
      writeFileSync(file, content, { mode: 0o600 });
      const added = await dmgw(['images', 'add', file, '--store', store, '--id', content]);
      assert.deepEqual([added.code, added.err], [0, '']);
    }
    const names = readdirSync(store, { recursive: true }) as string[];
    assert.equal(names.length, 7);
    for (const name of names) assert.equal(statSync(join(store, name)).uid, 65534, name);
    rmSync(folder, { recursive: true });
  });
});
