import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  ANSI_PAINT,
  formatBytes,
  formatDuration,
  healthReport,
  NO_PAINT,
  renderHealth,
  renderStatus,
} from './index.js';
import { exampleStatus } from './report.fixture.js';

describe('the status as text', () => {
  it('shows everything in aligned columns', () => {
    assert.equal(
      renderStatus(exampleStatus(), NO_PAINT),
      `gateway      MAC:001122AABBCC
version      1.2.3 (dev)
running      3 h 20 min, process 4711
serves on    192.168.1.1:8180 (1 connected)
notified on  0.0.0.0:2948
devices      5 known, 4 reachable
discovery    builtin on br-lan, 3 present
images       1.0 MiB, 1.9 GiB free
traffic      WAN 1.0 MiB in, LAN 3.0 MiB out
written      1.0 MiB to the disk, 1.05 per byte of WAN
memory       52.5 MiB (8.6 MiB its own)
database     wal

DM Servers
  SERVER  LAST SESSION                   NEXT           ALERTS  URL
  srv     completed 2026-03-01 13:00:00  in 1 h 30 min  2       https://dm.example.com/dm

Images
  IMAGE     STATE                    RECEIVED  SIZE     DELIVERED  LOCALIMAGEURI
  package1  available                100 %     1.0 MiB  3          http://192.168.1.1:8180/scomo/package1
  p2        waiting (no connection)  50 %      1000 B   0          -

Fanouts
  FANOUT  STATE    TARGETS  SENT  REACTED  FAILED
  f1      running  5        3     2        0
`,
    );
  });

  it('puts problems first, and leaves out what is not there', () => {
    const problems = [{ code: 'clock', severity: 'warning', text: 'the clock is not set' }] as const;
    const text = renderStatus(exampleStatus({ problems, accounts: [], images: [], fanouts: [] }), NO_PAINT);
    assert.match(text, /^warning: the clock is not set\n\ngateway /);
    assert.doesNotMatch(text, /DM Servers|Images|Fanouts/);
  });

  it('says when a proxy checks addresses in the place of the gateway', () => {
    const text = renderStatus(
      exampleStatus({ retrieve: { ...exampleStatus().retrieve, proxy: 'http://10.0.0.2:3128' } }),
      NO_PAINT,
    );
    assert.match(text, /^proxy {8}http:\/\/10\.0\.0\.2:3128 \(.*cannot be checked here\)$/m);
  });

  it('shows the download window and the metered link, where they are set', () => {
    const windowChangesAt = '2026-03-01T22:00:00.000Z';
    const retrieve = { proxy: null, windowOpen: false, windowChangesAt, metered: true };
    const text = renderStatus(exampleStatus({ retrieve }), NO_PAINT);
    assert.match(text, /^window {7}closed until 2026-03-01 22:00 UTC\nlink {9}metered$/m);
    const open = { ...retrieve, windowOpen: true, windowChangesAt: null, metered: false };
    assert.match(renderStatus(exampleStatus({ retrieve: open }), NO_PAINT), /^window {7}open\nlink {9}not metered$/m);
  });

  it('lets no text of a server steer the terminal', () => {
    const [image] = exampleStatus().images;
    const images = [{ ...image!, state: 'failed', resultText: '\u001b[2Jowned\r\n' }];
    assert.match(renderStatus(exampleStatus({ images }), NO_PAINT), /failed \(\?\[2Jowned\?\?\)/);
  });

  it('is coloured only where that is asked for', () => {
    const escape = '\u001b[';
    assert.ok(!renderStatus(exampleStatus(), NO_PAINT).includes(escape));
    assert.ok(renderStatus(exampleStatus(), ANSI_PAINT).includes(escape));
  });
});

describe('the health as text', () => {
  it('has one line for each check', () => {
    const report = healthReport([
      { name: 'database', ok: true, text: 'answers' },
      { name: 'storage', ok: false, text: 'full' },
    ]);
    assert.equal(renderHealth(report, NO_PAINT), 'not healthy\nok    database: answers\nFAIL  storage: full\n');
    assert.equal(renderHealth(healthReport([]), NO_PAINT), 'healthy\n');
  });
});

describe('figures for people', () => {
  const BYTES: [number, string][] = [
    [0, '0 B'],
    [1000, '1000 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [102_349, '100 KiB'],
    [1_048_575, '1.0 MiB'],
    [5_368_709_120, '5.0 GiB'],
  ];
  for (const [bytes, text] of BYTES) it(`${bytes} bytes: ${text}`, () => assert.equal(formatBytes(bytes), text));

  const DURATIONS: [number, string][] = [
    [0, '0 s'],
    [59, '59 s'],
    [60, '1 min'],
    [3599, '59 min'],
    [7200, '2 h'],
    [12_000, '3 h 20 min'],
    [446_400, '5 d 4 h'],
  ];
  for (const [seconds, text] of DURATIONS) {
    it(`${seconds} seconds: ${text}`, () => assert.equal(formatDuration(seconds), text));
  }
});
