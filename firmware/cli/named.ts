import { checkNamedFiles, type Configuration } from '../config/index.js';
import { parseNames } from '../mo/index.js';
import type { CodedError, Outcome } from '../outcome/index.js';

/**
 * What a start refuses in a configuration that is right in itself, as far as it can be told without one: names of nodes, and the
 * files that it names. @param uid as of `checkNamedFiles`
 */
export function checkNamed(configuration: Configuration, uid: number): Outcome<unknown, CodedError> {
  const names = parseNames(configuration.names);
  return names.ok ? checkNamedFiles(configuration, uid) : names;
}
