import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { ADDONS, loadAddon, NATIVE, native, NOT_IN_MEMORY, type Native, type NativeHash } from './index.js';

const FAILED = -2;
const KIB = 1024;
const MIB = 1024 * KIB;

const folder = mkdtempSync(join(tmpdir(), 'dmgw-native-'));
after(() => rmSync(folder, { recursive: true }));
const { sendDatagram, sendFile, unacknowledged } = native();

describe('an addon', () => {
  // One that is not of Node-API has functions the first time only that its file is opened.
  for (const name of ADDONS) it(`is opened once: ${name}`, () => assert.equal(loadAddon(name), loadAddon(name)));
});

function fileOf(content: Uint8Array, within = folder): string {
  const file = join(within, `file-${randomBytes(4).toString('hex')}`);
  writeFileSync(file, content);
  return file;
}

interface Connection {
  /** Descriptor of the end that sends. */
  readonly fd: number;
  readonly client: Socket;
  /** What the client has had, which reads only while it is asked to. */
  readonly got: Buffer[];
}

function bytesOf(got: readonly Buffer[]): number {
  return got.reduce((sum, { length }) => sum + length, 0);
}

/** Calls `test` with a connection and an open file. */
async function sending(path: string, test: (connection: Connection, file: number) => Promise<void>): Promise<void> {
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').pause();
  const [socket] = (await once(server, 'connection')) as [Socket & { readonly _handle: { readonly fd: number } }];
  const got: Buffer[] = [];
  client.on('data', (bytes: Buffer) => got.push(bytes)).pause();
  for (const end of [client, socket]) end.on('error', () => {});
  const file = openSync(path, 'r');
  try {
    await test({ fd: socket._handle.fd, client, got }, file);
  } finally {
    closeSync(file);
    client.destroy();
    socket.destroy();
    server.close();
  }
}

/**
 * Sends all that is asked for, while the client reads. What is not in memory is read into it. Where that does not help, as
 * where nothing tells what is in memory, it is written: the slower way that is there for it.
 */
async function sendAll({ fd, client }: Connection, file: number, from: number, length: number): Promise<void> {
  const begunMs = performance.now();
  const bytes = Buffer.alloc(16 * KIB);
  let wasCold = false;
  client.resume();
  for (let position = from; position < from + length;) {
    let taken = sendFile(fd, file, position, from + length - position);
    if (taken === NOT_IN_MEMORY) {
      const read = readSync(file, bytes, 0, Math.min(bytes.length, from + length - position), position);
      if (wasCold) taken = writeNow(fd, bytes.subarray(0, read));
    }
    wasCold = taken === NOT_IN_MEMORY;
    assert.ok(taken >= NOT_IN_MEMORY, `${taken} at ${position}`);
    position += Math.max(taken, 0);
    if (taken === 0) await turn(begunMs);
  }
}

/** Lets the other end have its turn. @throws a minute after the first: a test that only waits would not end by its timeout */
async function turn(begunMs: number): Promise<void> {
  assert.ok(performance.now() - begunMs < 60_000, 'nothing moves');
  await setImmediate();
}

function writeNow(fd: number, bytes: Buffer): number {
  try {
    return writeSync(fd, bytes);
  } catch {
    return 0; // EAGAIN
  }
}

async function hasGot({ client, got }: Connection, expected: Buffer): Promise<void> {
  client.resume();
  const begunMs = performance.now();
  while (bytesOf(got) < expected.length) await turn(begunMs);
  assert.equal(bytesOf(got), expected.length);
  assert.ok(Buffer.concat(got).equals(expected));
}

describe('sendFile', { timeout: 120_000 }, () => {
  const content = randomBytes(9 * MIB + 123);
  const path = fileOf(content);

  for (const [from, length] of [
    [0, content.length],
    [4097, 5 * MIB],
    [256 * KIB - 1, 2],
    [content.length - 1, 1],
    [8 * MIB, MIB + 123],
  ] as const) {
    it(`sends ${length} bytes from ${from} on as they are`, () =>
      sending(path, async (connection, file) => {
        await sendAll(connection, file, from, length);
        await hasGot(connection, content.subarray(from, from + length));
      }));
  }

  it('takes nothing when the connection is full, and goes on when the client has read', (test) =>
    sending(path, async (connection, file) => {
      const sent: Buffer[] = [];
      let full = 0;
      for (let tries = 0; full < 3 && tries < 10_000; tries += 1) {
        const taken = sendFile(connection.fd, file, 0, MIB);
        // It is in memory at most so long as nobody else wants the room.
        if (taken === NOT_IN_MEMORY) {
          test.skip('the file does not stay in memory here');
          return;
        }
        if (taken === 0) full += 1;
        else sent.push(content.subarray(0, taken));
        await setImmediate();
      }
      assert.equal(full, 3);
      assert.ok(bytesOf(sent) > 0);
      await hasGot(connection, Buffer.concat(sent));
    }));

  it('sends no more than the file has, and nothing from beyond its end', () =>
    sending(path, async (connection, file) => {
      const last = sendFile(connection.fd, file, content.length - 10, MIB);
      assert.ok(last === 10 || last === NOT_IN_MEMORY, String(last));
      for (const position of [content.length, content.length + MIB, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
        const taken = sendFile(connection.fd, file, position, MIB);
        assert.ok(taken === 0 || taken === NOT_IN_MEMORY, `${taken} at ${position}`);
      }
      assert.equal(sendFile(connection.fd, file, 0, 0), 0);
      await hasGot(connection, last === 10 ? content.subarray(-10) : Buffer.alloc(0));
    }));

  it('knows positions beyond 4 GiB', () => {
    const from = 4 * 1024 * MIB + 5000;
    const long = fileOf(Buffer.alloc(0));
    const draft = openSync(long, 'r+');
    ftruncateSync(draft, from);
    writeSync(draft, content, 0, MIB, from);
    closeSync(draft);
    return sending(long, async (connection, file) => {
      await sendAll(connection, file, from, MIB);
      await hasGot(connection, content.subarray(0, MIB));
    });
  });

  it('gives a negative number for what is no connection or no file, and for a client that has gone', () =>
    sending(path, async (connection, file) => {
      const { fd, client } = connection;
      const closed = openSync(path, 'r');
      const forWriting = openSync(fileOf(Buffer.alloc(10)), 'a');
      const isFolder = openSync(folder, 'r');
      closeSync(closed);
      for (const [socket, other] of [
        [-1, file],
        [fd, -1],
        [fd, closed],
        [fd, forWriting],
        [fd, isFolder],
        [isFolder, file],
        [fd, fd],
      ] as const) {
        const taken = sendFile(socket, other, 0, 10);
        assert.ok(taken < 0, `${taken} from ${other} to ${socket}`);
      }
      for (const opened of [forWriting, isFolder]) closeSync(opened);
      const wrong = sendFile as (...given: unknown[]) => number;
      for (const given of [
        [],
        [fd, file, 0],
        [fd, file, -1, 10],
        [fd, file, 0, -1],
        ['1', file, 0, 1],
        [fd, file, {}, 1],
      ]) {
        assert.equal(wrong(...given), FAILED, JSON.stringify(given));
      }
      client.resetAndDestroy();
      const begunMs = performance.now();
      let taken = 0;
      while (taken >= 0) {
        taken = sendFile(fd, file, 0, 10);
        await turn(begunMs);
      }
      assert.ok(taken === FAILED || taken === NOT_IN_MEMORY, String(taken));
    }));
});

describe('unacknowledged', () => {
  it('tells the bytes that the other side has not taken, and nothing of what is no connection', () =>
    sending(fileOf(Buffer.alloc(1)), async ({ fd, client }, file) => {
      assert.equal(unacknowledged(fd), 0);
      const bytes = Buffer.alloc(MIB);
      while (writeNow(fd, bytes) > 0);
      assert.ok(unacknowledged(fd) > 0);
      client.resume();
      const begunMs = performance.now();
      while (unacknowledged(fd) > 0) await turn(begunMs);
      const wrong = unacknowledged as (...given: unknown[]) => number;
      for (const given of [[], [file], [-1], ['1']]) assert.equal(wrong(...given), -1, JSON.stringify(given));
    }));
});

const TMPFS_MAGIC = 0x01021994;
/** A folder on a disk: a file in memory cannot be out of it. */
const onDisk = [tmpdir(), resolve('build')].find((name) => statfsSync(name).type !== TMPFS_MAGIC);

/** Has the system forget what it has read of a file. @returns why that cannot be seen here; undefined when it is so */
function whyNotEvicted(path: string): string | undefined {
  const words = [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'];
  if (spawnSync('dd', words).status !== 0) return 'dd cannot have pages forgotten';
  const { status, stdout } = spawnSync('fincore', ['--bytes', '--noheadings', '--output', 'RES', path], {
    encoding: 'utf8',
  });
  if (status !== 0) return 'fincore is not there';
  return Number(stdout) === 0 ? undefined : 'this disk keeps pages in memory';
}

describe('sendFile of what is not in memory', { timeout: 120_000, skip: !onDisk && 'no disk here' }, () => {
  it('does not wait for the disk, and sends what is in memory before it', async (test) => {
    mkdirSync(onDisk ?? '', { recursive: true });
    const disk = mkdtempSync(join(onDisk ?? '', 'dmgw-native-'));
    try {
      const content = randomBytes(16 * MIB);
      const path = fileOf(content, disk);
      const why = whyNotEvicted(path);
      if (why !== undefined) return test.skip(why);
      await sending(path, async (connection, file) => {
        for (const position of [0, 5000, 8 * MIB]) {
          assert.equal(sendFile(connection.fd, file, position, MIB), NOT_IN_MEMORY);
        }
        assert.equal(sendFile(-1, file, 0, MIB), NOT_IN_MEMORY, 'before it looks at the connection');
        readSync(file, Buffer.alloc(1), 0, 1, 9 * MIB - 1);
        assert.equal(sendFile(connection.fd, file, 8 * MIB, MIB), NOT_IN_MEMORY, 'though its end is in memory');
        // Whatever else the system reads ahead, now and while it is sent.
        readSync(file, Buffer.alloc(1), 0, 1, 0);
        const taken = sendFile(connection.fd, file, 0, content.length);
        assert.ok(taken > 0, String(taken));
        await sendAll(connection, file, taken, content.length - taken);
        await hasGot(connection, content);
      });
    } finally {
      rmSync(disk, { recursive: true });
    }
  });
});

/** Every Node.js that we know of has what it takes. */
const { makeHash, addToHash, endHash } = native() as Required<Native>;

function added(hash: NativeHash, bytes: Uint8Array): Promise<boolean> {
  return new Promise((done) => addToHash(hash, bytes, done));
}

function sha256(...pieces: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
}

/** Threads of this process that hash. */
function hashingThreads(): number {
  const names = readdirSync('/proc/self/task').map((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim();
    } catch {
      return ''; // it has ended
    }
  });
  return names.filter((name) => name === 'dmgw-sha256').length;
}

describe('a SHA-256 beside the event loop', { timeout: 120_000 }, () => {
  const bytes = randomBytes(2 * MIB);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;

  it('is that of nothing, of a piece, and of pieces that lie anywhere', async () => {
    assert.equal(endHash(makeHash()).toString('hex'), sha256());
    for (const lengths of [[0], [1], [63, 1, 64], [MIB], [7, 0, 256 * KIB, 65_537]]) {
      const hash = makeHash();
      let at = 3;
      const pieces = lengths.map((length) => bytes.subarray(at, (at += length)));
      for (const piece of pieces) assert.equal(await added(hash, piece), false);
      assert.equal(endHash(hash).toString('hex'), sha256(...pieces));
    }
  });

  it('takes pieces while others are on their way, and tells their ends in this order', async () => {
    const hash = makeHash();
    const pieces = Array.from({ length: 200 }, (_, at) => bytes.subarray(at * 1000, at * 1000 + ((at * 37_813) % MIB)));
    const ended: number[] = [];
    await Promise.all(pieces.map((piece, at) => added(hash, piece).then(() => ended.push(at))));
    assert.deepEqual(ended, [...pieces.keys()]);
    assert.equal(endHash(hash).toString('hex'), sha256(...pieces));
  });

  it('is right where many are on their way', async () => {
    const digests = await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        const hash = makeHash();
        const pieces = Array.from({ length: 8 }, (_, at) => bytes.subarray(index + at, (index + at + 1) * 20_000));
        for (const piece of pieces) assert.equal(await added(hash, piece), false);
        return endHash(hash).toString('hex') === sha256(...pieces);
      }),
    );
    assert.ok(digests.every((isRight) => isRight));
  });

  it('keeps what an addition works on from the collector of garbage', async () => {
    const expected = sha256(Buffer.alloc(4 * MIB, 1), Buffer.alloc(4 * MIB, 2));
    const kept = makeHash();
    for (const value of [1, 2]) {
      const addition = added(kept, Buffer.alloc(4 * MIB, value));
      // Nobody else has this hash, and its digest is never asked for.
      const forgotten = added(makeHash(), Buffer.alloc(4 * MIB, value));
      for (let time = 0; time < 3; time += 1) collect();
      assert.deepEqual(await Promise.all([addition, forgotten]), [false, false]);
    }
    collect();
    assert.equal(endHash(kept).toString('hex'), expected);
  });

  it('takes one thread for all that are open, and none when they have ended or are forgotten', async () => {
    const begunMs = performance.now();
    const untilThereAre = async (threads: number): Promise<void> => {
      while (hashingThreads() !== threads) {
        collect();
        await turn(begunMs);
      }
    };
    await untilThereAre(0);
    const open = Array.from({ length: 20 }, () => makeHash());
    assert.equal(hashingThreads(), 0, 'not before there is work');
    await Promise.all(open.map((hash) => added(hash, bytes)));
    await untilThereAre(1);
    for (const hash of open.splice(0, 19)) endHash(hash);
    assert.equal(hashingThreads(), 1);
    const forgotten = open.splice(0);
    assert.equal(forgotten.length, 1);
    forgotten.length = 0;
    await untilThereAre(0);
    const hash = makeHash();
    assert.equal(await added(hash, bytes), false);
    assert.equal(endHash(hash).toString('hex'), sha256(bytes));
    await untilThereAre(0);
  });

  it('refuses its end while an addition is on its way, and anything that is no hash, no bytes, or no function', async () => {
    const hash = makeHash();
    const addition = added(hash, bytes);
    assert.throws(() => endHash(hash), { code: 'EINVAL' });
    assert.equal(await addition, false);
    const wrong = addToHash as (...given: unknown[]) => void;
    const done = (): void => {};
    for (const given of [
      [],
      [hash, bytes],
      [{}, bytes, done],
      [hash, 'a', done],
      [hash, new Uint16Array(2), done],
      [hash, bytes, {}],
    ]) {
      assert.throws(() => wrong(...given), { code: 'EINVAL' });
    }
    assert.throws(() => endHash({} as NativeHash), { code: 'EINVAL' });
    assert.equal(endHash(hash).toString('hex'), sha256(bytes), 'what was refused has left it as it was');
    assert.throws(() => endHash(hash), { code: 'EINVAL' });
    assert.throws(() => addToHash(hash, bytes, done), { code: 'EINVAL' });
  });
});

describe('a datagram', () => {
  for (const [family, host] of [
    ['udp4', '127.0.0.1'],
    ['udp6', '::1'],
  ] as const) {
    it(`leaves at once for ${host}, byte for byte`, async () => {
      const device = createSocket(family);
      device.bind(0, host);
      await once(device, 'listening');
      const arrived = once(device, 'message') as Promise<[Buffer]>;
      const bytes = randomBytes(1200);
      assert.equal(sendDatagram(host, device.address().port, bytes.subarray(100)), true);
      assert.deepEqual((await arrived)[0], bytes.subarray(100));
      device.close();
    });
  }

  it('that cannot leave is for somebody else', () => {
    const bytes = Buffer.from('x');
    for (const host of ['', 'localhost', '127.0.0.1 ', '::1%lo', `${'0'.repeat(40)}127.0.0.1`, '1.2.3'])
      assert.equal(sendDatagram(host, 9, bytes), false, host);
    // EMSGSIZE; and EACCES, as the socket may not broadcast.
    assert.equal(sendDatagram('127.0.0.1', 9, Buffer.alloc(70_000)), false);
    assert.equal(sendDatagram('255.255.255.255', 9, bytes), false);
    assert.equal(sendDatagram('127.0.0.1', 0x10000, bytes), false);
    assert.equal(sendDatagram('127.0.0.1', 9, 'text' as never), false);
    assert.equal((sendDatagram as () => boolean)(), false);
  });

  it('takes a descriptor for each family, however many there are', () => {
    const open = (): number => readdirSync('/proc/self/fd').length;
    sendDatagram('127.0.0.1', 9, Buffer.from('x'));
    const before = open();
    for (let n = 0; n < 1_000; n += 1) sendDatagram('127.0.0.1', 9, Buffer.from('x'));
    assert.equal(open(), before);
  });
});

/** A script with the native part in `native` and `add`, which adds to many hashes that are open. */
function adding(script: string): string {
  const file = createRequire(import.meta.url).resolve(`./${NATIVE}.node`);
  return `const native = require(${JSON.stringify(file)});
    const bytes = Buffer.alloc(${MIB}, 1);
    const hashes = Array.from({ length: 16 }, () => native.makeHash());
    const add = (done) => { for (let time = 0; time < 4; time += 1) for (const hash of hashes) native.addToHash(hash, bytes, done); };
    ${script}`;
}

const THROWER = `add(() => { throw new RangeError('thrown in done'); });`;

it('the end of the process needs a code', () => {
  assert.throws(() => (native().end as (code?: number) => never)(), /no exit code/);
});

describe('the checksum', () => {
  const { checksum } = native();
  const bytes = Uint8Array.from({ length: 100 }, (_, n) => n * 7);

  it('is another one for each bit, each end, and another place where the two meet', () => {
    const sums = new Set([checksum(bytes, bytes)]);
    for (let bit = 0; bit < 800; bit += 1) {
      const rotten = Uint8Array.from(bytes);
      rotten[bit >> 3] = (rotten[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      sums.add(checksum(rotten, bytes)).add(checksum(bytes, rotten));
    }
    for (let length = 0; length < 100; length += 1) {
      const [head, tail] = [bytes.subarray(0, length), bytes.subarray(length)];
      sums.add(checksum(head, bytes)).add(checksum(bytes, head)).add(checksum(head, tail));
    }
    // Nothing before all of them comes twice.
    assert.equal(sums.size, 1 + 1600 + 299);
    assert.equal(checksum(bytes, bytes), checksum(Uint8Array.from(bytes), bytes));
  });

  it('is refused for what are no bytes', () => {
    for (const other of [undefined, 'text', new Float64Array(1)])
      assert.throws(() => checksum(bytes, other as unknown as Uint8Array), /no bytes/);
  });
});

describe('a thread of Node.js with additions on their way', { timeout: 120_000 }, () => {
  const thread = (script: string): Worker => new Worker(adding(script), { eval: true });

  it('can be ended from without and from within', async () => {
    const fromWithout = thread(`add(() => {}); require('worker_threads').parentPort.postMessage('begun'); for (;;);`);
    await once(fromWithout, 'message');
    assert.equal(await fromWithout.terminate(), 1);
    const fromWithin = thread('add(() => {}); process.exit(7);');
    assert.deepEqual(await once(fromWithin, 'exit'), [7]);
    const hash = makeHash();
    assert.equal(await added(hash, Buffer.alloc(10)), false);
    assert.equal(endHash(hash).toString('hex'), sha256(Buffer.alloc(10)));
  });

  it('ends by what `done` throws, as by what any callback throws', async () => {
    const [thrown] = (await once(thread(THROWER), 'error')) as [Error];
    assert.deepEqual([thrown.name, thrown.message], ['RangeError', 'thrown in done']);
  });
});

describe('a process with additions on their way', { timeout: 120_000 }, () => {
  const run = (script: string): { readonly status: number | null; readonly stdout: string; readonly stderr: string } =>
    // A board's Node.js cannot start itself where it is emulated.
    spawnSync(process.env.LAB_NODE ?? process.execPath, ['-e', adding(script)], { encoding: 'utf8', timeout: 60_000 });

  it('lives until they are done, and not for hashes that are only open', () => {
    const { status, stdout } = run(`let left = 64; add(() => { if (--left === 0) console.log('done'); });`);
    assert.deepEqual([status, stdout], [0, 'done\n']);
  });

  it('can be ended from within, at once and while they end', () => {
    for (const script of [`add(() => {}); process.exit(7);`, `add(() => process.exit(7));`]) {
      const { status, stderr } = run(script);
      assert.deepEqual([status, stderr], [7, '']);
    }
  });

  it('ends by what `done` throws', () => {
    const { status, stderr } = run(THROWER);
    assert.equal(status, 1);
    assert.match(stderr, /RangeError: thrown in done/);
  });
});
