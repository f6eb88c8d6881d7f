import { redactUrl } from '../net/index.js';
import { allowedBy, type KeyPath, type Problem } from '../shape/index.js';
import type { ConfigurationErrorCode } from './errors.js';
import { nearest } from './nearest.js';

/** What is wrong at one place of the configuration, for a person. */
export interface Finding {
  readonly code: ConfigurationErrorCode;
  readonly path: KeyPath;
  readonly reason: string;
}

/** Longest part of a wrong value that is shown. */
const MAX_SHOWN_LENGTH = 60;

/** Words a problem. */
export function explain({ code, path, value, shape }: Problem): Finding {
  switch (code) {
    case 'unknown-key': {
      const known = shape.kind === 'section' ? Object.keys(shape.entries) : [];
      const guess = nearest(String(path.at(-1)), known);
      const reason = guess === undefined ? 'unknown key' : `unknown key, did you mean ${guess}?`;
      return { code, path, reason: `${reason}; expected one of ${known.join(', ')}` };
    }
    case 'missing':
      return { code, path, reason: `missing; expected ${allowedBy(shape)}` };
    case 'bad-value': {
      const shown = shape.secret === true ? 'this value' : show(value);
      return { code, path, reason: `${shown} is not allowed; expected ${allowedBy(shape)}` };
    }
  }
}

/** A wrong value on one line: its content may be a secret in the wrong place, so lists and objects are not shown. */
function show(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = JSON.stringify(typeof value === 'string' ? redactUrl(value) : value);
  return text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH)}...` : text;
}
