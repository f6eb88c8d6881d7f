import { success, type Outcome } from '../outcome/index.js';
import type { KeyPath } from './path.js';
import type { Key, Shape } from './shape.js';

/** What is wrong at one place of a value. */
export interface Problem {
  readonly code: 'unknown-key' | 'missing' | 'bad-value';
  readonly path: KeyPath;
  /** What stands there. */
  readonly value: unknown;
  /** What should; of an unknown key, the section that it stands in. */
  readonly shape: Shape;
}

/**
 * Reads a value that came as JSON by its shape: complete with defaults, without anything that the shape does not name.
 * @returns or the one problem to tell of: of all in what was read an unknown key first, because a misspelt key is also a
 *   missing one. A list of the wrong length is not read
 */
export function readValue<Out>(shape: Shape<Out>, value: unknown): Outcome<Out, Problem> {
  const reading = new Reading();
  const out = reading.value(shape, value);
  return reading.problem ? { ok: false, error: reading.problem } : success(out as Out);
}

class Reading {
  problem: Problem | undefined;
  readonly #path: (string | number)[] = [];

  /** Of what is wrong the answer means nothing. */
  value(shape: Shape, value: unknown): unknown {
    switch (shape.kind) {
      case 'text':
        if (typeof value === 'string' && fits(shape, value)) return value;
        break;
      case 'number':
        if (typeof value === 'number' && value >= shape.from && value <= shape.to) {
          if (!shape.isWhole || Number.isInteger(value)) return value;
        }
        break;
      case 'flag':
        if (typeof value === 'boolean') return value;
        break;
      case 'choice':
        if (typeof value === 'string' && shape.values.includes(value)) return value;
        break;
      case 'list':
        if (Array.isArray(value) && value.length >= shape.from && value.length <= shape.to) {
          return value.map((item: unknown, place) => this.#inner(place, shape.item, item));
        }
        break;
      case 'section':
        if (isObject(value)) return this.#section(shape, value);
        break;
      case 'record':
        if (isObject(value)) return this.#record(shape.value, value);
        break;
    }
    this.#found('bad-value', value, shape);
    return undefined;
  }

  #section(shape: Shape & { readonly kind: 'section' }, value: Readonly<Record<string, unknown>>): unknown {
    const { entries, derive } = shape;
    const read: Record<string, unknown> = {};
    for (const key in entries) {
      const entry = entries[key];
      if (!entry) continue;
      const given = Object.hasOwn(value, key) ? value[key] : otherwiseOf(entry);
      if (given !== undefined) read[key] = this.#inner(key, shapeOf(entry), given);
      else if (entry.kind !== 'optional') this.#foundIn(key, 'missing', undefined, entry);
    }
    for (const key in value) if (!Object.hasOwn(entries, key)) this.#foundIn(key, 'unknown-key', value[key], shape);
    return derive && !this.problem ? derive(read as never) : read;
  }

  #record(shape: Shape | undefined, value: Readonly<Record<string, unknown>>): unknown {
    if (!shape) return { ...value };
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.#inner(key, shape, item)]));
  }

  #inner(key: string | number, shape: Shape, value: unknown): unknown {
    this.#path.push(key);
    const read = this.value(shape, value);
    this.#path.pop();
    return read;
  }

  #foundIn(key: string, code: Problem['code'], value: unknown, shape: Shape): void {
    this.#path.push(key);
    this.#found(code, value, shape);
    this.#path.pop();
  }

  #found(code: Problem['code'], value: unknown, shape: Shape): void {
    const isFirst = !this.problem || (code === 'unknown-key' && this.problem.code !== 'unknown-key');
    if (isFirst) this.problem = { code, path: [...this.#path], value, shape };
  }
}

function fits({ from = 0, to = Infinity, pattern, rule }: Shape & { readonly kind: 'text' }, value: string): boolean {
  if (value.length < from || value.length > to) return false;
  return (pattern?.test(value) ?? true) && (rule?.(value) ?? true);
}

/** What JSON writes as `{ ... }`: a list is none. */
export function isObject(value: unknown): value is Readonly<Record<string | number, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Of a key, whether it may be missing or not. */
export function shapeOf(key: Key): Shape {
  return key.kind === 'optional' ? key.wrapped : key;
}

function otherwiseOf(key: Key): unknown {
  return key.kind === 'optional' ? key.otherwise : undefined;
}
