import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { Answer, Question } from 'dns-packet';
import { ManualClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { Browser } from './browser.js';
import { LATER, type FoundService } from './service.js';

const TYPE = '_omadm-notify._udp.local';

const ptr = (name: string, ttl = 4500): Answer => ({ type: 'PTR', name: TYPE, ttl, data: `${name}.${TYPE}` });
const srv = (name: string, target = `${name}.local`, port = 2948): Answer => ({
  type: 'SRV',
  name: `${name}.${TYPE}`,
  ttl: 120,
  flush: true,
  data: { port, target },
});
const txt = (name: string, ...pairs: string[]): Answer => ({
  type: 'TXT',
  name: `${name}.${TYPE}`,
  ttl: 4500,
  flush: true,
  data: [`devid=X:${name}`, ...pairs].map((pair) => Buffer.from(pair)),
});
const a = (name: string, address: string, more: { ttl?: number; flush?: boolean } = {}): Answer => ({
  type: 'A',
  name: `${name}.local`,
  ttl: 120,
  flush: true,
  ...more,
  data: address,
});
const whole = (name: string, address: string): Answer[] => [ptr(name), srv(name), txt(name), a(name, address)];

describe('browser', () => {
  let clock: ManualClock;
  let browser: Browser;
  let events: string[];
  let found: FoundService[];
  let asked: { questions: readonly Question[]; known: readonly Answer[]; atMs: number }[];
  let startMs: number;
  let isFull: boolean;

  beforeEach(() => {
    clock = new ManualClock();
    clock.advance(1e7);
    startMs = clock.monotonicMs();
    events = [];
    found = [];
    asked = [];
    isFull = false;
    browser = new Browser({
      type: '_omadm-notify._udp',
      link: 'eth1',
      clock,
      random: () => 0.5,
      log: silentLog,
      ask: (questions, known) => asked.push({ questions, known, atMs: clock.monotonicMs() - startMs }),
      listener: {
        found: (service) => {
          found.push(service);
          events.push(`found ${service.instance} ${service.addresses.join(' ')}`);
          return isFull ? LATER : service.txt.devid;
        },
        heard: (_, instance, unasked) => events.push(`heard ${instance}${unasked ? ' unasked' : ''}`),
        gone: (_, instance) => events.push(`gone ${instance}`),
      },
    });
    browser.start();
  });

  const questionsFor = (name: string): string[] =>
    asked.flatMap(({ questions }) => questions.filter((one) => one.name === name).map(({ type }) => type));

  it('queries after a short delay, then at intervals that grow to an hour', () => {
    clock.advance(5 * 3_600_000);
    const times = asked.map(({ atMs }) => atMs);
    assert.deepEqual(times.slice(0, 4), [70, 1070, 4070, 13_070]);
    assert.equal(times.at(-1)! - times.at(-2)!, 3_600_000);
    assert.ok(asked.every(({ questions }) => questions.length === 1 && questions[0]?.name === TYPE));
  });

  it('tells of an instance once all of it is known, and of signs of life afterwards', () => {
    browser.take(whole('lamp', '192.168.1.7'));
    browser.take([ptr('lamp')]);
    clock.advance(10_000);
    browser.take([ptr('lamp')]);
    assert.deepEqual(events, ['found lamp 192.168.1.7', 'heard lamp unasked', 'heard lamp unasked']);
    assert.deepEqual(found[0], {
      instance: 'lamp',
      link: 'eth1',
      port: 2948,
      addresses: ['192.168.1.7'],
      txt: Object.assign(Object.create(null) as object, { devid: 'X:lamp' }),
      knownAs: undefined,
    });
  });

  it('says whether a sign of life is an answer to its own question', () => {
    browser.take(whole('lamp', '192.168.1.7'));
    clock.advance(1_100);
    browser.take([ptr('lamp')]);
    assert.deepEqual(events, ['found lamp 192.168.1.7', 'heard lamp']);
  });

  it('asks for what is missing, twice, and forgets an instance that does not answer', () => {
    browser.take([ptr('lamp')]);
    clock.advance(50);
    assert.deepEqual(questionsFor(`lamp.${TYPE}`), ['SRV', 'TXT']);
    browser.take([srv('lamp'), txt('lamp')]);
    clock.advance(50);
    assert.deepEqual(questionsFor('lamp.local'), ['A', 'AAAA']);
    assert.deepEqual(events, []);
    browser.take([a('lamp', '192.168.1.7')]);
    assert.deepEqual(events, ['found lamp 192.168.1.7']);
    browser.take([ptr('mute')]);
    clock.advance(5_000);
    assert.equal(questionsFor(`mute.${TYPE}`).length, 4);
    assert.equal(browser.size, 1);
  });

  it('leaves out what is known when it asks for all, as long as half of its life is left', () => {
    browser.take(whole('lamp', '192.168.1.7'));
    clock.advance(4_100);
    assert.deepEqual(
      asked.at(-1)?.known.map((one) => one.type === 'PTR' && one.data),
      [`lamp.${TYPE}`],
    );
    clock.advance(2_400_000);
    const after = asked.length;
    browser.restart();
    clock.advance(200);
    assert.deepEqual(asked[after]?.known, []);
  });

  it('asks again before the end of the life of a record, and tells when nobody answers', () => {
    browser.take([ptr('lamp', 120), ...whole('lamp', '192.168.1.7').slice(1)]);
    clock.advance(95_000);
    const before = asked.length;
    clock.advance(24_000);
    assert.ok(asked.length - before >= 3, `${asked.length - before} queries`);
    assert.equal(events.length, 1);
    clock.advance(2_000);
    assert.deepEqual(events, ['found lamp 192.168.1.7', 'gone lamp']);
  });

  it('is not impressed by a goodbye that the instance contradicts', () => {
    browser.take(whole('lamp', '192.168.1.7'));
    browser.take([ptr('lamp', 0)]);
    clock.advance(100);
    assert.deepEqual(questionsFor(`lamp.${TYPE}`), ['SRV']);
    browser.take([srv('lamp')]);
    clock.advance(60_000);
    assert.ok(!events.includes('gone lamp'));
  });

  it('believes a goodbye that nobody contradicts', () => {
    browser.take(whole('lamp', '192.168.1.7'));
    browser.take([ptr('lamp', 0)]);
    clock.advance(2_000);
    assert.ok(!events.includes('gone lamp'));
    clock.advance(2_000);
    assert.equal(events.at(-1), 'gone lamp');
    browser.take(whole('lamp', '192.168.1.7'));
    assert.equal(events.at(-1), 'found lamp 192.168.1.7');
  });

  const flushes: readonly [string, Answer[], string[]][] = [
    ['replaces with the cache-flush bit', [a('lamp', '192.168.1.8')], ['192.168.1.8']],
    ['adds without it', [a('lamp', '192.168.1.8', { flush: false })], ['192.168.1.8', '192.168.1.7']],
    ['removes at TTL 0', [a('lamp', '192.168.1.8'), a('lamp', '192.168.1.7', { ttl: 0 })], ['192.168.1.8']],
    [
      'replaces one family only',
      [{ type: 'AAAA', name: 'LAMP.local', ttl: 120, flush: true, data: 'fd00::7' }],
      ['192.168.1.7', 'fd00::7'],
    ],
    [
      'gives a link-local address its zone',
      [{ type: 'AAAA', name: 'lamp.local', ttl: 120, flush: true, data: 'fe80::7' }],
      ['192.168.1.7', 'fe80::7%eth1'],
    ],
  ];
  for (const [what, records, addresses] of flushes) {
    it(`addresses: ${what}`, () => {
      browser.take(whole('lamp', '192.168.1.7'));
      browser.take(records);
      assert.deepEqual(found.at(-1)?.addresses, addresses);
    });
  }

  it('tells of a change of the TXT record, under the name that it is known by', () => {
    browser.take(whole('lamp', '192.168.1.7'));
    browser.take([txt('lamp', 'sid=4A')]);
    assert.equal(found.at(-1)?.txt.sid, '4A');
    assert.equal(found.at(-1)?.knownAs, 'X:lamp');
  });

  it('keeps addresses although their records expire, and asks for them when told to', () => {
    browser.take(whole('lamp', '192.168.1.7'));
    clock.advance(600_000);
    assert.ok(!events.includes('gone lamp'));
    browser.verify(new Set(['X:lamp']));
    clock.advance(50);
    assert.deepEqual(questionsFor('lamp.local'), ['A', 'AAAA']);
    assert.deepEqual(questionsFor(`lamp.${TYPE}`), ['SRV', 'TXT']);
  });

  it('goes on asking although somebody answers: it may be somebody else', () => {
    browser.take(whole('lamp', '192.168.1.7'));
    browser.verify(new Set(['X:lamp']));
    for (let i = 0; i < 50; i += 1) {
      browser.take(whole('lamp', '192.168.66.6'));
      clock.advance(20);
    }
    assert.ok(questionsFor('lamp.local').length >= 2);
    clock.advance(10_000);
    assert.equal(questionsFor('lamp.local').length, 4);
  });

  it('tells that something else is said in the name of an instance, and asks who it is', () => {
    browser.take(whole('lamp', '192.168.1.7'));
    browser.take([{ ...txt('lamp'), data: [Buffer.from('devid=X:other')] } as Answer]);
    clock.advance(50);
    assert.deepEqual(events.slice(1), ['found lamp 192.168.1.7', 'gone lamp']);
    assert.deepEqual(questionsFor(`lamp.${TYPE}`), ['SRV', 'TXT']);
  });

  /** Times of the queries for all from now on. */
  const queriesDuring = (work: () => void): number[] => {
    const before = asked.length;
    work();
    return asked
      .slice(before)
      .filter(({ questions }) => questions[0]?.type === 'PTR')
      .map(({ atMs }) => atMs);
  };

  it('asks all no more than every 8 seconds, however often something else is said in the name of an instance', () => {
    clock.advance(500_000);
    const times = queriesDuring(() => {
      browser.take(whole('lamp', '192.168.1.7'));
      for (let i = 0; i < 400; i += 1) {
        browser.take([{ ...txt('lamp'), data: [Buffer.from(`devid=X:${i}`)] } as Answer]);
        clock.advance(100);
      }
    });
    assert.ok(times.length >= 4 && times.length <= 6, `${times.length} queries in 40 s`);
  });

  it('asks all again where something was not looked at, ever more rarely while that brings nobody new', () => {
    browser.take(whole('lamp', '192.168.1.7'));
    clock.advance(500_000);
    /** @returns when all were asked meanwhile, in seconds */
    const missUntil = (seconds: number): number[] => {
      const times = queriesDuring(() => {
        while (clock.monotonicMs() - startMs < 500_000 + seconds * 1000) {
          browser.missed();
          clock.advance(100);
        }
      });
      return times.map((atMs) => Math.round(atMs / 1000 - 500));
    };
    assert.deepEqual(missUntil(50), [0, 16, 48]);
    // One that was known is nobody new, and one that comes long after the query does not come by it.
    browser.take([ptr('lamp')]);
    assert.deepEqual(missUntil(60), []);
    browser.take(whole('fan', '192.168.1.8'));
    assert.deepEqual(missUntil(114), [112]);
    browser.take(whole('door', '192.168.1.9'));
    assert.deepEqual(missUntil(144), [120, 136]);
    browser.follow('daemon');
    assert.deepEqual(
      queriesDuring(() => {
        browser.missed();
        clock.advance(20_000);
      }),
      [],
    );
  });

  it('asks all where no two instances have a name that is in doubt, and else those two', () => {
    browser.take(whole('lamp', '192.168.1.7'));
    clock.advance(500_000);
    const askTwice = (): void => {
      for (let i = 0; i < 2; i += 1) {
        browser.verify(new Set(['X:lamp']));
        clock.advance(3_500);
      }
    };
    assert.equal(queriesDuring(askTwice).length, 1);
    clock.advance(8_000);
    browser.take(
      whole('thief', '192.168.66.6').map((one) => (one.type === 'TXT' ? { ...one, data: 'devid=X:lamp' } : one)),
    );
    assert.equal(found.at(-1)?.txt.devid, 'X:lamp');
    assert.equal(queriesDuring(askTwice).length, 0);
    assert.ok(questionsFor('thief.local').length > 0);
  });

  it('offers an instance again for which there is no room now; one that is known stays what it was', () => {
    browser.take(whole('lamp', '192.168.1.7'));
    clock.advance(500_000);
    isFull = true;
    browser.take([a('lamp', '192.168.1.8'), ...whole('other', '192.168.1.9')]);
    assert.deepEqual([browser.knows('lamp'), browser.size], [true, 1]);
    const before = asked.length;
    clock.advance(50);
    const again = asked.slice(before).find(({ questions }) => questions[0]?.type === 'PTR');
    assert.deepEqual(again?.known, []);
    isFull = false;
    browser.take([ptr('lamp')]);
    assert.equal(events.at(-1), 'found lamp 192.168.1.8');
    browser.take([ptr('lamp')]);
    assert.ok(events.at(-1)?.startsWith('heard lamp'));
    assert.ok(!events.some((event) => event.startsWith('gone')));
  });

  it('tells that all are gone with the link', () => {
    browser.take(whole('lamp', '192.168.1.7'));
    browser.abandon();
    assert.deepEqual(events, ['found lamp 192.168.1.7', 'gone lamp']);
  });

  it('ignores foreign types, names without end, port 0 and instances without PTR', () => {
    browser.take([
      { type: 'PTR', name: '_http._tcp.local', ttl: 120, data: 'x._http._tcp.local' },
      { type: 'PTR', name: TYPE, ttl: 120, data: 'x._http._tcp.local' },
      { type: 'PTR', name: TYPE, ttl: 120, data: `${'y'.repeat(240)}.${TYPE}` },
      { type: 'PTR', name: TYPE, ttl: 120, data: `bell\u0007.${TYPE}` },
      srv('lone'),
      txt('lone'),
      a('lone', '192.168.1.9'),
    ]);
    assert.equal(browser.size, 0);
    browser.take([ptr('zero'), srv('zero', 'zero.local', 0), txt('zero'), a('zero', '192.168.1.9')]);
    assert.deepEqual(events, []);
  });

  it('bounds incomplete instances, and those of one host', () => {
    browser.take(Array.from({ length: 400 }, (_, i) => ptr(`n${i}`)));
    browser.take(Array.from({ length: 400 }, (_, i) => ptr(`m${i}`)));
    assert.equal(browser.size, 512);
    clock.advance(10_000);
    assert.equal(browser.size, 0);
    for (let i = 0; i < 20; i += 1)
      browser.take([ptr(`h${i}`), srv(`h${i}`, 'one.local'), txt(`h${i}`), a('one', '192.168.1.9')]);
    assert.equal(found.length, 16);
  });

  it('bounds those that are new in a second, those that are kept, and those that are told as known', () => {
    const take = (from: number, to: number): void => {
      for (let i = from; i < to; i += 1) browser.take(whole(`n${i}`, '192.168.1.7'));
    };
    take(0, 3_000);
    assert.equal(browser.size, 2_000);
    clock.advance(1_000);
    take(3_000, 4_000);
    assert.equal(browser.size, 2_500);
    assert.equal(asked.find(({ atMs }) => atMs === 70)?.known.length, 1_000);
    for (let i = 4_000; i < 20_000; i += 500) {
      clock.advance(1_000);
      take(i, i + 500);
    }
    assert.equal(browser.size, 16_384);
  });

  it('holds the entries of real devices against a million names', () => {
    for (let i = 0; i < 50; i += 1) browser.take(whole(`real${i}`, `192.168.1.${i + 1}`));
    assert.equal(found.length, 50);
    for (let i = 0; i < 1_000_000; i += 100) {
      browser.take(Array.from({ length: 100 }, (_, k) => ptr(`fake${i + k}`)));
      if (i % 10_000 === 0) clock.advance(10);
    }
    assert.ok(browser.size <= 50 + 512, `${browser.size} kept`);
    clock.advance(10_000);
    assert.equal(browser.size, 50);
    assert.ok(!events.some((event) => event.startsWith('gone')));
  });
});
