import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualClock } from './clock/index.js';
import { silentLog } from './log/index.js';
import { Retention } from './retention.js';

describe('retention', () => {
  it('sweeps at the start and every hour until it is stopped, also after a failure, which it tells', () => {
    const clock = new ManualClock();
    const lines: unknown[] = [];
    const faults: unknown[] = [];
    const counts = [0, 3, 0];
    let sweeps = 0;
    const retention = new Retention({
      clock,
      log: { ...silentLog, info: (text, fields) => lines.push([text, fields]) },
      sweeps: {
        images: () => {
          sweeps += 1;
          if (sweeps === 3) throw new Error('disk');
          return counts[sweeps - 1] ?? 0;
        },
        fanouts: () => 0,
      },
      onFault: (thrown) => faults.push(String(thrown)),
    });
    retention.start();
    assert.deepEqual([sweeps, lines], [1, []]);
    clock.advance(3_600_000);
    assert.deepEqual(lines, [['removed what had ended', { images: 3 }]]);
    clock.advance(3_600_000);
    clock.advance(3_600_000);
    assert.deepEqual([sweeps, faults], [4, ['Error: disk']]);
    retention.stop();
    clock.advance(36_000_000);
    assert.equal(sweeps, 4);
  });
});
