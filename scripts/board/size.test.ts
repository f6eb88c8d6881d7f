import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { renderFigures, verdictOf } from './size.js';

describe('a budget', () => {
  for (const [value, target, ceiling, verdict] of [
    [12, 12, 20, 'met'],
    [12.1, 12, 20, 'missed'],
    [20, 12, 20, 'missed'],
    [20.1, 12, 20, 'worse'],
    [2.6, 2.5, undefined, 'worse'],
    [99, undefined, undefined, 'shown'],
  ] as const) {
    it(`of ${target ?? 'nothing'}, with a ceiling of ${ceiling ?? 'nothing'}, is ${verdict} by ${value}`, () => {
      assert.equal(verdictOf({ value, target, ceiling }), verdict);
    });
  }

  it('says in the table that it is missed, and what it must not exceed', () => {
    const [head, line] = renderFigures([{ name: 'idle RssAnon', value: 15.9, unit: 'MB', target: 12, ceiling: 20 }]);
    assert.match(head ?? '', /^FIGURE +MEASURED +TARGET$/);
    assert.match(line ?? '', /^idle RssAnon +15\.90 MB +<= 12\.00 MB +missed; not more than 20\.00 MB$/);
  });
});
