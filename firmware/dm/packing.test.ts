import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { silentLog, type Logger } from '../log/index.js';
import type { Store } from '../store/index.js';
import { openTestStore } from '../store/store.fixture.js';
import type { Answer } from './executor.js';
import { MessageDraft } from './message-draft.js';
import type { Item, Message, Part, StatusCommand } from './message.js';
import { Outbox, outboxChanges, outboxSchema } from './outbox.js';
import { Packing } from './packing.js';
import { HEADER } from './header.fixture.js';
import { LONG_CMD_ID, wbxmlWire, xmlWire, type Wire } from './wire.js';

const LIMITS = { maxBytes: 1_000_000, maxDepth: 32, maxElements: 10_000 };

let folder: string;
let store: Store;
let outbox: Outbox;
let warnings: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'packing-'));
  store = openTestStore({ file: join(folder, 'db'), schema: [...outboxSchema, ...outboxChanges], log: silentLog });
  outbox = new Outbox(store);
  warnings = [];
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

const log: Logger = { ...silentLog, warn: (text) => void warnings.push(text) };

const status = (cmdRef: string, more: Partial<Extract<Answer, { kind: 'Status' }>> = {}): Answer => ({
  ...{ kind: 'Status', msgRef: '1', cmdRef, cmd: 'Get', targetRefs: ['./A/B'], sourceRefs: [], data: '200', items: [] },
  ...more,
});
const results = (cmdRef: string, ...values: (string | Uint8Array)[]): Answer => ({
  ...{ kind: 'Results', msgRef: '1', cmdRef },
  items: values.map((data) => ({ source: { uri: './A/B' }, meta: { format: 'chr' }, data })),
});
const aboutHeader: Part = status('0', { cmd: 'SyncHdr', targetRefs: [], data: '212' });

/** The next message as a session makes it: with the Status of the header, and Final when nothing is left. */
function next(packing: Packing, wire: Wire, maxBytes: number, msgId = 1): Message {
  const draft = new MessageDraft(HEADER, wire, maxBytes);
  draft.add(aboutHeader);
  packing.fill(draft, msgId, draft.room);
  const message = draft.build(packing.isEmpty);
  const bytes = wire.encode(message).byteLength;
  assert.ok(bytes <= maxBytes, `${bytes} octets, ${maxBytes} are allowed`);
  return message;
}

/** All messages until nothing is left, as the other end reads them. */
function all(packing: Packing, wire: Wire, maxBytes: number): Message[] {
  const messages: Message[] = [];
  do {
    const read = wire.decode(wire.encode(next(packing, wire, maxBytes, messages.length + 1)), LIMITS);
    assert.ok(read.ok);
    messages.push(read.value);
    assert.ok(messages.length < 1000, 'no end');
  } while (!packing.isEmpty);
  return messages;
}

/** What a message tells beside the Status of the header: `S1` the Status of command 1, `R1` its Results. */
function told({ body }: Message): string {
  const parts = body.slice(1).map((one) => {
    if (one.kind === 'Status') return `S${one.cmdRef}`;
    if (one.kind === 'Results') return `R${one.cmdRef}${one.items[0]?.moreData ? '+' : ''}`;
    return one.kind;
  });
  return parts.join(' ');
}

function pieces(messages: readonly Message[]): Item[] {
  return messages.flatMap(({ body }) => body.flatMap((one) => (one.kind === 'Results' ? one.items : [])));
}

for (const wire of [xmlWire, wbxmlWire]) {
  const packing = (...answers: Answer[]): Packing => {
    const made = new Packing(outbox, log, wire);
    made.owe(answers);
    return made;
  };

  describe(`packing (${wire.encoding})`, () => {
    it('fills a message up to MaxMsgSize, to the octet', () => {
      const answers = ['2', '3', '4', '5'].map((ref) => status(ref));
      const whole = wire.encode(next(packing(...answers), wire, Infinity)).byteLength;
      assert.deepEqual(all(packing(...answers), wire, whole).map(told), ['S2 S3 S4 S5']);
      assert.deepEqual(all(packing(...answers), wire, whole - 1).map(told), ['S2 S3 S4', 'S5']);
    });

    it('keeps the order, and says Final in the last message only', () => {
      const answers = Array.from({ length: 40 }, (_, n) => [status(String(n + 2)), results(String(n + 2), 'value')]);
      const messages = all(packing(...answers.flat()), wire, 700);
      assert.ok(messages.length > 5);
      assert.equal(messages.map(told).join(' '), answers.map((_, n) => `S${n + 2} R${n + 2}`).join(' '));
      assert.deepEqual(
        messages.map(({ final }) => final),
        messages.map((_, index) => index === messages.length - 1),
      );
    });

    it('puts a value that fits alone into a message of its own, whole', () => {
      const value = results('2', 'x'.repeat(300));
      const alone = wire.encode(next(packing(value), wire, Infinity)).byteLength;
      assert.deepEqual(all(packing(value), wire, alone).map(told), ['R2']);
      assert.deepEqual(all(packing(value), wire, alone - 1).map(told), ['R2+', 'R2']);
      // What waits is measured with the longest CmdID that there may be.
      const maxBytes = alone + LONG_CMD_ID.length - 1;
      assert.deepEqual(all(packing(status('2'), value, status('3')), wire, maxBytes).map(told), ['S2', 'R2', 'S3']);
    });

    it('cuts a value that fits into no message: each piece ends a full message, and they make the value', () => {
      const value = Array.from({ length: 3000 }, (_, n) => n % 10).join('');
      const messages = all(packing(status('2'), results('2', value), status('3')), wire, 1024);
      const items = pieces(messages);
      assert.deepEqual(
        items.map(({ moreData }) => moreData === true),
        items.map((_, index) => index < items.length - 1),
      );
      assert.deepEqual(
        items.map(({ meta }) => meta?.size),
        items.map((_, index) => (index === 0 ? 3000 : undefined)),
      );
      assert.equal(items.map(({ data }) => String(data)).join(''), value);
      // The first piece does not wait for a message of its own, and the rest not for more than the last piece.
      assert.deepEqual(messages.map(told), ['S2 R2+', ...items.slice(2).map(() => 'R2+'), 'R2', 'S3']);
      // No octet is wasted but those for Final, and for the lengths that a longer piece would have.
      for (const message of messages.slice(0, -2)) {
        const room = 1024 - wire.encode({ ...message, final: true }).byteLength;
        assert.ok(room >= 0 && room <= 3, `${room} octets are left`);
      }
    });

    it('cuts text between characters', () => {
      const value = '\u{1F600}'.repeat(900);
      for (const maxBytes of [1024, 1025, 1026, 1027]) {
        const items = pieces(all(packing(results('2', value)), wire, maxBytes));
        assert.ok(items.length > 3);
        assert.equal(items.map(({ data }) => String(data)).join(''), value);
      }
    });

    it('puts nothing between the pieces of a value but what is about messages', () => {
      const made = packing(results('2', 'x'.repeat(3000)));
      assert.equal(told(next(made, wire, 1024, 1)), 'R2+');
      made.owe([status('4', { cmd: 'Alert' }), status('3')]);
      assert.equal(told(next(made, wire, 1024, 2)), 'S4 R2+');
      assert.deepEqual(all(made, wire, 1024).map(told).slice(-2), ['R2', 'S3']);
    });

    it('gives a value up when a piece is refused, or the server has no end for it, and goes on with the rest', () => {
      for (const refuse of [
        (made: Packing): unknown => made.answered([refused]),
        (made: Packing): unknown => made.breakOff(),
      ]) {
        const made = packing(results('2', 'x'.repeat(3000)), status('3'));
        assert.equal(told(next(made, wire, 1024, 1)), 'R2+');
        refuse(made);
        assert.deepEqual(all(made, wire, 1024).map(told), ['S3']);
      }
      assert.deepEqual(warnings, Array(2).fill('the server does not take a value in pieces'));
    });

    it('takes Results with several Items apart where they fit into no message together', () => {
      const made = packing(status('2'), results('2', 'a'.repeat(400), 'b'.repeat(400), 'c'.repeat(400)), status('3'));
      const messages = all(made, wire, 1024);
      assert.deepEqual(
        pieces(messages).map(({ data }) => String(data)[0]),
        ['a', 'b', 'c'],
      );
      assert.equal(messages.map(told).join(' '), 'S2 R2 R2 R2 S3');
    });

    it('refuses a value beyond MaxObjSize: 413 in place of 200 and Results', () => {
      const made = new Packing(outbox, log, wire);
      made.limit(100);
      made.owe([status('2'), results('2', 'x'.repeat(101)), status('3'), results('3', 'x'.repeat(100))]);
      const [message] = all(made, wire, 2048);
      assert.equal(message && told(message), 'S2 S3 R3');
      assert.deepEqual(
        message?.body.flatMap((one) => (one.kind === 'Status' ? [one.data] : [])),
        ['212', '413', '200'],
      );
    });

    it('sends a Status that fits nowhere without what explains it, and leaves out what cannot be shortened', () => {
      const long = 'y'.repeat(2000);
      const messages = all(
        packing(status('2', { items: [{ target: { uri: long } }] }), status('3', { cmd: long }), status('4')),
        wire,
        1024,
      );
      assert.deepEqual(messages.map(told), ['S2', 'S4']);
      assert.deepEqual(warnings, ['an answer or alert is too long for the server']);
    });

    it('says when a server lets it owe more than it may', () => {
      const made = packing();
      for (let kib = 0; kib < 4096; kib += 1024) {
        assert.equal(made.isOverfull, false);
        made.owe([results('2', 'x'.repeat(1024 * 1024))]);
      }
      assert.equal(made.isOverfull, true);
    });

    it('knows its alerts again by the MsgID and CmdID under which they went out, until they are answered', () => {
      for (const data of ['1', '2', '3']) {
        const alert = { serverId: 'A', source: './x', type: 't', format: 'chr', data } as const;
        outbox.put({ ...alert, mark: 'informational' });
      }
      const alerts = outbox.waiting('A', 3);
      const made = packing(status('2'));
      made.offer(alerts);
      const message = next(made, wire, Infinity, 7);
      assert.equal(told(message), 'S2 Alert Alert Alert');
      assert.deepEqual(made.unanswered(), alerts);
      const answer: StatusCommand = { ...refused, msgRef: '7', cmd: 'Alert', data: '200' };
      assert.deepEqual(made.answered([{ ...answer, cmdRef: '4' }]), [{ alert: alerts[1], code: 200 }]);
      assert.deepEqual(made.answered([{ ...answer, cmdRef: '4' }]), []);
      assert.deepEqual(made.answered([{ ...answer, cmdRef: '3', msgRef: '6' }]), []);
      assert.deepEqual(made.unanswered(), [alerts[0], alerts[2]]);
    });

    it('says an opening in several messages where one does not take it, once, however often package 1 is made anew', () => {
      const made = new Packing(outbox, log, wire);
      const infos = Array.from({ length: 12 }, (_, at) => ({
        source: { uri: `./DevInfo/${at}` },
        data: 'x'.repeat(90),
      }));
      const opening: Part[] = [
        { kind: 'Alert', data: '1201', items: [] },
        { kind: 'Replace', items: infos },
      ];
      const first = (msgId: number): Message => {
        const draft = new MessageDraft(HEADER, wire, 1024);
        draft.add(aboutHeader);
        made.offer([]);
        made.fillFirst(draft, msgId, opening, draft.room);
        assert.ok(draft.room >= 0);
        return draft.build(made.isEmpty);
      };
      made.owe([status('2')]);
      first(1);
      const messages = [first(2), ...all(made, wire, 1024)];
      assert.ok(messages.length >= 2);
      assert.match(messages.map(told).join(' '), /^Alert( Replace){12} S2$/);
      const said = messages.flatMap(({ body }) => body.flatMap((one) => (one.kind === 'Replace' ? one.items : [])));
      assert.deepEqual(
        said.map(({ source, data }) => ({ source, data })),
        infos,
      );
    });
    it('begins an alert anew with package 1, and keeps for later one whose piece was refused', () => {
      const alert = { serverId: 'A', source: './x', type: 't', format: 'chr', data: 'x'.repeat(3000) } as const;
      outbox.put({ ...alert, mark: 'informational' });
      const made = packing();
      const firstPiece = (msgId: number): number | undefined => {
        made.offer(outbox.waiting('A', 3));
        const sent = next(made, wire, 1024, msgId).body.at(-1);
        assert.ok(sent?.kind === 'Alert' && sent.items[0]?.moreData);
        return sent.items[0].meta?.size;
      };
      assert.deepEqual([firstPiece(1), firstPiece(2)], [3000, 3000]);
      assert.equal(outbox.hasUnsent('A'), true);
      assert.deepEqual(made.answered([{ ...refused, msgRef: '2', cmd: 'Alert' }]), []);
      assert.ok(made.isEmpty);
      assert.deepEqual([outbox.hasUnsent('A'), outbox.count('A')], [false, 1]);
    });
  });
}

/** The Status of a server for the first piece of a value, behind the Status of the header. */
const refused: StatusCommand = {
  kind: 'Status',
  cmdId: '1',
  msgRef: '1',
  cmdRef: '2',
  cmd: 'Results',
  targetRefs: [],
  sourceRefs: [],
  data: '413',
  items: [],
};

describe('packing in another encoding than before', () => {
  it('measures anew what waits, so that it fits to the octet there too', () => {
    const answers = ['2', '3', '4'].map((ref) => status(ref));
    const made = new Packing(outbox, log, xmlWire);
    made.owe(answers);
    assert.equal(made.speak(wbxmlWire), wbxmlWire);
    const fresh = new Packing(outbox, log, wbxmlWire);
    fresh.owe(answers);
    const whole = wbxmlWire.encode(next(fresh, wbxmlWire, Infinity)).byteLength;
    assert.deepEqual(all(made, wbxmlWire, whole).map(told), ['S2 S3 S4']);
  });
  it('waits for the end of a value whose Size was told in the other one', () => {
    const made = new Packing(outbox, log, xmlWire);
    made.owe([results('2', 'x'.repeat(3000))]);
    next(made, xmlWire, 1024);
    assert.equal(made.speak(wbxmlWire), xmlWire);
    all(made, xmlWire, 1024);
    assert.equal(made.speak(wbxmlWire), wbxmlWire);
  });
});
