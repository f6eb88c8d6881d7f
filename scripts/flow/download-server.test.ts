import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { coverageOf, type Access } from './download-server.js';

const access = (from: number, bytes: number, path = '/fw'): Access => ({
  time: '',
  method: 'GET',
  path,
  range: null,
  ifRange: null,
  status: 206,
  from,
  bytes,
  complete: true,
  faults: [],
});

describe('byte ranges of an access log', () => {
  for (const { name, log, bytes, whole } of [
    { name: 'one reply with everything', log: [access(0, 100)], bytes: 100, whole: true },
    { name: 'parts in any order', log: [access(60, 40), access(0, 60)], bytes: 100, whole: true },
    { name: 'parts that overlap', log: [access(0, 70), access(60, 40)], bytes: 110, whole: true },
    { name: 'a part within another', log: [access(0, 90), access(10, 20), access(90, 10)], bytes: 120, whole: true },
    { name: 'a gap', log: [access(0, 50), access(51, 49)], bytes: 99, whole: false },
    { name: 'no end', log: [access(0, 99)], bytes: 99, whole: false },
    { name: 'another file', log: [access(0, 50), access(50, 50, '/other')], bytes: 50, whole: false },
    { name: 'nothing', log: [], bytes: 0, whole: false },
  ]) {
    it(`${name}: ${whole ? 'whole' : 'not whole'}`, () => {
      const coverage = coverageOf(log, '/fw', 100);
      assert.deepEqual([coverage.bytes, coverage.whole], [bytes, whole]);
    });
  }
});
