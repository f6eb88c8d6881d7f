import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { eventually } from '../flow/wait.js';
import { FaultyDisk, STEPS, whyNoFaults } from './faulty-disk.js';

const skip = whyNoFaults() ?? false;

/** The power goes where the steps end. */
const AT_END = 'cut name 1 *END';

interface Ran {
  /** What the steps printed. */
  readonly results: readonly string[];
  readonly cut: boolean;
  /** Names that are left. */
  readonly names: readonly string[];
  /** Content, letters counted: `x600 y400`; a NUL is `-`. Undefined when the file is not there. */
  read(name: string): string | undefined;
}

/** Runs steps on a fresh disk, or on one with these files, which are durable. */
function run(rules: string, steps: string, files: Readonly<Record<string, string>> = {}): Ran {
  const disk = new FaultyDisk('steps', rules);
  try {
    for (const [name, content] of Object.entries(files)) writeFileSync(join(disk.folder, name), content);
    const { stdout, stderr, signal } = spawnSync(STEPS, `${steps} pwrite END 0 e 1`.trim().split(/\s+/), {
      cwd: disk.folder,
      env: disk.environment,
      encoding: 'utf8',
    });
    assert.equal(stderr, '');
    assert.deepEqual(disk.notCovered, []);
    const contents = new Map<string, string>();
    const names = readdirSync(disk.folder, { recursive: true, encoding: 'utf8' }).sort();
    for (const name of names) {
      try {
        contents.set(name, counted(readFileSync(join(disk.folder, name), 'latin1')));
      } catch {
        // a folder
      }
    }
    return {
      results: stdout.trimEnd().split('\n'),
      cut: signal === 'SIGKILL',
      names,
      read: (name) => contents.get(name),
    };
  } finally {
    disk.remove();
  }
}

function counted(text: string): string {
  const runs = text.match(/([^])\1*/g) ?? [];
  return runs.map((letters) => `${letters.startsWith('\0') ? '-' : letters.slice(0, 1)}${letters.length}`).join(' ');
}

const X1000 = { a: 'x'.repeat(1000) };

describe('a power cut takes what was not synced', { skip }, () => {
  const rows: readonly [string, string, Readonly<Record<string, string>>, string | undefined][] = [
    ['what was written over', 'pwrite a 300 y 400', X1000, 'x1000'],
    ['what pwritev wrote', 'pwritev a 300 y 400', X1000, 'x1000'],
    ['what was appended by writev', 'append a y 3000', X1000, 'x1000'],
    ['what was appended by write', 'append a y 1', X1000, 'x1000'],
    ['what was written through a copy of the descriptor', 'dup a y 700', X1000, 'x1000'],
    ['a truncation', 'cut a 10', X1000, 'x1000'],
    ['a truncation by open', 'empty a', X1000, 'x1000'],
    ['a truncation and what was written after it', 'cut a 600 append a y 900', X1000, 'x1000'],
    ['growth by truncation', 'cut a 5000', X1000, 'x1000'],
    ['only what came after the sync', 'pwrite a 0 y 500 sync a pwrite a 400 z 600', X1000, 'y500 x500'],
    ['nothing that fsync covers', 'append a y 10 sync a', X1000, 'x1000 y10'],
    ['nothing that fdatasync covers', 'append a y 10 datasync a', X1000, 'x1000 y10'],
    ['no truncation that was synced', 'cut a 600 sync a', X1000, 'x600'],
    ['no truncation by open that was synced', 'empty a append a y 5 sync a', X1000, 'y5'],
    ['nothing that fsync covers in a part of a block', 'pwrite a 10 y 3 sync a pwrite a 20 z 3', X1000, 'x10 y3 x987'],
  ];
  for (const [what, steps, files, left] of rows) {
    it(what, () => {
      const ran = run(`loss all; ${AT_END}`, steps, files);
      assert.ok(ran.cut);
      assert.equal(ran.read('a'), left);
    });
  }

  it('but nothing at all when it takes nothing', () => {
    assert.equal(run(`loss none; ${AT_END}`, 'append a y 10', X1000).read('a'), 'x1000 y10');
  });

  it('and nothing when the program ends by itself', () => {
    const ran = run('', 'append a y 10 rename a b unlink b');
    assert.deepEqual([ran.cut, ran.names], [false, ['END']]);
  });
});

describe('a power cut takes names whose folder was not synced', { skip }, () => {
  const two = { a: 'x', b: 'y' };
  const rows: readonly [string, string, Readonly<Record<string, string>>, Readonly<Record<string, string>>][] = [
    ['a new file, although it was synced itself', 'append c z 1 sync c', two, two],
    ['not a new file whose folder was synced', 'append c z 1 sync c sync .', two, { ...two, c: 'z' }],
    ['a new name', 'rename a c', two, two],
    ['not a new name whose folder was synced', 'rename a c sync .', two, { b: 'y', c: 'x' }],
    ['a replacement', 'rename a b', two, two],
    ['not a replacement whose folder was synced', 'rename a b sync .', two, { b: 'x' }],
    ['a removal', 'unlink a', two, two],
    ['not a removal whose folder was synced', 'unlink a sync .', two, { b: 'y' }],
    ['only those after the sync', 'rename a c sync . rename c d unlink b', two, { b: 'y', c: 'x' }],
    ['a new folder with all that is in it', 'mkdir f append f/c z 1 sync f/c', two, two],
    ['a chain of them', 'append c z 1 sync c rename c a rename a b unlink b', two, two],
    ['a name again, with what it stood for', 'unlink a append a z 1 sync a', two, two],
  ];
  for (const [what, steps, files, left] of rows) {
    it(what, () => {
      const ran = run(`loss all; ${AT_END}`, steps, files);
      const found = Object.fromEntries(ran.names.map((name) => [name, ran.read(name)]));
      assert.deepEqual(found, Object.fromEntries(Object.entries(left).map(([name, text]) => [name, `${text}1`])));
    });
  }

  it('the last ones of a sequence where the file system has a journal, any where it has none', () => {
    const steps = ['a', 'b', 'c', 'd'].map((name) => `append ${name} z 1 sync ${name}`).join(' ');
    const left = (how: string, seed: number): string =>
      run(`names ${how}; seed ${seed}; ${AT_END}`, steps).names.join('');
    const seeds = Array.from({ length: 16 }, (_, index) => index + 1);
    const ordered = new Set(seeds.map((seed) => left('ordered', seed)));
    for (const names of ordered) assert.ok('abcd'.startsWith(names), names);
    assert.ok(ordered.size > 2, [...ordered].join());
    assert.deepEqual(new Set(seeds.map((seed) => left('kept', seed))), new Set(['abcd']));
    const strict = seeds.map((seed) => left('strict', seed));
    assert.ok(
      strict.some((names) => !'abcd'.startsWith(names)),
      strict.join(),
    );
  });
});

describe('a power cut tears what was not synced', { skip }, () => {
  const seeds = Array.from({ length: 24 }, (_, index) => index + 1);
  const PAGE = 4096;

  it('per block of 512 bytes or of 4 KiB, and leaves alone what was', () => {
    const steps = `pwrite a 0 x ${16 * PAGE} sync a sync . pwrite a ${4 * PAGE} y ${8 * PAGE}`;
    const found = seeds.map((seed) => run(`seed ${seed}; ${AT_END}`, steps).read('a') ?? '');
    const seen = { old: 0, whole: 0, torn: 0, tornInPage: 0 };
    for (const content of found) {
      const runs = content.split(' ').map((text) => Number(text.slice(1)));
      assert.equal(
        runs.reduce((sum, length) => sum + length),
        16 * PAGE,
      );
      assert.ok(
        runs.every((length) => length % 512 === 0),
        content,
      );
      assert.ok((runs[0] ?? 0) >= 4 * PAGE && (runs.at(-1) ?? 0) >= 4 * PAGE, content);
      if (runs.length === 1) seen.old += 1;
      else if (content === `x${4 * PAGE} y${8 * PAGE} x${4 * PAGE}`) seen.whole += 1;
      else if (runs.every((length) => length % PAGE === 0)) seen.torn += 1;
      else seen.tornInPage += 1;
    }
    for (const [kind, count] of Object.entries(seen)) assert.ok(count > 0, `${kind}: ${JSON.stringify(seen)}`);
  });

  it('what stands first in a file, where it writes from the back', () => {
    const found = new Set<string | undefined>();
    for (let seed = 1; seed <= 40; seed += 1) {
      const ran = run(`seed ${seed}; loss back; ${AT_END}`, 'pwrite a 0 y 5120', { a: 'x'.repeat(5120) });
      found.add(ran.read('a'));
    }
    assert.ok(found.has('y5120') && found.has('x5120') && found.size > 4, [...found].join(', '));
    for (const content of found) assert.match(content ?? '', /^(x\d+ y\d+|[xy]5120)$/);
  });

  it('and what a file grew by may be there, as zeros, or not', () => {
    const steps = 'pwrite a 0 x 1000 sync a sync . append a y 8000';
    const found = seeds.map((seed) => run(`seed ${seed}; ${AT_END}`, steps).read('a') ?? '');
    assert.ok(
      found.every((content) => /^x1000( |$)/.test(content)),
      found.join('; '),
    );
    assert.ok(found.includes('x1000') && found.includes('x1000 y8000'), found.join('; '));
    assert.ok(
      found.some((content) => /-\d/.test(content)),
      found.join('; '),
    );
  });

  it('and a cut file is there before or after, never between', () => {
    const steps = 'cut a 600';
    const found = new Set(seeds.map((seed) => run(`seed ${seed}; ${AT_END}`, steps, X1000).read('a')));
    assert.deepEqual([...found].sort(), ['x1000', 'x600']);
  });

  it('in the same way for the same seed', () => {
    const steps = `pwrite a 0 x ${16 * PAGE} sync . rename a b append c y 3000`;
    const [once, again] = [1, 2].map(() => run(`seed 7; ${AT_END}`, steps));
    assert.deepEqual(once?.names, again?.names);
    for (const name of once?.names ?? []) assert.equal(once?.read(name), again?.read(name));
  });
});

describe('a disk that fails', { skip }, () => {
  it('fails the n-th write, and the one after it works', () => {
    const ran = run('fail EIO write 2 */a', 'append a x 5 append a y 5 append b z 5 append a z 5');
    assert.deepEqual(ran.results, ['5', 'EIO', '5', '5', '1']);
    assert.equal(ran.read('a'), 'x5 z5');
  });

  it('fails every write from the n-th on, by the error that was asked for', () => {
    const ran = run('fail ENOSPC write 2+ */a', 'append a x 5 append a y 5 cut a 0');
    assert.deepEqual(ran.results, ['5', 'ENOSPC', 'ENOSPC', '1']);
  });

  it('fails reads, syncs and names', () => {
    const rules = 'fail EIO read 1; fail EIO sync 1 */a; fail EIO name 2';
    const ran = run(rules, 'append a x 5 read a read a datasync a sync a sync . rename a b rename a b');
    assert.deepEqual(ran.results, ['5', 'EIO', '5', 'EIO', '0', '0', 'EIO', '0', '1']);
    assert.deepEqual(run('fail EIO read 1', 'append a x 5 pread a').results, ['5', 'EIO', '1']);
    for (const steps of ['mkdir f', 'unlink a'])
      assert.deepEqual(run('fail EIO name 1', steps, X1000).results, ['EIO', '1'], steps);
    assert.deepEqual(run('fail EIO name 1', 'append f x 1').names, ['END'], 'a file that could not be made');
  });

  it('loses for good what a failed sync should have written, though a later one succeeds', () => {
    const rules = `loss all; fail EIO sync 1 */a; ${AT_END}`;
    assert.equal(run(rules, 'append a y 10 sync a sync a', X1000).read('a'), 'x1000');
    assert.equal(run(rules, 'append a y 1023 sync a append a z 5 sync a', { a: 'x' }).read('a'), 'x1 -1023 z5');
    assert.equal(run(rules, 'pwrite a 0 y 10 sync a sync a', X1000).read('a'), 'x1000');
    assert.equal(run(rules, 'pwrite a 0 y 10 sync a pwrite a 0 z 10 sync a', X1000).read('a'), 'z10 x990');
  });

  it('fills up: the last bytes that fit, then no more; what needs no room goes on', () => {
    const ran = run('full 15', 'append a x 10 append a y 10 append a z 10 pwrite a 0 w 10 append b v 1');
    assert.deepEqual(ran.results.slice(0, 5), ['10', '5', 'ENOSPC', '10', 'ENOSPC']);
    assert.equal(ran.read('a'), 'w10 y5');
  });

  it('lies about a sync', () => {
    const ran = run(`loss all; lie sync */a; ${AT_END}`, 'append a y 10 sync a', X1000);
    assert.deepEqual([ran.results, ran.read('a')], [['10', '0'], 'x1000']);
  });

  it('is slow', () => {
    const start = performance.now();
    run('slow sync 100 */a; slow read 100000', 'append a x 10000 sync a sync . read a pread a');
    const ms = performance.now() - start;
    assert.ok(ms >= 290 && ms < 2_000, `${ms} ms`);
  });

  it('has nothing in memory while it is slow', () => {
    assert.equal(run('', 'append a x 10000 held a').results[1], '3');
    assert.equal(run('slow read 1000000000', 'append a x 10000 held a').results[1], '0');
    // Before Linux 6.5 it is never there.
    assert.match(run('', 'append a x 10000 counted a').results[1] ?? '', /^(?:3|ENOSYS)$/);
    assert.equal(run('slow read 1000000000', 'append a x 10000 counted a').results[1], 'ENOSYS');
  });
});

/** A program of Node on a disk; its lines are what it was told is durable. */
function startNode(disk: FaultyDisk, script: string): { lines: string[]; ended: Promise<unknown>; kill: () => void } {
  const env = { ...process.env, ...disk.environment };
  const child = spawn(process.execPath, ['-e', script], {
    cwd: disk.folder,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => lines.push(...text.split('\n').filter((line) => line)));
  return { lines, ended: once(child, 'close'), kill: () => child.kill('SIGKILL') };
}

/** Four files grow at the same time, each write followed by its sync, in the threads of Node's pool. */
const FOUR_FILES = `
  const { open } = require('node:fs/promises');
  const { writeSync } = require('node:fs');
  for (const name of 'abcd') void (async () => {
    const file = await open(name, 'w');
    for (let n = 0; ; n += 1) {
      await file.write(Buffer.alloc(700, name), 0, 700, n * 700);
      await (n % 2 ? file.sync() : file.datasync());
      writeSync(1, name + ' ' + (n + 1) * 700 + '\\n');
    }
  })();
  const folder = require('node:fs').openSync('.', 'r');
  setTimeout(() => require('node:fs').fsyncSync(folder), 50);
`;

describe('Node on such a disk', { skip }, () => {
  it('finds what it was told is durable, from all threads, and little more', async () => {
    const disk = new FaultyDisk('node', 'loss all; slow sync 5; cut sync 150');
    try {
      const { lines, ended } = startNode(disk, FOUR_FILES);
      await ended;
      assert.ok(lines.length >= 140, `${lines.length} syncs`);
      const durable = new Map(lines.map((line) => line.split(' ') as [string, string]));
      for (const name of 'abcd') {
        const content = readFileSync(join(disk.folder, name), 'latin1');
        const promised = Number(durable.get(name));
        assert.equal(content.slice(0, promised), name.repeat(promised));
        // Beyond it may be what was synced right before the cut, and not told.
        assert.ok(content.length <= promised + 700, `${name}: ${content.length} bytes, ${promised} promised`);
      }
      assert.deepEqual(disk.notCovered, []);
    } finally {
      disk.remove();
    }
  });

  it('is told of a failed sync by each descriptor that it has, once', () => {
    const disk = new FaultyDisk('descriptors', 'fail EIO sync 1 */a');
    try {
      const script = `
        const fs = require('node:fs');
        const [one, two] = [fs.openSync('a', 'w'), fs.openSync('a', 'r')];
        fs.writeSync(one, 'x');
        const sync = (fd) => { try { fs.fdatasyncSync(fd); return 'done'; } catch (error) { return error.code; } };
        console.log(...[one, two, one, two].map(sync), sync(fs.openSync('a', 'r')));`;
      const { stdout } = spawnSync(process.execPath, ['-e', script], {
        cwd: disk.folder,
        env: { ...process.env, ...disk.environment },
        encoding: 'utf8',
      });
      assert.equal(stdout.trim(), 'EIO EIO done done done');
    } finally {
      disk.remove();
    }
  });

  it('does not make durable what is written while a sync runs', () => {
    const disk = new FaultyDisk('during', `loss all; slow sync 200 */a; ${AT_END}`);
    try {
      const script = `
        const fs = require('node:fs');
        const fd = fs.openSync('a', 'w');
        fs.fsyncSync(fs.openSync('.', 'r'));
        fs.writeSync(fd, 'before');
        fs.fdatasync(fd, () => fs.openSync('END', 'w'));
        setTimeout(() => fs.writeSync(fd, 'during'), 100);`;
      spawnSync(process.execPath, ['-e', script], {
        cwd: disk.folder,
        env: { ...process.env, ...disk.environment },
      });
      assert.equal(readFileSync(join(disk.folder, 'a'), 'latin1'), 'before');
    } finally {
      disk.remove();
    }
  });

  it('obeys from outside, while it runs', async () => {
    const disk = new FaultyDisk('told', 'loss all');
    const { lines, ended, kill } = startNode(
      disk,
      `const fs = require('node:fs');
       setInterval(() => {
         try { fs.appendFileSync('a', 'x'); console.log('written'); } catch (error) { console.log(error.code); }
       }, 5);`,
    );
    try {
      while (!lines.includes('written'))
        await once(process, 'tick', { signal: AbortSignal.timeout(5) }).catch(() => {});
      await disk.tell('fail EIO write 1+ */a');
      await eventually('EIO', () => lines.includes('EIO') || undefined);
      await disk.tell('cut now');
      await ended;
      assert.equal(existsSync(join(disk.folder, 'a')), false);
    } finally {
      kill();
      disk.remove();
    }
  });

  it('is told when a program does what this disk cannot follow', () => {
    const disk = new FaultyDisk('not-covered', '');
    try {
      const script = `const fs = require('node:fs'); fs.writeFileSync('a', 'a'); fs.linkSync('a', 'b'); fs.mkdirSync('f'); fs.rmdirSync('f');`;
      spawnSync(process.execPath, ['-e', script], {
        cwd: disk.folder,
        env: { ...process.env, ...disk.environment },
      });
      assert.deepEqual(
        disk.notCovered.map((line) => line.split(' ')[2]),
        ['link', 'rmdir'],
      );
    } finally {
      disk.remove();
    }
  });
});
