import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { success } from '../outcome/index.js';
import { StoreError } from '../store/index.js';
import { treeFailure, type AnnouncedValue, type Tree, type TreeOutcome, type ValueSink } from '../tree/index.js';
import type { Piece } from './executor.js';
import type { Item, ItemData, Part, ServerCommand } from './message.js';
import { LargeObjectReceiver, type Execute } from './receiver.js';

/** A tree that takes any value, and what has become of its sinks. */
class Sinks {
  readonly announced: AnnouncedValue[] = [];
  written: ItemData[] = [];
  story: string[] = [];
  refuse: 'receive' | 'write' | 'end' | undefined;
  broken = false;

  readonly tree = {
    isStreamed: () => false,
    receive: (_subject: unknown, _command: string, _uri: string, announced: AnnouncedValue): TreeOutcome<ValueSink> => {
      if (this.broken) throw new StoreError('io', 'as the test wants');
      this.announced.push(announced);
      return this.refuse === 'receive' ? treeFailure('permission-denied', '') : success(this.#sink());
    },
  } as unknown as Tree;

  #sink(): ValueSink {
    this.story.push('open');
    return {
      write: (piece) => {
        this.written.push(piece);
        return Promise.resolve(this.refuse === 'write' ? treeFailure('full', '') : success());
      },
      end: () => {
        this.story.push('end');
        const value = this.written.map(String).join('');
        return Promise.resolve(this.refuse === 'end' ? treeFailure('bad-value', '') : success(value));
      },
      discard: () => {
        this.story.push('discard');
        return Promise.resolve();
      },
    };
  }
}

/** A receiver, and what it has the executor do. */
class Scene {
  readonly sinks = new Sinks();
  readonly receiver = new LargeObjectReceiver({
    tree: this.sinks.tree,
    subject: { serverId: 'A' },
    maxObjectBytes: 1000,
  });
  executed: string[] = [];

  /** @returns codes of Statuses and alerts, in order */
  async take(commands: readonly ServerCommand[], final = false): Promise<string[]> {
    const execute: Execute = (some, pieces) => {
      return some.flatMap((command) => {
        if (!('items' in command)) return [];
        return command.items.map((item) => status(command, this.#code(item, pieces)));
      });
    };
    const parts = await this.receiver.take({ commands, msgId: '7', final }, execute);
    return parts.map((part) => `${part.kind} ${'data' in part ? part.data : ''}`);
  }

  #code(item: Item, pieces: ReadonlyMap<Item, Piece>): number {
    const piece = pieces.get(item);
    if (piece && 'code' in piece) return piece.code;
    const whole = typeof piece?.value === 'string' ? `whole ${piece.value}` : undefined;
    this.executed.push(whole ?? (typeof item.data === 'string' ? item.data : ''));
    this.sinks.story.push('executed');
    return 200;
  }
}

function status(command: ServerCommand, code: number): Extract<Part, { kind: 'Status' }> {
  const refs = { targetRefs: [], sourceRefs: [], items: [] };
  return { kind: 'Status', msgRef: '7', cmdRef: command.cmdId, cmd: command.kind, ...refs, data: String(code) };
}

function chunk(data: string, more: { size?: number; last?: boolean; uri?: string } = {}): ServerCommand {
  const meta = more.size !== undefined && { meta: { size: more.size, format: 'chr' } };
  const item: Item = { target: { uri: more.uri ?? './A' }, ...meta, data, ...(!more.last && { moreData: true }) };
  return { kind: 'Replace', cmdId: '1', items: [item] };
}

const GET: ServerCommand = { kind: 'Get', cmdId: '2', items: [{ target: { uri: './B' }, data: 'get' }] };
const MORE: ServerCommand = { kind: 'Alert', cmdId: '3', data: '1222', items: [] };

describe('a large object', () => {
  it('goes piece by piece into the sink, and to the executor as a whole with its last one', async () => {
    const scene = new Scene();
    assert.deepEqual(await scene.take([GET, chunk('ab', { size: 6 })]), ['Status 200', 'Status 213']);
    assert.ok(scene.receiver.isWaiting);
    assert.deepEqual(await scene.take([MORE, chunk('cd')]), ['Status 213']);
    assert.equal(scene.receiver.broughtBytes, 2);
    assert.deepEqual(await scene.take([chunk('ef', { last: true }), GET], true), ['Status 200', 'Status 200']);
    assert.deepEqual(scene.sinks.written, ['ab', 'cd', 'ef']);
    assert.deepEqual(scene.executed, ['get', 'whole abcdef', 'get']);
    assert.deepEqual(scene.sinks.announced, [{ format: 'chr', type: undefined, size: 6 }]);
    assert.equal(scene.receiver.isWaiting, false);
  });
  it('is dropped from its sink after the executor had it, whatever that did', async () => {
    const scene = new Scene();
    await scene.take([chunk('ab', { size: 2 })]);
    await scene.take([chunk('', { last: true })]);
    assert.deepEqual(scene.sinks.story, ['open', 'end', 'executed', 'discard']);
  });
  it('may be empty but for its Size, and have empty pieces', async () => {
    const scene = new Scene();
    assert.deepEqual(await scene.take([chunk('', { size: 0 })]), ['Status 213']);
    assert.deepEqual(await scene.take([chunk('', { last: true })]), ['Status 200']);
    assert.deepEqual(scene.executed, ['whole ']);
  });
  it('goes on where a piece repeats the Size, and is another one where the Size differs', async () => {
    const scene = new Scene();
    await scene.take([chunk('ab', { size: 4 })]);
    assert.deepEqual(await scene.take([chunk('c', { size: 4 })]), ['Status 213']);
    assert.deepEqual(await scene.take([chunk('xy', { size: 9 })]), ['Alert 1225', 'Status 213']);
    assert.deepEqual(scene.sinks.story, ['open', 'discard', 'open']);
  });
  it('waits over a message that says nothing, but not over the end of its package', async () => {
    const scene = new Scene();
    await scene.take([chunk('ab', { size: 4 })]);
    assert.deepEqual(await scene.take([]), []);
    assert.ok(scene.receiver.isWaiting);
    assert.deepEqual(await scene.take([], true), ['Alert 1225']);
    assert.equal(scene.receiver.isWaiting, false);
  });

  const failures: readonly (readonly [what: string, Scene['sinks']['refuse'], codes: readonly string[]])[] = [
    ['that may not be there is refused at its first piece', 'receive', ['Status 425']],
    ['that finds no room is refused at the piece that is too much', 'write', ['Status 420']],
    ['that is no value of its leaf is refused at its end', 'end', ['Status 213', 'Status 400']],
  ];
  for (const [what, refuse, codes] of failures) {
    it(what, async () => {
      const scene = new Scene();
      scene.sinks.refuse = refuse;
      const first = await scene.take([chunk('ab', { size: 4 })]);
      const last = codes.length > 1 ? await scene.take([chunk('cd', { last: true })]) : [];
      assert.deepEqual([...first, ...last], codes);
      assert.deepEqual(scene.executed, []);
      assert.equal(scene.receiver.isWaiting, false);
      if (refuse !== 'receive') assert.equal(scene.sinks.story.at(-1), 'discard');
    });
  }
  it('is refused by 510 where the database fails', async () => {
    const scene = new Scene();
    scene.sinks.broken = true;
    assert.deepEqual(await scene.take([chunk('ab', { size: 4 })]), ['Status 510']);
  });
  it('is dropped when the session ends, once', async () => {
    const scene = new Scene();
    await scene.take([chunk('ab', { size: 4 })]);
    await scene.receiver.discard();
    await scene.receiver.discard();
    assert.deepEqual(scene.sinks.story, ['open', 'discard']);
  });
});

/** Any message: pieces of two objects, with and without Size, their ends, other commands, in any order. */
const command = fc.oneof(
  fc.record({ data: fc.string({ maxLength: 6 }), size: fc.option(fc.nat(12)), last: fc.boolean(), uri: fc.nat(1) }),
  fc.constant('get' as const),
  fc.constant('more' as const),
);
const message = fc.record({ commands: fc.array(command, { maxLength: 3 }), final: fc.boolean() });

describe('any messages', () => {
  it('commit nothing but values whose pieces came one after the other, of just their Size, and leave no sink open', () =>
    fc.assert(
      fc.asyncProperty(fc.array(message, { maxLength: 12 }), async (messages) => {
        const scene = new Scene();
        for (const { commands, final } of messages) {
          const before = scene.sinks.written.length;
          const wanted = commands.map((one) => {
            if (one === 'get') return GET;
            if (one === 'more') return MORE;
            const { data, size, last, uri } = one;
            return chunk(data, { last, uri: `./${uri}`, ...(size !== null && { size }) });
          });
          const answers = await scene.take(wanted, final);
          // At most one piece ends a message, and one begins it.
          assert.ok(scene.sinks.written.length - before <= 2);
          const chunks = answers.filter((answer) => answer === 'Status 213').length;
          assert.equal(chunks > 0, scene.receiver.isWaiting && scene.sinks.written.length > before);
          assert.ok(chunks <= 1);
        }
        await scene.receiver.discard();
        const count = (what: string): number => scene.sinks.story.filter((one) => one === what).length;
        assert.equal(count('open'), count('discard'));
      }),
      { numRuns: 300 },
    ));
});
