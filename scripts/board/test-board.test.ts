/** What the unit tests of a board have shown, by what the test runner prints. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { failedTests } from './test-board.js';

const folder = mkdtempSync(join(tmpdir(), 'dmgw-test-board-'));
after(() => rmSync(folder, { recursive: true }));

describe('the tests that have failed', () => {
  const failedOf = (script: string): string[] => {
    const file = join(folder, 'a.mjs');
    writeFileSync(
      file,
      `import { after, describe, it } from 'node:test';\nconst bad = () => { throw new Error('x'); };\n${script}`,
    );
    // Within a test runner Node.js would tell that one, in its own words.
    const env = { ...process.env, NODE_TEST_CONTEXT: undefined };
    return failedTests(spawnSync(process.execPath, ['--test-reporter=tap', file], { encoding: 'utf8', env }).stdout);
  };

  it('are those of suites at any depth and those beside them, without the suites that sum them up', () => {
    const suite = "describe('a', () => { it('b', bad); it('good', () => {}); describe('c', () => it('d', bad)); });";
    assert.deepEqual(failedOf(`${suite} it('e', bad); it('good', () => {});`), ['b', 'd', 'e']);
    assert.deepEqual(failedOf("describe('a', () => it('good', () => {}));"), []);
  });

  it('are the hooks, too, of a suite and of the file', () => {
    assert.deepEqual(failedOf("describe('a', () => { after(bad); it('b', bad); });"), ['b', 'a']);
    const [title, ...more] = failedOf("describe('a', () => it('b', bad)); after(bad);").filter((one) => one !== 'b');
    assert.deepEqual([title?.endsWith('a.mjs'), more], [true, []]);
  });
});
