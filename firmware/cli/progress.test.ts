import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ProgressLine } from './progress.js';
import { processTerminal } from './terminal.js';
import { RecordingTerminal } from './terminal.fixture.js';

const MIB = 1024 * 1024;

describe('progress', () => {
  it('is one line of a screen, with rate and time left, cut to its width', async () => {
    const screen = new RecordingTerminal(true);
    let nowMs = 0;
    const progress = new ProgressLine(screen, () => nowMs);
    await progress.show({ label: 'a downloading', done: 0, total: 8 * MIB });
    nowMs = 2000;
    await progress.show({ label: 'a downloading', done: 2 * MIB, total: 8 * MIB });
    await progress.end();
    const [, first, second] = screen.out.split('\r');
    assert.equal(first, `a downloading [${'-'.repeat(24)}]   0 % 0 B of 8.0 MiB\u001b[K`);
    assert.equal(
      second,
      `a downloading [${'#'.repeat(6)}${'-'.repeat(18)}]  25 % 2.0 MiB of 8.0 MiB, 1.0 MiB/s, 6\u001b[K\n`,
    );
  });

  it('takes a screen that does not know its width for one of 80 columns', (test) => {
    for (const [columns, taken] of [
      [0, 80],
      [120, 120],
    ]) {
      Object.assign(process.stdout, { isTTY: true, columns });
      test.after(() => Object.assign(process.stdout, { isTTY: false, columns: undefined }));
      assert.equal(processTerminal().columns, taken);
    }
  });

  it('is a line for each change elsewhere', async () => {
    const pipe = new RecordingTerminal();
    const progress = new ProgressLine(pipe);
    for (const done of [0, 1, 2]) await progress.show({ label: 'a downloading', done });
    await progress.show({ label: 'a \u001b[2Jwaiting', done: 2 });
    await progress.end();
    assert.equal(pipe.out, 'a downloading\na ?[2Jwaiting\n');
  });
});
