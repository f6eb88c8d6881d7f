import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { nextState, type TransitionTable } from './index.js';

type State = 'open' | 'closed' | 'locked';
type Event = 'shut' | 'pull' | 'lock';

const DOOR = {
  open: { shut: 'closed' },
  closed: { pull: 'open', lock: 'locked' },
  locked: {},
} as const satisfies TransitionTable<State, Event>;

describe('nextState', () => {
  it('follows the table', () => {
    assert.equal(nextState<State, Event>(DOOR, 'open', 'shut', 'door'), 'closed');
    assert.equal(nextState<State, Event>(DOOR, 'closed', 'lock', 'door'), 'locked');
  });
  it('throws for an event without a row, naming machine, state and event', () => {
    assert.throws(() => nextState<State, Event>(DOOR, 'locked', 'pull', 'door'), {
      message: /door.*locked.*pull/,
    });
  });
});
