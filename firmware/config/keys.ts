import { allowedBy, shapeOf, type Key, type KeyPath, type Shape } from '../shape/index.js';

/** One key of the reference; `path` of a list's items ends with `[]`. */
export interface KeyReference {
  readonly path: string;
  readonly allowed: string;
  readonly help: string;
  readonly required: boolean;
  /** As JSON text, or in words where it follows from another key; undefined: none. */
  readonly default: string | undefined;
  readonly secret: boolean;
}

/** Every key that holds a value, in the order of the schema. */
export function referenceOf(schema: Key, path = ''): KeyReference[] {
  const inner = shapeOf(schema);
  if (inner.kind === 'section') {
    return Object.entries(inner.entries).flatMap(([key, entry]) =>
      referenceOf(entry, path === '' ? key : `${path}.${key}`),
    );
  }
  const item = inner.kind === 'list' ? inner.item : undefined;
  const isListOfSections = item?.kind === 'section';
  const allowed = allowedBy(inner);
  const key: KeyReference = {
    path,
    allowed: item && !isListOfSections ? `${allowed}, each ${allowedBy(item)}` : allowed,
    help: inner.help ?? '',
    required: schema.kind !== 'optional',
    default: inner.derived ?? defaultText(schema),
    secret: inner.secret === true,
  };
  return isListOfSections ? [key, ...referenceOf(item, `${path}[]`)] : [key];
}

/** The shape of the value at a path; undefined where no such key exists. */
export function shapeAt(schema: Shape, path: KeyPath): Shape | undefined {
  let at: Shape | undefined = schema;
  for (const part of path) at = at && shapeIn(at, part);
  return at;
}

/** The shape of what stands in a value under a key, or at a place; undefined where there is none. */
export function shapeIn(shape: Shape, part: string | number): Shape | undefined {
  switch (shape.kind) {
    case 'section': {
      const key = Object.hasOwn(shape.entries, part) ? shape.entries[part] : undefined;
      return key && shapeOf(key);
    }
    case 'list':
      return shape.item;
    case 'record':
      return shape.value;
    case 'text':
    case 'number':
    case 'flag':
    case 'choice':
      return undefined;
  }
}

function defaultText(key: Key): string | undefined {
  return key.kind === 'optional' && key.otherwise !== undefined ? JSON.stringify(key.otherwise) : undefined;
}
