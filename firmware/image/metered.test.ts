import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentLog, type Logger } from '../log/index.js';
import { removeFolder } from './fixture.js';
import { meteredSwitch } from './metered.js';

describe('the switch for a metered link', () => {
  let folder: string;
  before(() => (folder = mkdtempSync(join(tmpdir(), 'dmgw-metered-'))));
  after(() => removeFolder(folder));

  const says: readonly (readonly [content: string | undefined, metered: boolean, doubts: number])[] = [
    [undefined, false, 0],
    ['', true, 0],
    ['\n', true, 0],
    ['1\n', true, 0],
    ['Yes', true, 0],
    ['metered', true, 0],
    ['0\n', false, 0],
    ['no', false, 0],
    ['FALSE', false, 0],
    ['off', false, 0],
    [' unmetered ', false, 0],
    ['perhaps', true, 1],
    ['0'.repeat(1000), true, 1],
  ];
  for (const [content, metered, doubts] of says) {
    it(`${content === undefined ? 'that is missing' : JSON.stringify(content.slice(0, 20))}: ${metered}`, () => {
      const path = join(folder, 'switch');
      rmSync(path, { force: true });
      if (content !== undefined) writeFileSync(path, content);
      let complaints = 0;
      const log: Logger = { ...silentLog, warn: () => (complaints += 1) };
      const read = meteredSwitch(path, log);
      assert.deepEqual([read(), read(), read()], [metered, metered, metered]);
      assert.equal(complaints, doubts);
    });
  }

  it('that is no file, or cannot be read, is metered, and does not stop anybody', () => {
    const [fifo, sub, locked] = [join(folder, 'fifo'), join(folder, 'sub'), join(folder, 'locked')];
    execFileSync('mkfifo', [fifo]);
    mkdirSync(sub);
    for (const path of [fifo, sub]) assert.equal(meteredSwitch(path, silentLog)(), true);
    writeFileSync(locked, '0');
    chmodSync(locked, 0);
    // Root reads what nobody may.
    assert.equal(meteredSwitch(locked, silentLog)(), process.getuid?.() !== 0);
  });
});
