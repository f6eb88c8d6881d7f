import { isObject, type KeyPath } from '../shape/index.js';

/** One source of values, such as the configuration file or a board profile. */
export interface Layer {
  /** As it stands in error lines. */
  readonly file: string;
  /** What the file says, as JSON. */
  readonly value: unknown;
}

/** The values of all layers in one: the first layer wins. Objects are merged key by key, lists are taken whole. */
export function mergeLayers(layers: readonly Layer[]): unknown {
  return layers.map(({ value }) => value).reduce(merge);
}

/** The layer that a value comes from; undefined where no layer holds it (a default). */
export function layerOf(layers: readonly Layer[], path: KeyPath): Layer | undefined {
  return find(layers, path).holder;
}

/** The layer to blame for what is at a path: the one that holds it or the list it belongs to, else the first. */
export function blamedLayer(layers: readonly Layer[], path: KeyPath): Layer | undefined {
  const { holder, owner } = find(layers, path);
  return holder ?? owner ?? layers[0];
}

interface Found {
  readonly holder?: Layer;
  /** Holds a list or a plain value on the way to the path, and so hides the layers below. */
  readonly owner?: Layer;
}

function find(layers: readonly Layer[], path: KeyPath): Found {
  for (const layer of layers) {
    let at = layer.value;
    for (const [depth, part] of path.entries()) {
      if (Array.isArray(at) || !isObject(at)) {
        const element: unknown = Array.isArray(at) && typeof part === 'number' ? at[part] : undefined;
        if (element === undefined) return { owner: layer };
        return hasPath(element, path.slice(depth + 1)) ? { holder: layer } : { owner: layer };
      }
      if (!Object.hasOwn(at, part)) break;
      at = at[part];
      if (depth === path.length - 1) return { holder: layer };
    }
  }
  return {};
}

function hasPath(value: unknown, path: KeyPath): boolean {
  let at = value;
  for (const part of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return false;
    at = (at as Record<string | number, unknown>)[part];
  }
  return true;
}

function merge(over: unknown, under: unknown): unknown {
  if (!isObject(over) || !isObject(under)) return over;
  const keys = [...new Set([...Object.keys(over), ...Object.keys(under)])];
  return Object.fromEntries(
    keys.map((key) => {
      if (!Object.hasOwn(over, key)) return [key, under[key]];
      return [key, Object.hasOwn(under, key) ? merge(over[key], under[key]) : over[key]];
    }),
  );
}
