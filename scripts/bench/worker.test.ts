import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { PROJECT_ROOT } from '../flow/project.js';
import { cpuMsOf, memoryOf } from './proc.js';
import { runWorker } from './worker.js';

describe('runWorker', () => {
  const program = `build/worker-test-${process.pid}.mjs`;
  const name = `worker-test-${process.pid}`;
  const write = (source: string): void => writeFileSync(join(PROJECT_ROOT, program), source);
  before(() => mkdirSync(join(PROJECT_ROOT, 'build'), { recursive: true }));
  after(() => {
    rmSync(join(PROJECT_ROOT, program));
    rmSync(join(PROJECT_ROOT, 'build', `${name}.log`));
  });

  it('tells every line, also those written right before the end, and who the process is', async () => {
    write(
      `for (let n = 0; n <= 2000; n += 1) console.log(JSON.stringify({ n, flag: process.execArgv[0], arg: process.argv[2] }));`,
    );
    const told: { n: number; flag: string; arg: string }[] = [];
    let seen: number | undefined;
    await runWorker<(typeof told)[number]>(
      { name, program, args: ['a'], nodeFlags: ['--max-semi-space-size=1'], onLine: (line) => told.push(line) },
      (pid) => (seen = pid),
    );
    assert.ok(seen !== undefined && seen !== process.pid);
    assert.equal(told.length, 2000);
    assert.deepEqual(told.at(-1), { n: 2000, flag: '--max-semi-space-size=1', arg: 'a' });
  });
  it('fails with the end of the log when the worker does', async () => {
    write(`console.log('{}'); console.error('the reason'); process.exitCode = 3;`);
    await assert.rejects(runWorker({ name, program, nodeFlags: [] }), /exit code 3.*the reason/s);
  });
});

describe('/proc', () => {
  it('tells memory and CPU time of a process, and nothing of one that is not there', () => {
    const memory = memoryOf('self');
    assert.ok(memory && memory.rssAnonBytes > 1_000_000 && memory.rssBytes > memory.rssAnonBytes);
    assert.ok(memory.peakRssBytes >= memory.rssBytes);
    const endMs = performance.now() + 60;
    const before = cpuMsOf(process.pid) ?? NaN;
    while (performance.now() < endMs);
    assert.ok((cpuMsOf(process.pid) ?? NaN) > before);
    assert.equal(memoryOf(2 ** 22 + 1), undefined);
    assert.equal(cpuMsOf(2 ** 22 + 1), undefined);
  });
});
