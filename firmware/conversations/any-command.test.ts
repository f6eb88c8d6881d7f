import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Bench, readable } from './bench.js';
import { expandMessage, pretty, type Reply } from './format.js';
import { PLACES } from './places.js';

/** Status codes that a client may give for each command (facts 4.2, with what the text below the table adds). */
const ALLOWED: Readonly<Record<string, readonly number[]>> = {
  SyncHdr: [200],
  Add: [200, 215, 216, 400, 404, 405, 412, 413, 414, 415, 417, 418, 420, 425, 500],
  Replace: [200, 215, 216, 400, 403, 404, 405, 406, 412, 413, 414, 415, 417, 418, 420, 425, 500],
  Delete: [200, 215, 216, 400, 404, 405, 414, 417, 425, 500],
  Get: [200, 215, 400, 404, 405, 406, 413, 414, 425, 500],
  Exec: [200, 202, 215, 400, 404, 405, 414, 417, 420, 425, 500],
  Copy: [200, 215, 216, 400, 403, 404, 405, 412, 413, 414, 415, 417, 418, 420, 425, 500],
  Atomic: [200, 215, 500, 507, 517],
  Sequence: [200, 215, 500],
};

const NAMES = [
  'a',
  'a',
  'a',
  'a',
  'b',
  'b',
  '1',
  '%C3%A9',
  'a b',
  '%2E%2E',
  'constructor',
  '__proto__',
  'x'.repeat(130),
];
const QUERIES = [
  '?prop=ACL',
  '?prop=Name',
  '?prop=Type',
  '?prop=Title',
  '?list=Struct',
  '?list=TNDS+Value',
  '?',
  '?prop',
];
const VALUES = [
  '',
  '1',
  '-1',
  '99999999999',
  'true',
  'a',
  'fw',
  'AQID',
  'http://images.example/fw',
  'http://127.0.0.1/',
  'not a url',
  'urn:uuid:1',
  'udp://192.168.1.7:2948',
  'udp://8.8.8.8:1',
  'notification',
  '*',
  'group:g',
  'Get=*&amp;Replace=dmserver&amp;Add=dmserver&amp;Delete=dmserver&amp;Exec=dmserver',
  'Get=other',
  `sha-256=:${Buffer.alloc(32).toString('base64')}:`,
  '\u{1F600}',
  'x'.repeat(600),
];
const METAS = [
  ...Array.from({ length: 20 }, () => ''),
  'chr',
  'int',
  'bool',
  'bin',
  'b64',
  'node',
  'null',
  'xml',
  'nonsense',
];

/** Numbers that are the same in each run (mulberry32). */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

class Server {
  readonly #below: (below: number) => number;
  #cmdId = 1;

  constructor(seed: number) {
    this.#below = numbers(seed);
  }

  message(index: number): Reply {
    this.#cmdId = 1;
    const status = `<Status><CmdID>1</CmdID><MsgRef>${index + 1}</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>212</Data></Status>`;
    const commands = Array.from({ length: 12 }, () => this.#command(2)).join('');
    const whole = expandMessage(`<SyncHdr/>${status}${commands}<Final/>`, 'server', index + 1, '1234');
    return { kind: 'message', text: pretty(whole) };
  }

  #command(depth: number): string {
    this.#cmdId += 1;
    const id = `<CmdID>${this.#cmdId}</CmdID>`;
    const kind = this.#one([
      'Add',
      'Add',
      'Add',
      'Replace',
      'Get',
      'Get',
      'Delete',
      'Exec',
      'Copy',
      'Copy',
      'Atomic',
      'Sequence',
    ]);
    if (kind === 'Atomic' || kind === 'Sequence') {
      const content =
        depth === 0 ? '' : Array.from({ length: 1 + this.#below(4) }, () => this.#command(depth - 1)).join('');
      return `<${kind}>${id}${content}</${kind}>`;
    }
    const correlator = kind === 'Exec' && this.#below(2) === 0 ? '<Correlator>c</Correlator>' : '';
    const items = [this.#item(kind), ...(this.#below(8) === 0 ? [this.#item(kind)] : [])];
    return `<${kind}>${id}${correlator}${items.join('')}</${kind}>`;
  }

  #item(kind: string): string {
    const place = this.#one(PLACES).replaceAll('#', () => this.#one(NAMES));
    const uri = this.#below(8) === 0 ? `${place}${this.#one(QUERIES)}` : place;
    const format = this.#one(METAS);
    const meta = format === '' ? '' : `<Meta><Format>${format}</Format></Meta>`;
    const data = this.#below(10) === 0 ? '' : `<Data>${this.#one(VALUES)}</Data>`;
    const from = this.#one(PLACES).replaceAll('#', () => this.#one(NAMES));
    const source = kind === 'Copy' ? `<Source><LocURI>${from}</LocURI></Source>` : '';
    return `<Item><Target><LocURI>${uri}</LocURI></Target>${source}${meta}${data}</Item>`;
  }

  #one<T>(list: readonly T[]): T {
    const found = list[this.#below(list.length)];
    assert.ok(found !== undefined);
    return found;
  }
}

const STATUS =
  /<Status>\s*<CmdID>\d+<\/CmdID>\s*<MsgRef>\d+<\/MsgRef>\s*<CmdRef>(\d+)<\/CmdRef>\s*<Cmd>(\w+)<\/Cmd>[\s\S]*?<Data>(\d+)<\/Data>/g;

describe('any command on any node', () => {
  const seen = new Set<string>();
  for (const seed of [1, 2, 3]) {
    it(`gets a Status that the standard knows for it, and the session goes on (seed ${seed})`, async () => {
      const bench = new Bench([['given', 'other adds ./GwMO/ImageInventory/theirs/Name = theirs']]);
      const server = new Server(seed);
      const messages = 50;
      let asked = 0;
      try {
        const end = await bench.hold(({ body }, index) => {
          const text = readable(body);
          const answered = new Set<string>();
          for (const [, cmdRef = '', command = '', code = ''] of text.matchAll(STATUS)) {
            answered.add(cmdRef);
            const known = ALLOWED[command]?.includes(Number(code));
            assert.ok(known, `${command} ${code}`);
            seen.add(`${command} ${code}`);
          }
          if (index > 0) assert.equal(answered.size, asked + 1, 'one Status at least for each command and the SyncHdr');
          const last = index === messages;
          const reply = last ? { ...server.message(index), text: ending(index) } : server.message(index);
          asked = reply.text.match(/<(Add|Replace|Get|Delete|Exec|Copy|Atomic|Sequence)>/g)?.length ?? 0;
          return reply;
        });
        assert.equal(end, 'completed');
        bench.check('./GwMO/ImageInventory/theirs/Name = theirs');
        bench.check('./DevInfo/Man = Acme');
      } finally {
        await bench.close();
      }
    });
  }
  it('and the sessions above have met most of them', () => {
    const usual = [
      'Add 200 400 405 412 415 418 425',
      'Replace 200 404 405',
      'Delete 200 404 405',
      'Get 200 404 405 406 425',
    ];
    for (const [command = '', ...codes] of [...usual, 'Exec 404 405', 'Copy 403 404 405', 'Atomic 507 200'].map(
      (line) => line.split(' '),
    )) {
      for (const code of codes) assert.ok(seen.has(`${command} ${code}`), `${command} ${code} never came`);
    }
  });
});

function ending(index: number): string {
  const status = `<Status><CmdID>1</CmdID><MsgRef>${index + 1}</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>212</Data></Status>`;
  return pretty(expandMessage(`<SyncHdr/>${status}<Final/>`, 'server', index + 1, '1234'));
}
