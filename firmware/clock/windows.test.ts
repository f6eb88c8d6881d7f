import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TimeZone, WeeklyWindows } from './index.js';

// A Node.js without data of the world's places has none: all of this works without it.
Object.defineProperty(globalThis, 'Intl', { get: () => assert.fail('Intl is used') });

const BERLIN = 'CET-1CEST,M3.5.0,M10.5.0/3';

function windows(zone: string, ...texts: string[]): WeeklyWindows {
  const parsedZone = TimeZone.parse(zone);
  assert.ok(parsedZone.ok);
  const parsed = WeeklyWindows.parse(texts, parsedZone.value);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.error.text);
  return parsed.value;
}

describe('a window', () => {
  /** windows, instant, open, when that changes. 1 March 2026 is a Sunday. */
  const cases: readonly (readonly [
    zone: string,
    texts: string,
    at: string,
    open: boolean,
    changes: string | undefined,
  ])[] = [
    ['UTC0', '01:00-02:00', '2026-03-01T00:59:59.999Z', false, '2026-03-01T01:00:00.000Z'],
    ['UTC0', '01:00-02:00', '2026-03-01T01:00:00.000Z', true, '2026-03-01T02:00:00.000Z'],
    ['UTC0', '01:00-02:00', '2026-03-01T01:59:59.999Z', true, '2026-03-01T02:00:00.000Z'],
    ['UTC0', '01:00-02:00', '2026-03-01T02:00:00.000Z', false, '2026-03-02T01:00:00.000Z'],
    // Over midnight: it belongs to the day on which it begins.
    ['UTC0', 'Sun 22:00-06:00', '2026-03-01T05:00:00.000Z', false, '2026-03-01T22:00:00.000Z'],
    ['UTC0', 'Sun 22:00-06:00', '2026-03-02T05:59:59.999Z', true, '2026-03-02T06:00:00.000Z'],
    ['UTC0', 'Sun 22:00-06:00', '2026-03-02T22:00:00.000Z', false, '2026-03-08T22:00:00.000Z'],
    ['UTC0', 'Sat 22:00-06:00', '2026-03-01T03:00:00.000Z', true, '2026-03-01T06:00:00.000Z'],
    // Days, and ranges over the end of the week.
    ['UTC0', 'mon-fri 09:00-17:00', '2026-03-01T12:00:00.000Z', false, '2026-03-02T09:00:00.000Z'],
    ['UTC0', 'Mon-Fri 09:00-17:00', '2026-03-06T12:00:00.000Z', true, '2026-03-06T17:00:00.000Z'],
    ['UTC0', 'Fri-Mon 00:00-24:00', '2026-03-01T12:00:00.000Z', true, '2026-03-03T00:00:00.000Z'],
    ['UTC0', 'Tue,Sat 00:00-24:00', '2026-03-03T12:00:00.000Z', true, '2026-03-04T00:00:00.000Z'],
    // Several that touch are one.
    ['UTC0', '00:00-06:00|06:00-12:00', '2026-03-01T01:00:00.000Z', true, '2026-03-01T12:00:00.000Z'],
    ['UTC0', '00:00-24:00', '2026-03-01T01:00:00.000Z', true, undefined],
    // By the local clock.
    [BERLIN, 'Mon 00:00-01:00', '2026-03-01T23:00:00.000Z', true, '2026-03-02T00:00:00.000Z'],
    ['EST5', 'Sat 23:00-24:00', '2026-03-01T04:30:00.000Z', true, '2026-03-01T05:00:00.000Z'],
    // In spring the clock goes from 02:00 to 03:00 (01:00 UTC): what is skipped does not open.
    [BERLIN, '02:00-03:00', '2026-03-29T00:59:59.999Z', false, '2026-03-30T00:00:00.000Z'],
    [BERLIN, '02:30-04:00', '2026-03-29T00:59:59.999Z', false, '2026-03-29T01:00:00.000Z'],
    [BERLIN, '01:00-02:30', '2026-03-29T00:30:00.000Z', true, '2026-03-29T01:00:00.000Z'],
    [BERLIN, '22:00-06:00', '2026-03-28T23:00:00.000Z', true, '2026-03-29T04:00:00.000Z'],
    // In autumn it goes back from 03:00 to 02:00 (01:00 UTC): what is repeated opens twice.
    [BERLIN, '02:00-03:00', '2026-10-25T00:30:00.000Z', true, '2026-10-25T02:00:00.000Z'],
    [BERLIN, '01:00-02:30', '2026-10-25T00:00:00.000Z', true, '2026-10-25T00:30:00.000Z'],
    [BERLIN, '01:00-02:30', '2026-10-25T00:45:00.000Z', false, '2026-10-25T01:00:00.000Z'],
    [BERLIN, '01:00-02:30', '2026-10-25T01:15:00.000Z', true, '2026-10-25T01:30:00.000Z'],
    [BERLIN, '22:00-06:00', '2026-10-24T22:00:00.000Z', true, '2026-10-25T05:00:00.000Z'],
  ];
  for (const [zone, texts, at, open, changes] of cases) {
    it(`${texts} in ${zone} at ${at}: ${open ? 'open' : 'closed'} until ${changes ?? 'ever'}`, () => {
      const made = windows(zone, ...texts.split('|'));
      assert.equal(made.isOpen(Date.parse(at)), open);
      const changesMs = made.nextChangeMs(Date.parse(at));
      assert.equal(changesMs === undefined ? undefined : new Date(changesMs).toISOString(), changes);
    });
  }

  it('changes only where the next change is told, minute by minute over both changes of the clock', () => {
    const made = windows(BERLIN, 'Mon-Fri 22:00-06:00', 'Sun 02:15-02:45', 'Sat 12:00-13:00');
    for (const start of ['2026-03-27T00:00:00Z', '2026-10-23T00:00:00Z']) {
      let told = made.nextChangeMs(Date.parse(start));
      let open = made.isOpen(Date.parse(start));
      for (let minute = 1; minute < 4 * 1440; minute += 1) {
        const atMs = Date.parse(start) + minute * 60_000;
        if (made.isOpen(atMs) === open) {
          assert.ok(told !== undefined && told > atMs);
        } else {
          assert.equal(told, atMs);
          open = !open;
          told = made.nextChangeMs(atMs);
        }
      }
    }
  });

  it('is shown with the time of the place', () => {
    assert.equal(
      windows(BERLIN, '00:00-01:00').format(Date.parse('2026-07-01T20:00:00Z')),
      '2026-07-01 22:00 (UTC+02:00)',
    );
    assert.equal(
      windows('<-0330>3:30', '00:00-01:00').format(Date.parse('2026-07-01T00:00:00Z')),
      '2026-06-30 20:30 (UTC-03:30)',
    );
  });

  for (const text of [
    '',
    '22:00',
    '22:00-25:00',
    '22:60-23:00',
    '24:00-06:00',
    '22:00-22:00',
    'Foo 22:00-23:00',
    'Mon- 22:00-23:00',
    'Mon-Tue-Wed 1:00-2:00',
    '1:00-2:00',
    'Mon  22:00-23:00',
  ]) {
    it(`'${text}' is refused`, () => {
      const zone = TimeZone.parse('UTC0');
      assert.ok(zone.ok);
      assert.equal(WeeklyWindows.parse([text], zone.value).ok, false);
    });
  }
});
