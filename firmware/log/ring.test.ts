import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LogRing } from './index.js';

const forever = new AbortController().signal;

async function all(ring: LogRing, lines: number): Promise<unknown[]> {
  const seen: unknown[] = [];
  for await (const item of ring.read({ lines, follow: false }, forever)) seen.push(item);
  return seen;
}

describe('the lines that are kept', () => {
  it('are the latest, within their bound', async () => {
    const ring = new LogRing(4 * (64 + 1));
    for (const line of 'abcdef') ring.push(line);
    assert.deepEqual(await all(ring, 100), [{ line: 'c' }, { line: 'd' }, { line: 'e' }, { line: 'f' }]);
    assert.deepEqual(await all(ring, 1), [{ line: 'f' }]);
    ring.push('x'.repeat(10_000));
    assert.equal((await all(ring, 100)).length, 1);
  });

  it('are followed until the reader leaves; what a slow one misses is counted', async () => {
    const ring = new LogRing(3 * (64 + 1));
    const leaving = new AbortController();
    const reader = ring.read({ lines: 0, follow: true }, leaving.signal);
    const first = reader.next();
    ring.push('a');
    assert.deepEqual((await first).value, { line: 'a' });
    for (const line of 'bcdefg') ring.push(line);
    assert.deepEqual((await reader.next()).value, { lost: 3 });
    assert.deepEqual((await reader.next()).value, { line: 'e' });
    await reader.next();
    await reader.next();
    const waiting = reader.next();
    leaving.abort();
    assert.equal((await waiting).done, true);
  });
});
