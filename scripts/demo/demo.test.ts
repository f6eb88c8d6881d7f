import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { makeImage, sha256Of } from '../flow/images.js';
import { PROJECT_ROOT } from '../flow/project.js';
import { eventually } from '../flow/wait.js';
import type { DemoReport } from './report.js';

const PROGRAM = join(PROJECT_ROOT, 'build/lab/demo.js');
const FOLDER = join(PROJECT_ROOT, 'build/flow', `demo-${process.pid}`);
const MIB = 1024 * 1024;

describe('the demo', { concurrency: 2 }, () => {
  it('proves the nine steps, cuts of the WAN included, and writes its report', async () => {
    const { image, report } = files('whole', 12 * MIB);
    const demo = start({ IMAGE: image, REPORT: report, DEVICES: '2', CUTS: '2' });
    const output = outputOf(demo);
    const [code] = (await once(demo, 'exit')) as [number | null];
    assert.equal(code, 0, await output);

    const told = JSON.parse(readFileSync(report, 'utf8')) as DemoReport;
    assert.equal(told.imageBytes, 12 * MIB);
    assert.equal(told.imageSha256, await sha256Of(image));
    assert.ok(told.wanBytes >= told.imageBytes && told.wanBytes <= 1.05 * told.imageBytes);
    assert.deepEqual(
      told.steps.map(({ step, ok }) => [step, ok]),
      [1, 2, 3, 4, 5, 6, 7, 8, 9].map((step) => [step, true]),
    );
    assert.ok(told.devices.every(({ ok, sha256, sessionId }) => ok && sha256 === told.imageSha256 && sessionId !== ''));
    assert.equal(told.devices.length, 2);
    assert.match(told.localImageURI, /^http:\/\/127\..*\/scomo\/package1eID123$/);
    assert.ok(told.gateway.idleRssAnonBytes > 0 && told.gateway.peakRssAnonBytes >= told.gateway.idleRssAnonBytes);
    assert.ok(told.gateway.peakRssBytes > told.gateway.peakRssAnonBytes);
    for (let step = 1; step <= 9; step += 1) assert.match(await output, new RegExp(`^step ${step}  .*: proved$`, 'm'));
    assert.deepEqual(processesOf(demo), []);
  });

  it('finds devices by mDNS that sleep, move, and get what is lost or comes twice; its report tells how many', async () => {
    const { image, report } = files('hardships', 2 * MIB);
    const hardships = { MDNS: '1', LOSS: '30', SLEEPERS: '25', MOVES: '2', DUPLICATES: '1' };
    const demo = start({ IMAGE: image, REPORT: report, DEVICES: '8', ...hardships });
    const output = outputOf(demo);
    const [code] = (await once(demo, 'exit')) as [number | null];
    assert.equal(code, 0, await output);
    const { arrivals, devices, steps } = JSON.parse(readFileSync(report, 'utf8')) as DemoReport;
    assert.ok(steps.length === 9 && devices.length === 8 && arrivals);
    const { datagrams, lost, missed, moved, repeated, woken } = arrivals;
    assert.deepEqual([missed, moved, woken], [2, 2, 2]);
    assert.ok(lost >= 1 && repeated >= 8 && datagrams >= 8 + lost + missed, JSON.stringify(arrivals));
    assert.match(await output, /final alert: 1200 total=8 sent=8 reacted=8 failed=0/);
  });

  for (const { signal, how } of [
    { signal: 'SIGINT', how: 'Ctrl-C' },
    { signal: 'SIGKILL', how: 'a kill' },
  ] as const) {
    it(`leaves no process behind after ${how}`, async () => {
      const { image, report } = files(signal, 4 * MIB);
      const demo = start({ IMAGE: image, REPORT: report, DEVICES: '2', WAN_RATE: '100000' });
      await said(demo, 'step 1');
      assert.equal(processesOf(demo).length, 5);
      demo.kill(signal);
      const [code] = (await once(demo, 'exit')) as [number | null];
      assert.equal(code, signal === 'SIGINT' ? 130 : null);
      await eventually('the end of all processes', () => (processesOf(demo).length === 0 ? true : undefined));
    });
  }

  for (const { name, value } of [
    { name: 'DEVICES', value: 'many' },
    { name: 'IMAGE', value: '/nowhere/image.bin' },
  ]) {
    it(`refuses a wrong ${name} with one line`, async () => {
      const demo = start({ [name]: value });
      const output = outputOf(demo);
      const [code] = (await once(demo, 'exit')) as [number | null];
      assert.equal(code, 2);
      assert.match(await output, new RegExp(`^demo: ${name}=${value}: expected .*\n$`));
    });
  }

  after(() => rmSync(FOLDER, { recursive: true, force: true }));
});

function files(name: string, bytes: number): { readonly image: string; readonly report: string } {
  mkdirSync(FOLDER, { recursive: true });
  const image = join(FOLDER, `${name}.bin`);
  makeImage(image, bytes, 60);
  return { image, report: join(FOLDER, `${name}.json`) };
}

function start(environment: Readonly<Record<string, string>>): ChildProcess {
  return spawn(process.execPath, [PROGRAM], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** All that it says, in the end. */
async function outputOf(demo: ChildProcess): Promise<string> {
  let text = '';
  const take = (chunk: Buffer): void => {
    text += chunk.toString();
  };
  demo.stdout?.on('data', take);
  demo.stderr?.on('data', take);
  await once(demo, 'close');
  return text;
}

/** Waits until it says this. */
async function said(demo: ChildProcess, words: string): Promise<void> {
  let text = '';
  demo.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  await eventually(`the demo to say '${words}'`, () => (text.includes(words) ? true : undefined));
}

/** Process ids of the parties that a demo started: its work folder stands in their command lines. */
function processesOf(demo: ChildProcess): string[] {
  const folder = `/run-${demo.pid ?? 0}/`;
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(folder);
    } catch {
      return false;
    }
  });
}
