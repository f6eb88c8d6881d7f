import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { PROJECT_ROOT } from '../flow/project.js';
import { HEAP_GROWTH_BYTES, RSS_ANON_GROWTH_BYTES } from './protocol.js';
import { fuzz, replay } from './watch.js';

/** The same inputs each time: `make fuzz` takes others. */
const SEED = 1;
const INPUTS = 20_000;

describe('the client on any input', { concurrency: true }, () => {
  it(`stands ${INPUTS} messages and notifications`, async (test) => {
    const result = await fuzz(INPUTS, SEED);
    assert.ok(result.ok, result.ok ? '' : `${result.fault}\nThe life that failed: ${result.file}`);
    const { figures } = result;
    test.diagnostic(
      `p50 ${figures.p50Ms.toFixed(2)} ms, p99 ${figures.p99Ms.toFixed(1)} ms, max ${figures.maxMs.toFixed(0)} ms`,
    );
    test.diagnostic(
      `heap ${figures.heap.growthBytes.toFixed(0)}, RssAnon ${figures.rssAnon.growthBytes.toFixed(0)} bytes grown`,
    );
    assert.ok(figures.inputs >= INPUTS);
    assert.ok(figures.heap.firstBytes > 0 && figures.rssAnon.firstBytes > 0, 'the memory was looked at');
    assert.ok(figures.heap.growthBytes < HEAP_GROWTH_BYTES, `the heap grows: ${JSON.stringify(figures.heap)}`);
    assert.ok(figures.rssAnon.growthBytes < RSS_ANON_GROWTH_BYTES, `RssAnon grows: ${JSON.stringify(figures.rssAnon)}`);
    // Inputs that nobody can read would prove little.
    assert.ok(figures.understood > INPUTS / 2, `${figures.understood} messages could be read`);
    assert.ok(
      figures.completed > figures.sessions / 5,
      `${figures.completed} of ${figures.sessions} sessions completed`,
    );
    assert.ok(figures.checkedByLibwbxml === null || figures.checkedByLibwbxml > 50);
    assert.ok(Object.keys(figures.statuses).length > 80, JSON.stringify(figures.statuses));
  });

  it('stands what it has failed on before', async () => {
    const folder = join(PROJECT_ROOT, 'scripts/fuzz/regressions');
    const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
    const result = await replay(files.map((name) => join(folder, name)));
    assert.ok(result.ok, result.ok ? '' : `${result.file}: ${result.fault}`);
  });
});
