import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Encoding } from '../dm/index.js';
import { Bench, readable, type Sent } from './bench.js';
import { expandMessage, parseConversation, pretty, type Reply } from './format.js';
import { conversationNames, conversationText } from './messages.js';

const ENCODINGS = ['xml', 'wbxml'] as const;

describe('conversations', () => {
  for (const name of conversationNames()) {
    for (const encoding of ENCODINGS) {
      const conversation = parseConversation(conversationText(name), encoding);
      it(`${name} (${encoding}): ${conversation.title}`, () =>
        withBench(conversation.settings, (bench) => bench.follow(conversation), {}, encoding));
    }
  }
});

describe('a conversation that differs from its file fails', () => {
  const text = conversationText('client-initiated');
  const changes: readonly (readonly [string, string, string])[] = [
    ['in a Status', '<Data>404</Data>', '<Data>405</Data>'],
    ['in the order', '<CmdRef>4</CmdRef><Cmd>Get</Cmd>', '<CmdRef>5</CmdRef><Cmd>Get</Cmd>'],
    ['in its end', '=== completed', '=== failed endless'],
    ['in what is so afterwards', 'fw = not-found', 'fw = x'],
    [
      'in a message that never comes',
      '=== completed',
      '>>> client\n<SyncHdr/>\n<Final/>\n\n<<< server\n<SyncHdr/>\n<Final/>\n\n=== completed',
    ],
  ];
  for (const [name, from, to] of changes) {
    it(name, async () => {
      assert.ok(text.includes(from));
      const conversation = parseConversation(text.replace(from, to));
      await assert.rejects(
        withBench([], (bench) => bench.follow(conversation)),
        assert.AssertionError,
      );
    });
  }
});

const GET = '<Get><CmdID>#</CmdID><Item><Target><LocURI>./DevInfo/Man</LocURI></Target></Item></Get>';
const MORE = '<Alert><CmdID>2</CmdID><Data>1222</Data></Alert>';

function repeated(command: string, times: number): string {
  return Array.from({ length: times }, (_, n) => command.replace('#', String(n + 2))).join('');
}

/** A value of 10,000 octets, and a message full of questions for it. */
const LARGE = '<Target><LocURI>./GwMO/Fanout/f/Targets</LocURI></Target>';
const ADD_LARGE = `<Add><CmdID>2</CmdID><Item>${LARGE}<Data>{letters 10000}</Data></Item></Add>`;
const GET_LARGE = repeated(`<Get><CmdID>#</CmdID><Item>${LARGE}</Item></Get>`, 140);

/** The server's next message; `body` stands behind the Status for our header. */
function message(index: number, body: string, header = '<SyncHdr/>'): Reply {
  const status = `<Status><CmdID>1</CmdID><MsgRef>${index + 1}</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>212</Data></Status>`;
  const whole = expandMessage(`${header}${status}${body}`, 'server', index + 1, '1234');
  return { kind: 'message', text: pretty(whole) };
}

function limit(maxMsgSize: number): string {
  return `<SyncHdr><Meta><MaxMsgSize>${maxMsgSize}</MaxMsgSize></Meta></SyncHdr>`;
}

/** What the gateway answers to a server that gets `gets` values at once and asks for the rest as often as needed. */
async function answersTo(gets: number, maxMsgSize: number, encoding: Encoding): Promise<Sent[]> {
  const sent: Sent[] = [];
  await withBench(
    [],
    async (bench) => {
      const end = await bench.hold((answer, index) => {
        if (index === 0) return message(0, `${repeated(GET, gets)}<Final/>`, limit(maxMsgSize));
        sent.push(answer);
        return message(index, readable(answer.body, encoding).includes('<Final/>') ? '<Final/>' : MORE);
      });
      assert.equal(end, 'completed');
    },
    {},
    encoding,
  );
  return sent;
}

for (const encoding of ENCODINGS) {
  describe(`the server's MaxMsgSize (${encoding})`, () => {
    it('is used up to the octet: a package of just that size is one message, with one octet less it is two', async () => {
      const [whole, ...rest] = await answersTo(12, 1_000_000, encoding);
      assert.ok(whole && rest.length === 0);
      const size = whole.body.byteLength;
      assert.equal((await answersTo(12, size, encoding)).length, 1);
      assert.equal((await answersTo(12, size - 1, encoding)).length, 2);
    });
    it('is never exceeded, and every answer arrives once, whatever the size', async () => {
      for (let maxMsgSize = 1200; maxMsgSize < 2600; maxMsgSize += 197) {
        const sent = await answersTo(12, maxMsgSize, encoding);
        for (const { body } of sent) assert.ok(body.byteLength <= maxMsgSize, `${body.byteLength} > ${maxMsgSize}`);
        const texts = sent.map(({ body }) => readable(body, encoding));
        const all = texts.join('\n');
        assert.equal(all.match(/<Cmd>Get<\/Cmd>/g)?.length, 12);
        assert.equal(all.match(/<Results>/g)?.length, 12);
        const finals = texts.map((text) => text.includes('<Final/>'));
        assert.deepEqual(finals, [...finals.slice(1).fill(false), true]);
      }
    });
    it('too small for anything is not believed, and the session ends all the same', async () => {
      assert.ok((await answersTo(3, 1, encoding)).length < 10);
    });
  });
}

describe('a server that goes on and on', () => {
  const hold = async (
    answer: (index: number) => Reply,
  ): Promise<{ readonly end: string; readonly messages: number; readonly largest: number }> => {
    const sizes: number[] = [];
    let end = '';
    await withBench([], async (bench) => {
      end = await bench.hold(({ body }, index) => {
        sizes.push(body.byteLength);
        return answer(index);
      });
    });
    return { end, messages: sizes.length, largest: Math.max(...sizes) };
  };

  it('never saying Final is asked for the rest once', async () => {
    const { end, messages } = await hold((index) => message(index, ''));
    assert.deepEqual({ end, messages }, { end: 'completed', messages: 2 });
  });
  it('without letting us answer is stopped before its commands fill the memory', async () => {
    const { end, messages } = await hold((index) => {
      return message(index, `${index === 0 ? ADD_LARGE : GET_LARGE}<Final/>`, limit(12_000));
    });
    assert.equal(end, 'failed endless');
    assert.ok(messages > 3 && messages < 10, `${messages} messages`);
  });
  it('reading one large value again and again gets no more than a bounded answer', async () => {
    const { end, largest } = await hold((index) => message(index, `${[ADD_LARGE, GET_LARGE][index] ?? ''}<Final/>`));
    assert.equal(end, 'completed');
    assert.ok(largest > 1_000_000 && largest < 1_200_000, `${largest} octets`);
  });
});

describe('a tree with every name changed', () => {
  const overrides = {
    ImageInventory: './Vendor/Images',
    'ImageInventory:type': 'com.example/1.0/Images',
    'ImageInventory/ImageURI': 'Url',
    'ImageInventory/State': 'Phase',
    'ImageInventory/Operations': 'Do',
    'ImageInventory/Remove': 'Drop',
    Fanout: './Vendor/Calls',
    'Fanout/Target': 'To',
    'Fanout/Notification': 'Package0',
  };
  it('works under its names alone, and alerts tell them', () =>
    withBench(
      [],
      (bench) => {
        const by = { serverId: 'dmserver' };
        const { tree, store, outbox } = bench;
        const value = (data?: string): { format: undefined; type: undefined; data: string | undefined } => ({
          format: undefined,
          type: undefined,
          data,
        });
        const get = (uri: string): unknown => {
          const found = tree.get(by, uri);
          return found.ok ? found.value.data : found.error.code;
        };
        store.transaction(() => {
          assert.ok(tree.add(by, './Vendor/Images/fw/Url', value('http://images.example/fw')).ok);
          assert.ok(tree.add(by, './Vendor/Calls/c/To/d/Package0', value('AQID')).ok);
        });
        assert.equal(get('.'), 'DevInfo/DevDetail/DMAcc/Vendor/GwMO');
        assert.equal(get('./Vendor'), 'Images/Calls');
        assert.equal(get('./Vendor/Images?prop=Type'), 'com.example/1.0/Images');
        assert.equal(get('./Vendor/Images/fw/Phase'), '20');
        assert.equal(get('./Vendor/Images/fw/State'), 'not-found');
        assert.equal(get('./GwMO/ImageInventory'), 'not-found');
        assert.ok(store.transaction(() => bench.catalog.cancel(1)).ok);
        assert.equal(outbox.waiting('dmserver', 1)[0]?.source, './Vendor/Images/fw');
        assert.ok(store.transaction(() => tree.exec(by, './Vendor/Images/fw/Do/Drop', undefined, undefined)).ok);
        assert.equal(get('./Vendor/Images'), '');
        return Promise.resolve();
      },
      overrides,
    ));
});

async function withBench(
  settings: ConstructorParameters<typeof Bench>[0],
  work: (bench: Bench) => Promise<void>,
  overrides: Readonly<Record<string, string>> = {},
  encoding: Encoding = 'xml',
): Promise<void> {
  const bench = new Bench(settings, overrides, encoding);
  try {
    await work(bench);
  } finally {
    await bench.close();
  }
}
