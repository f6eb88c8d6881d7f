import type { CodedError, Failure } from '../outcome/index.js';
import { formatPath, type KeyPath } from '../shape/index.js';

export type ConfigurationErrorCode =
  | 'unreadable' // the file is missing, not a file, too large, or may not be read
  | 'exposed' // it holds secrets that others can read or change
  | 'syntax' // not JSON
  | 'unknown-key'
  | 'missing'
  | 'bad-value'
  | 'contradiction'; // two keys do not go together

/** Why a configuration is refused. `text` is one line: file, key, what is wrong and what is allowed. */
export interface ConfigurationError extends CodedError<ConfigurationErrorCode> {
  readonly file: string;
  /** `accounts[0].url`; empty where no single key is to blame. */
  readonly key: string;
}

export function refuse(
  code: ConfigurationErrorCode,
  file: string,
  path: KeyPath,
  reason: string,
): Failure<ConfigurationError> {
  const key = formatPath(path);
  return { ok: false, error: { code, file, key, text: [file, ...(key === '' ? [] : [key]), reason].join(': ') } };
}
