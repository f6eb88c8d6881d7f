import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { allowedBy, readValue, type Shape } from '../shape/index.js';
import { shapeAt } from './keys.js';
import { configurationSchema, type Configuration } from './schema/index.js';
import { TUNABLE_KEYS, type TunableKey } from './tunable-keys.js';

/** A value of each tunable key, typed as in the configuration. */
export interface TunableValues {
  readonly 'session.intervalSeconds': number;
  readonly 'retrieve.maxBytesPerSecond': number;
  readonly 'retrieve.maxBytesPerSecondPerImage': number;
  readonly 'retrieve.windows': readonly string[];
  readonly 'store.quotaMiB': number;
  readonly 'fanout.repeat': number;
  readonly 'fanout.intervalSeconds': number;
  readonly 'fanout.lifetimeSeconds': number;
  readonly 'fanout.ratePerSecond': number;
}

export type TunableValue = TunableValues[TunableKey];

/** What a person and a DM Server need to know of a tunable key. */
export interface Tunable {
  readonly key: TunableKey;
  readonly help: string;
  /** A whole number, or a list with one item a line. */
  readonly kind: 'number' | 'lines';
}

/** The tunable keys, in the order in which they are listed. */
export const TUNABLES: readonly Tunable[] = TUNABLE_KEYS.map((key) => {
  const { help = '', kind } = shapeOfKey(key);
  return { key, help, kind: kind === 'list' ? 'lines' : 'number' };
});

/** What the configuration says of the tunable keys. */
export function tunableValues({ session, retrieve, store, fanout }: Configuration): TunableValues {
  return {
    'session.intervalSeconds': session.intervalSeconds,
    'retrieve.maxBytesPerSecond': retrieve.maxBytesPerSecond,
    'retrieve.maxBytesPerSecondPerImage': retrieve.maxBytesPerSecondPerImage,
    'retrieve.windows': retrieve.windows,
    'store.quotaMiB': store.quotaMiB,
    'fanout.repeat': fanout.repeat,
    'fanout.intervalSeconds': fanout.intervalSeconds,
    'fanout.lifetimeSeconds': fanout.lifetimeSeconds,
    'fanout.ratePerSecond': fanout.ratePerSecond,
  };
}

/** A value as text: a decimal number, or one item a line. Fails where the configuration would not take it either. */
export function parseTunable<K extends TunableKey>(
  key: K,
  text: string,
): Outcome<TunableValues[K], CodedError<'bad-value'>> {
  const shape = shapeOfKey(key);
  const read = readValue(shape, shape.kind === 'list' ? linesOf(text) : numberOf(text));
  return read.ok
    ? success(read.value as TunableValues[K])
    : failure('bad-value', `${key}: expected ${allowedBy(shape)}`);
}

/** The text that `parseTunable` takes. */
export function formatTunable(value: TunableValue): string {
  return typeof value === 'number' ? String(value) : value.join('\n');
}

function shapeOfKey(key: TunableKey): Shape {
  const shape = shapeAt(configurationSchema, key.split('.'));
  if (!shape) throw new Error(`the configuration has no ${key}`);
  return shape;
}

function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

/** Not a number: the schema refuses it. */
function numberOf(text: string): number {
  return /^-?\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
}
