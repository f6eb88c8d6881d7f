/**
 * The result of work that may fail for reasons outside this program: a value, or an error with a stable code.
 * Leaves to each room its own closed union of codes; `throw` stays for our own mistakes.
 */

export interface Success<T> {
  readonly ok: true;
  readonly value: T;
}

export interface Failure<E> {
  readonly ok: false;
  readonly error: E;
}

export type Outcome<T, E> = Success<T> | Failure<E>;

/**
 * An error value. Compare `code`, never the text: `text` is one sentence for a person and holds no secrets.
 */
export interface CodedError<C extends string = string> {
  readonly code: C;
  readonly text: string;
  readonly cause?: unknown;
}

export function success(): Success<undefined>;
export function success<T>(value: T): Success<T>;
export function success<T>(value?: T): Success<T | undefined> {
  return { ok: true, value };
}

export function failure<C extends string>(code: C, text: string, cause?: unknown): Failure<CodedError<C>> {
  return { ok: false, error: cause === undefined ? { code, text } : { code, text, cause } };
}

/** The message of whatever was thrown, on one line, for `text` and for the log. */
export function describeThrown(thrown: unknown): string {
  const text = thrown instanceof Error ? thrown.message || thrown.name : String(thrown);
  return text.replace(/\s+/g, ' ').trim();
}

/** The `code` of a Node.js system error ("ENOSPC", "ECONNREFUSED"), undefined for anything else. */
export function systemErrorCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}
