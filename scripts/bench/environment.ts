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
 * Flags of Node.js for the measured process: NODE_FLAGS, or those of a router, as the profile of the board has them. Those of
 * V8 it sets by itself, see firmware/flags.ts.
 */
export function nodeFlagsFrom(environment: Environment): readonly string[] {
  const given = environment.NODE_FLAGS;
  return given === undefined
    ? profileFrom(environment).build.nodeFlags
    : given.split(' ').filter((flag) => flag !== '');
}
