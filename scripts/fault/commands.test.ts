import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { campaign, ROUNDS, type Campaign } from './campaign.js';
import { CommandLab } from './command-lab.js';
import { sameState, statesAfter } from './command-model.js';
import { buildProgram, whyNoFaults } from './faulty-disk.js';

const skip = whyNoFaults() ?? false;

let commander = '';
before(() => {
  if (skip === false) commander = buildProgram('commander');
});

/** A gateway takes its time to start. */
const SHARE_OF_ROUNDS = 0.25;
const MOMENTS = ['sync 40', 'write 300', 'sync 14', 'now'];

/** Commands that may be under way when the power goes: as many as one message of the server has. */
const UNDER_WAY = 40;

/** What is wrong with the tree after a cut; empty when it is in a state between what was promised and what was sent. */
async function faultsOf(folder: string, promises: readonly string[]): Promise<string[]> {
  const odd = promises.filter((line) => !/^\d+$/.test(line));
  const promised = Math.max(0, ...promises.filter((line) => /^\d+$/.test(line)).map(Number));
  const lab = await CommandLab.start(folder, (thrown) => assert.fail(String(thrown)));
  try {
    const found = await lab.read();
    const fits = [...statesAfter(promised, promised + UNDER_WAY)].some(([, state]) => sameState(state, found));
    if (fits) return odd;
    return [...odd, `no state after ${promised} commands or a few more: ${JSON.stringify([...found])}`];
  } finally {
    await lab.close();
  }
}

const run = (name: string, rules: string, rounds: number, until?: number): Promise<Campaign> =>
  campaign({ name, program: commander, faultsOf, moments: MOMENTS }, rules, rounds, until);

describe('what a DM Server was answered 200, when the power goes', { skip }, () => {
  it('has happened, wholly and in order, at whatever moment', async (t) => {
    const done = await run('commands', '', Math.ceil(ROUNDS * SHARE_OF_ROUNDS));
    t.diagnostic(`${done.rounds} cuts (${JSON.stringify(done.cuts)}), ${done.promises} commands answered 200`);
    assert.deepEqual(done.faults, []);
    assert.ok(done.promises > 3 * done.rounds, `only ${done.promises} commands`);
  });

  it('is seen to be lost where the sync of the journal does nothing', async (t) => {
    const done = await run('commands-lies', 'lie sync *-wal', ROUNDS, 1);
    t.diagnostic(`found in round ${done.rounds}: ${done.faults.join(' | ').slice(0, 300)}`);
    assert.ok(done.faults.length > 0, 'a lost sync was not noticed: this harness proves nothing');
  });
});
