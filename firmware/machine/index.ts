/**
 * State machines as tables: (state, event) -> state.
 * Leaves to the owner what a state means and what is done on entering it.
 */

/** For each state, the events that move it and where to. */
export type TransitionTable<S extends string, E extends string> = Readonly<Record<S, Readonly<Partial<Record<E, S>>>>>;

/**
 * The state after `event`.
 * @throws Error when the table has no row: that is a defect of ours, never an input error
 */
export function nextState<S extends string, E extends string>(
  table: TransitionTable<S, E>,
  state: S,
  event: E,
  machine: string,
): S {
  const next = table[state][event];
  if (next === undefined) throw new Error(`${machine}: no transition from ${state} on ${event}`);
  return next;
}
