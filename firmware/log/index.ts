/**
 * One event, one line: level, component, fixed text, `key=value` fields (logfmt).
 * Leaves rotation and transport to syslog or whoever reads standard error. Callers never pass credentials, nonces,
 * digests or query strings of URLs.
 */

export { LogRing } from './ring.js';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/**
 * `text` is constant, so that it can be searched for; what varies goes into `fields`.
 * error: something was lost or someone must act. warn: we will try again. info: a state changed. debug: packets.
 */
export interface Logger {
  error(text: string, fields?: LogFields): void;
  warn(text: string, fields?: LogFields): void;
  info(text: string, fields?: LogFields): void;
  debug(text: string, fields?: LogFields): void;
}

export interface LogOptions {
  /** Least severe level that is written. */
  readonly level: LogLevel;
  /** Takes one complete line without its line end. */
  readonly write: (line: string) => void;
  /** Wall time in ms for the time stamp; absent where the reader (syslog) adds its own. */
  readonly wallMs?: () => number;
}

const SEVERITY: Readonly<Record<LogLevel, number>> = { error: 0, warn: 1, info: 2, debug: 3 };

/** Longest field value written; the rest is cut, because a peer may choose it. */
const MAX_VALUE_LENGTH = 512;

/** Builds the loggers of all components: `root('dm')` writes lines of component `dm`. */
export function createLog(options: LogOptions): (component: string) => Logger {
  return (component) => {
    const at = (level: LogLevel) =>
      SEVERITY[level] > SEVERITY[options.level]
        ? () => {}
        : (text: string, fields?: LogFields) => options.write(formatLine(level, component, text, fields, options));
    return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };
  };
}

/** A logger that writes nothing. */
export const silentLog: Logger = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };

function formatLine(
  level: LogLevel,
  component: string,
  text: string,
  fields: LogFields | undefined,
  options: LogOptions,
): string {
  const parts = [level, component, quoteText(text)];
  if (options.wallMs) parts.unshift(new Date(options.wallMs()).toISOString());
  for (const [key, value] of Object.entries(fields ?? {})) {
    if (value !== undefined) parts.push(`${key}=${quoteValue(value)}`);
  }
  return parts.join(' ');
}

function quoteText(text: string): string {
  return JSON.stringify(text);
}

/** Peers choose some values: quoting and escaping keeps a line one line (log injection). */
function quoteValue(value: string | number | boolean): string {
  if (typeof value !== 'string') return String(value);
  const cut = value.length > MAX_VALUE_LENGTH ? `${value.slice(0, MAX_VALUE_LENGTH)}...` : value;
  return /^[\w./:@+,-]+$/.test(cut) ? cut : escapeNonAscii(JSON.stringify(cut));
}

function escapeNonAscii(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
