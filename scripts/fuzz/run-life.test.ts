import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { element, writeWbxml } from '../../firmware/codec/index.js';
import { Bench } from '../../firmware/conversations/bench.js';
import { NONCES, SERVER } from '../../firmware/conversations/format.js';
import { buildNotification, NOTIFICATION_VERSION, UiMode, type Carrier } from '../../firmware/dm/index.js';
import { readByLibwbxml } from './libwbxml.js';
import { formatLife, type Life } from './life.js';
import { HEAP_GROWTH_BYTES, RSS_ANON_GROWTH_BYTES } from './protocol.js';
import { runLife, type Observer } from './run-life.js';
import { MemorySamples } from './samples.js';
import { replay } from './watch.js';

/** A server that wants to know one value. */
const GET =
  '<SyncML xmlns="SYNCML:SYNCML1.2"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>1234</SessionID>' +
  '<MsgID>1</MsgID><Target><LocURI>d</LocURI></Target><Source><LocURI>s</LocURI></Source>' +
  '<Meta><MaxMsgSize xmlns="syncml:metinf">1500</MaxMsgSize></Meta></SyncHdr><SyncBody><Get><CmdID>1</CmdID>' +
  '<Item><Target><LocURI>./DevInfo/Man</LocURI></Target></Item></Get><Final/></SyncBody></SyncML>';
const LIFE: Life = { settings: [], sessions: [[{ encoding: 'xml', octets: Buffer.from(GET) }]], datagrams: [] };

/** A gateway whose answer to the server is another one. */
class Tampered extends Bench {
  constructor(private readonly tamper: (answer: string) => string) {
    super([]);
  }

  override run(carrier: Carrier, maxMsgSize?: number): Promise<string> {
    let sent = 0;
    const post: Carrier['post'] = (url, body, ...rest) => {
      sent += 1;
      return carrier.post(url, sent === 2 ? Buffer.from(this.tamper(Buffer.from(body).toString())) : body, ...rest);
    };
    return super.run({ post, close: () => carrier.close() }, maxMsgSize);
  }
}

/** Lives with a gateway that answers so. @returns what the observer was told, counted */
async function live(tamper: (answer: string) => string, life = LIFE): Promise<Record<string, number>> {
  const told: Record<string, number> = {};
  const count = (what: string) => (): void => void (told[what] = (told[what] ?? 0) + 1);
  const observer: Observer = {
    input: (kind) => count(kind)(),
    understood: count('understood'),
    took: count('took'),
    answer: count('answer'),
    status: (command, code) => count(`${command} ${code}`)(),
    ended: (completed) => count(completed ? 'completed' : 'broken')(),
  };
  await runLife(life, observer, new Tampered(tamper));
  return told;
}

/** Without the Status and the Results of the Get. */
const silent = (answer: string): string => answer.replace(/<Status>(?:(?!<Status>).)*<Cmd>Get<.*<\/Results>/s, '');

describe('a life of the fuzz', () => {
  it('goes well with the gateway as it is, and tells of each step', async () => {
    assert.deepEqual(await live((answer) => answer), {
      ...{ message: 1, understood: 1, took: 1, answer: 2, completed: 1 },
      ...{ 'SyncHdr 200': 1, 'Get 200': 1 },
    });
  });

  const faults: readonly (readonly [what: string, tamper: (answer: string) => string, fault: RegExp])[] = [
    ['is not well-formed', (answer) => `${answer}<`, /not well-formed/],
    ['answers another command', (answer) => answer.replace('<Cmd>Get<', '<Cmd>Add<'), /a Status for 1 1 Add, which/],
    ['leaves out a Status', silent, /no Status for 1 1 Get/],
    ['is longer than the server takes', (answer) => answer.padEnd(1501), /1501 octets, 1500 are allowed/],
  ];
  for (const [what, tamper, fault] of faults) {
    it(`fails where an answer ${what}`, () => assert.rejects(live(tamper), fault));
  }

  it('fails where a notification is taken that the server has not made', async () => {
    const fields = {
      ...({ version: NOTIFICATION_VERSION, uiMode: UiMode.BACKGROUND, initiator: 'server', sessionId: 77 } as const),
      ...{ serverId: SERVER.name, vendor: new Uint8Array() },
    };
    const datagrams = [buildNotification(fields, SERVER.secret, NONCES['s0'] ?? new Uint8Array())];
    await assert.rejects(
      live((answer) => answer, { ...LIFE, datagrams }),
      /a forged notification was taken/,
    );
  });

  it('that fails is told of, with its file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fuzz-life-'));
    const file = join(folder, 'life.json');
    writeFileSync(file, formatLife({ ...LIFE, settings: [['nonsense', '']] }));
    const result = await replay([file]);
    assert.ok(!result.ok);
    assert.match(result.fault, /'nonsense' is no setting/);
    rmSync(folder, { recursive: true });
  });
});

describe('libwbxml beside the fuzz', { skip: readByLibwbxml([]) === null && 'it is not installed' }, () => {
  it('says which answer it cannot read', () => {
    const good = writeWbxml(
      element('syncml', 'SyncML', [element('syncml', 'SyncBody', [element('syncml', 'Final', '')])]),
    );
    assert.equal(readByLibwbxml([good, good]), 2);
    assert.throws(() => readByLibwbxml([good, good.subarray(0, -1)]), /libwbxml cannot read an answer/);
  });
});

describe('the memory of the fuzz', () => {
  it('is seen to grow where something is kept for each input', () => {
    const samples = new MemorySamples();
    const kept: number[][] = [];
    for (let inputs = 0; inputs < 5; inputs += 1) {
      samples.take(inputs);
      kept.push(Array.from({ length: 1_000_000 }, (_, index) => index + inputs));
    }
    samples.take(kept.length);
    const { heap, rssAnon } = samples;
    assert.ok(heap.firstBytes > 0 && heap.growthBytes > HEAP_GROWTH_BYTES, JSON.stringify(heap));
    assert.ok(rssAnon.firstBytes > 0 && rssAnon.growthBytes > RSS_ANON_GROWTH_BYTES, JSON.stringify(rssAnon));
  });
});
