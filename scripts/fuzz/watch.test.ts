import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { PROJECT_ROOT } from '../flow/project.js';
import { watch } from './watch.js';

/** A worker that has its seventh input at work when it does what stands in `fate`. */
function worker(fate: string): string {
  return `
    import { writeFileSync } from 'node:fs';
    const folder = process.argv[3];
    writeFileSync(folder + '/pulse', Uint8Array.of(7, 0, 0, 0, 1, 0, 0, 0));
    writeFileSync(folder + '/life.json', 'the life');
    console.log('{}');
    setTimeout(() => { ${fate} }, 50);
  `;
}

describe('a worker of the fuzz', { concurrency: true }, () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'fuzz-watch-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const fates: readonly (readonly [what: string, fate: string, fault: RegExp])[] = [
    // After 2 s, in steps of a look each.
    ['that hangs is ended', 'for (;;);', /^input 7 hangs: [2-9]\d{3} ms/],
    ['that dies leaves its input', `process.kill(process.pid, 'SIGSEGV');`, /died with SIGSEGV/],
    ['that throws leaves its input', `throw new Error('the reason');`, /died with exit code 1.*the reason/s],
  ];
  for (const [index, [what, fate, fault]] of fates.entries()) {
    it(what, async () => {
      const program = join(folder, `${index}.mjs`);
      writeFileSync(program, worker(fate));
      const result = await watch(program, ['run']);
      assert.ok(!result.ok);
      assert.match(result.fault, fault);
      const kept = join(PROJECT_ROOT, result.file);
      assert.equal(readFileSync(kept, 'utf8'), 'the life');
      rmSync(kept);
    });
  }
});
