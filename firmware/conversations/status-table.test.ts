import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { before, describe, it } from 'node:test';
import { WIRES } from '../dm/index.js';
import { recordConversations } from './messages.js';
import { BEYOND, cellFault, formatStatusTable, LISTED, NEVER, statusTable, type Cell } from './status-table.js';

const LIMITS = { maxBytes: 10_000_000, maxDepth: 64, maxElements: 500_000 };

describe('each command and each Status code', () => {
  let cells: Cell[] = [];
  before(async () => {
    cells = statusTable(await sentStatuses());
  });

  it('is produced by a conversation, or has a reason why this client never sends it', (test) => {
    const text = formatStatusTable(cells);
    mkdirSync('build', { recursive: true });
    writeFileSync('build/status-table.txt', text);
    for (const line of text.trimEnd().split('\n')) test.diagnostic(line);
    assert.deepEqual(
      cells.flatMap((cell) => cellFault(cell) ?? []),
      [],
    );
  });
  it('has no reason for a code that is not on the list', () => {
    for (const key of Object.keys(NEVER)) {
      const [command = '', code] = key.split(' ');
      assert.ok(LISTED[command]?.includes(Number(code)), key);
    }
    for (const code of Object.keys(BEYOND)) {
      assert.ok(
        cells.some((cell) => !cell.listed && cell.code === Number(code)),
        `${code} is never sent beyond the list`,
      );
    }
  });
});

describe('the table of Status codes', () => {
  const fault = (seen: readonly string[]): string[] =>
    statusTable(new Map(seen.map((key) => [key, new Set(['some-conversation'])]))).flatMap(
      (cell) => cellFault(cell) ?? [],
    );
  const listed = Object.entries(LISTED).flatMap(([command, codes]) => codes.map((code) => `${command} ${code}`));
  const sent = listed.filter((key) => NEVER[key] === undefined);

  it('has no fault where each code is sent that has no reason', () => assert.deepEqual(fault(sent), []));
  it('finds a code that nothing produces', () => {
    const without = sent.filter((key) => key !== 'Get 404');
    assert.deepEqual(fault(without), ['Get 404: no conversation produces it, and no reason is given']);
  });
  it('finds a code that is sent in spite of its reason', () => {
    assert.deepEqual(fault([...sent, 'Copy 406']), [
      'Copy 406 is said never to be sent, but some-conversation shows it',
    ]);
  });
  it('finds a code that nobody expects', () => {
    assert.deepEqual(fault([...sent, 'Get 402']), ['Get 402 is not on the list, and no reason is given for it']);
  });
});

/** The Status codes in the messages of the gateway, in both encodings, with the conversations that have them. */
async function sentStatuses(): Promise<Map<string, Set<string>>> {
  const seen = new Map<string, Set<string>>();
  for (const encoding of ['xml', 'wbxml'] as const) {
    for (const { conversation, sender, encoding: spoken, octets } of await recordConversations(encoding)) {
      const message = sender === 'client' ? WIRES[spoken].decode(octets, LIMITS) : undefined;
      if (!message?.ok) continue;
      for (const command of message.value.body) {
        if (command.kind !== 'Status') continue;
        const key = `${command.cmd} ${command.data}`;
        seen.set(key, (seen.get(key) ?? new Set()).add(conversation));
      }
    }
  }
  return seen;
}
