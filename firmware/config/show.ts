import { formatPath, type KeyPath } from '../shape/index.js';
import { shapeAt } from './keys.js';
import { layerOf, type Layer } from './layers.js';
import { configurationSchema, type Configuration } from './schema/index.js';

/** One value of the configuration and where it comes from. */
export interface ShownValue {
  readonly key: string;
  /** As JSON has it; `HIDDEN` for a secret. */
  readonly value: unknown;
  /** The file that says so, or `default`. */
  readonly origin: string;
}

/** In the place of a secret. */
const HIDDEN = '(hidden)';

/** A value for a person: JSON text, but for a secret. */
export function renderValue({ value }: Pick<ShownValue, 'value'>): string {
  return value === HIDDEN ? HIDDEN : JSON.stringify(value);
}

/** Every value that is in force, in the order of the keys, without secrets. */
export function showConfiguration(configuration: Configuration, layers: readonly Layer[]): ShownValue[] {
  return leavesOf(configuration, []).map(({ path, value }) => ({
    key: formatPath(path),
    value: isSecret(path) && value !== '' ? HIDDEN : value,
    origin: layerOf(layers, path)?.file ?? 'default',
  }));
}

/** Every secret that the configuration holds, those too short to be told from other text left out. */
export function secretsOf(configuration: Configuration): string[] {
  return leavesOf(configuration, []).flatMap(({ path, value }) =>
    isSecret(path) && typeof value === 'string' && value.length >= SHORTEST_SECRET ? [value] : [],
  );
}

const SHORTEST_SECRET = 4;

interface Leaf {
  readonly path: KeyPath;
  readonly value: unknown;
}

/** The values that are not sections: plain values, lists of plain values, empty lists and objects. */
function leavesOf(value: unknown, path: KeyPath): Leaf[] {
  if (typeof value !== 'object' || value === null) return [{ path, value }];
  const plainList = Array.isArray(value) && value.every((item) => typeof item !== 'object');
  const inner: [string | number, unknown][] = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  if (plainList || inner.length === 0) return [{ path, value }];
  return inner.flatMap(([key, item]) => leavesOf(item, [...path, key]));
}

/** True where the schema says that the value at a path is never shown. */
function isSecret(path: KeyPath): boolean {
  return shapeAt(configurationSchema, path)?.secret === true;
}
