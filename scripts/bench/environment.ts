import { readProfile, type Profile } from '../board/profile.js';

/** What a benchmark or the demo is asked in its environment: `N=1000 make fuzz`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * A whole number from the environment, undefined where it is absent or empty.
 * @throws with one line that names the variable and what is allowed
 */
export function numberFrom(environment: Environment, name: string, least: number, most: number): number | undefined {
  const text = environment[name] ?? '';
  if (text === '') return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new Error(`${name}=${text}: expected a whole number from ${least} to ${most}`);
}

/** The profile of the board that is named: BOARD=name, or this machine's. @throws with one line when there is no such board */
export function profileFrom({ BOARD: name }: Environment): Profile {
  return readProfile(name || 'dev');
}

/**
 * Flags of Node.js for the measured process: NODE_FLAGS, or those of a router, as the profile of the board has them.
 *
 * A small young generation, no helper threads of V8, no baseline code and an old generation that grows slowly keep memory
 * down. With so small a young generation V8 takes what lives as long as one message for long-lived, makes it in the old
 * one, and has to collect that again and again: told not to, it takes 0.5 ms of processor time for a DM message instead of 0.9.
 */
export function nodeFlagsFrom(environment: Environment): readonly string[] {
  const given = environment.NODE_FLAGS;
  return given === undefined
    ? profileFrom(environment).build.nodeFlags
    : given.split(' ').filter((flag) => flag !== '');
}
