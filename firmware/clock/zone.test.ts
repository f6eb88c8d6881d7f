import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { TimeZone } from './index.js';

function zone(text: string): TimeZone {
  const parsed = TimeZone.parse(text);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.error.text);
  return parsed.value;
}

const BERLIN = 'CET-1CEST,M3.5.0,M10.5.0/3';
const NEW_YORK = 'EST5EDT,M3.2.0,M11.1.0';
const SYDNEY = 'AEST-10AEDT,M10.1.0,M4.1.0/3';

describe('an offset', () => {
  /** zone, instant, hours ahead of UTC */
  const cases: readonly (readonly [text: string, at: string, hours: number])[] = [
    ['UTC0', '2026-07-01T00:00:00Z', 0],
    ['JST-9', '2026-07-01T00:00:00Z', 9],
    ['<-03>3', '2026-07-01T00:00:00Z', -3],
    ['<+0545>-5:45', '2026-07-01T00:00:00Z', 5.75],
    // Both edges of both changes, to the millisecond.
    [BERLIN, '2026-03-29T00:59:59.999Z', 1],
    [BERLIN, '2026-03-29T01:00:00.000Z', 2],
    [BERLIN, '2026-10-25T00:59:59.999Z', 2],
    [BERLIN, '2026-10-25T01:00:00.000Z', 1],
    [BERLIN, '2026-12-31T23:59:59.999Z', 1],
    [BERLIN, '2027-01-01T00:00:00.000Z', 1],
    [NEW_YORK, '2026-03-08T06:59:59.999Z', -5],
    [NEW_YORK, '2026-03-08T07:00:00.000Z', -4],
    [NEW_YORK, '2026-11-01T05:59:59.999Z', -4],
    [NEW_YORK, '2026-11-01T06:00:00.000Z', -5],
    // Summer over the end of the year.
    [SYDNEY, '2026-04-04T15:59:59.999Z', 11],
    [SYDNEY, '2026-04-04T16:00:00.000Z', 10],
    [SYDNEY, '2026-10-03T15:59:59.999Z', 10],
    [SYDNEY, '2026-10-03T16:00:00.000Z', 11],
    [SYDNEY, '2026-12-31T23:59:59.999Z', 11],
    [SYDNEY, '2027-01-01T00:00:00.000Z', 11],
    // Half an hour; a winter that is the exception; changes on other days than their rule names.
    ['<+1030>-10:30<+11>-11,M10.1.0,M4.1.0', '2026-01-01T00:00:00Z', 11],
    ['<+1030>-10:30<+11>-11,M10.1.0,M4.1.0', '2026-07-01T00:00:00Z', 10.5],
    ['IST-1GMT0,M10.5.0,M3.5.0/1', '2026-07-01T00:00:00Z', 1],
    ['IST-1GMT0,M10.5.0,M3.5.0/1', '2026-12-01T00:00:00Z', 0],
    ['<-02>2<-01>,M3.5.0/-1,M10.5.0/0', '2026-03-29T00:59:59.999Z', -2],
    ['<-02>2<-01>,M3.5.0/-1,M10.5.0/0', '2026-03-29T01:00:00.000Z', -1],
    ['IST-2IDT,M3.4.4/26,M10.5.0', '2026-03-26T23:59:59.999Z', 2],
    ['IST-2IDT,M3.4.4/26,M10.5.0', '2026-03-27T00:00:00.000Z', 3],
    // Julian days: J60 is 1 March in every year, 59 is 29 February in leap years.
    ['AAA0BBB,J60/0,J300/0', '2028-02-29T23:59:59.999Z', 0],
    ['AAA0BBB,J60/0,J300/0', '2028-03-01T00:00:00.000Z', 1],
    ['AAA0BBB,59/0,299/0', '2028-02-29T00:00:00.000Z', 1],
    ['AAA0BBB,59/0,299/0', '2027-03-01T00:00:00.000Z', 1],
    ['AAA0BBB,59/0,299/0', '2027-02-28T23:59:59.999Z', 0],
    // Summer all the year.
    ['EST5EDT,0/0,J365/25', '2026-01-01T05:00:00.000Z', -4],
    ['EST5EDT,0/0,J365/25', '2026-01-01T04:59:59.999Z', -4],
    ['EST5EDT,0/0,J365/25', '2026-07-01T00:00:00.000Z', -4],
  ];
  for (const [text, at, hours] of cases) {
    it(`of ${text} at ${at}: ${hours} h`, () => assert.equal(zone(text).offsetMs(Date.parse(at)), hours * 3_600_000));
  }
});

describe('a time zone is refused', () => {
  for (const text of [
    '',
    'CET',
    'Europe/Berlin',
    'C-1',
    'CET-25',
    'CET-1:60',
    'CET-1CEST',
    'CET-1CEST,M3.5.0',
    'CET-1CEST,M13.5.0,M10.5.0',
    'CET-1CEST,M3.6.0,M10.5.0',
    'CET-1CEST,M3.5.7,M10.5.0',
    'CET-1CEST,J0,J300',
    'CET-1CEST,J366,J300',
    'CET-1CEST,366,300',
    'CET-1CEST,M3.5.0/168,M10.5.0',
    'CET-1CEST,M3.5.0,M10.5.0,x',
    '<C T>-1',
    ' UTC0',
    'UTC0\n',
  ]) {
    it(`'${text}'`, () => assert.equal(TimeZone.parse(text).ok, false));
  }
});

describe('the C library', () => {
  const zones = [
    BERLIN,
    NEW_YORK,
    SYDNEY,
    'IST-1GMT0,M10.5.0,M3.5.0/1',
    '<-02>2<-01>,M3.5.0/-1,M10.5.0/0',
    '<+1030>-10:30<+11>-11,M10.1.0,M4.1.0',
    'IST-2IDT,M3.4.4/26,M10.5.0',
    'AAA0BBB,J60/0,J300/0',
    'AAA3BBB,59/0,299/23',
    '<+0330>-3:30',
  ];
  const hasGnuDate = spawnSync('date', ['-d', '@0'], { encoding: 'utf8' }).status === 0;
  const skip = hasGnuDate ? false : 'no GNU date, which asks the C library, is there';
  for (const text of zones) {
    it(`sees ${text} as we do, every eleven hours of six years`, { skip }, () => {
      const seconds = Array.from({ length: 4800 }, (_, n) => 1_767_225_600 + n * 39_600);
      const input = seconds.map((second) => `@${second}\n`).join('');
      const { stdout } = spawnSync('date', ['-f', '-', '+%:::z'], {
        input,
        encoding: 'utf8',
        env: { ...process.env, TZ: text },
      });
      const seen = stdout.trim().split('\n');
      assert.equal(seen.length, seconds.length);
      const ours = zone(text);
      for (const [n, second] of seconds.entries()) {
        const [, sign, hours, minutes = 0] = /^([+-])(\d\d)(?::(\d\d))?$/.exec(seen[n] ?? '') ?? [];
        const aheadMs = (Number(hours) * 60 + Number(minutes)) * 60_000 * (sign === '-' ? -1 : 1);
        assert.equal(ours.offsetMs(second * 1000), aheadMs + 0, `${text} at ${second}`);
      }
    });
  }
});
