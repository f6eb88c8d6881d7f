import type * as v from 'valibot';
import { redactUrl } from '../net/index.js';
import type { ConfigurationErrorCode } from './errors.js';
import { entriesOf, notesOf, schemaAt, type KeyPath } from './keys.js';
import { nearest } from './nearest.js';

/** What is wrong at one place of the configuration, for a person. */
export interface Finding {
  readonly code: ConfigurationErrorCode;
  readonly path: KeyPath;
  readonly reason: string;
}

/** Longest part of a wrong value that is shown. */
const MAX_SHOWN_LENGTH = 60;

/** The one issue to report: an unknown key first, because a misspelt key is also a missing one. */
export function explainIssues(
  schema: v.GenericSchema,
  issues: readonly [v.BaseIssue<unknown>, ...v.BaseIssue<unknown>[]],
): Finding {
  return explain(schema, issues.find(isUnknownKey) ?? issues[0]);
}

function explain(schema: v.GenericSchema, issue: v.BaseIssue<unknown>): Finding {
  const items = issue.path ?? [];
  const path = items.map(({ key }) => key as string | number);
  const above = schemaAt(schema, path.slice(0, -1));
  const wrongList = items.findIndex(({ input, type }) => type === 'object' && Array.isArray(input));
  if (wrongList >= 0) return wrongValue(schema, path.slice(0, wrongList), items[wrongList]?.input);
  if (isUnknownKey(issue)) {
    const known = Object.keys((above && entriesOf(above)) ?? {});
    const guess = nearest(String(path.at(-1)), known);
    const reason = guess === undefined ? 'unknown key' : `unknown key, did you mean ${guess}?`;
    return { code: 'unknown-key', path, reason: `${reason}; expected one of ${known.join(', ')}` };
  }
  if (isMissingKey(issue)) {
    return { code: 'missing', path, reason: `missing; expected ${allowedAt(schema, path)}` };
  }
  return wrongValue(schema, path, issue.input);
}

function wrongValue(schema: v.GenericSchema, path: KeyPath, value: unknown): Finding {
  const secret = secretAt(schema, path);
  const shown = secret ? 'this value' : show(value);
  return { code: 'bad-value', path, reason: `${shown} is not allowed; expected ${allowedAt(schema, path)}` };
}

/** True where the value at a path, or the section it stands for, must not be shown. */
function secretAt(schema: v.GenericSchema, path: KeyPath): boolean {
  const at = schemaAt(schema, path);
  return at !== undefined && notesOf(at).secret === true;
}

function allowedAt(schema: v.GenericSchema, path: KeyPath): string {
  const at = schemaAt(schema, path);
  return at ? notesOf(at).allowed : 'another value';
}

/** A wrong value on one line: its content may be a secret in the wrong place, so lists and objects are not shown. */
function show(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = JSON.stringify(typeof value === 'string' ? redactUrl(value) : value);
  return text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH)}...` : text;
}

function isUnknownKey(issue: v.BaseIssue<unknown>): boolean {
  return issue.type === 'strict_object' && issue.expected === 'never';
}

function isMissingKey(issue: v.BaseIssue<unknown>): boolean {
  return issue.type === 'strict_object' && issue.path?.at(-1)?.origin === 'key';
}
