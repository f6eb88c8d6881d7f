import * as v from 'valibot';
import type { KeyNotes } from './values.js';

/** A place in the configuration: names of keys and indices of lists. */
export type KeyPath = readonly (string | number)[];

/** As it stands in error lines: `accounts[0].url`. */
export function formatPath(path: KeyPath): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`),
    '',
  );
}

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
export function referenceOf(schema: v.GenericSchema, path = ''): KeyReference[] {
  const inner = unwrap(schema);
  const entries = entriesOf(inner);
  if (entries) {
    return Object.entries(entries).flatMap(([key, entry]) => referenceOf(entry, path === '' ? key : `${path}.${key}`));
  }
  const item = itemOf(inner);
  const { allowed, description: help = '', derived, secret } = notesOf(inner);
  const key: KeyReference = {
    path,
    allowed: item && !entriesOf(item) ? `${allowed}, each ${notesOf(item).allowed}` : allowed,
    help,
    required: inner === schema,
    default: derived ?? defaultText(schema),
    secret: secret === true,
  };
  return item && entriesOf(item) ? [key, ...referenceOf(item, `${path}[]`)] : [key];
}

/** The schema of the value at a path; undefined where no such key exists. */
export function schemaAt(schema: v.GenericSchema, path: KeyPath): v.GenericSchema | undefined {
  let at = unwrap(schema);
  for (const part of path) {
    const entries = entriesOf(at);
    let next: v.GenericSchema | undefined;
    if (!entries) next = itemOf(at) ?? valueOf(at);
    else if (Object.hasOwn(entries, part)) next = entries[part];
    if (!next) return undefined;
    at = unwrap(next);
  }
  return at;
}

/** The keys that a section has; undefined for anything else. */
export function entriesOf(schema: v.GenericSchema): Record<string, v.GenericSchema> | undefined {
  return 'entries' in schema ? (schema.entries as Record<string, v.GenericSchema>) : undefined;
}

/** What the schema says of a key beside its type. */
export function notesOf(schema: v.GenericSchema): KeyNotes {
  return { allowed: 'a value', ...v.getMetadata(schema) };
}

function itemOf(schema: v.GenericSchema): v.GenericSchema | undefined {
  return 'item' in schema ? unwrap(schema.item as v.GenericSchema) : undefined;
}

function valueOf(schema: v.GenericSchema): v.GenericSchema | undefined {
  return schema.type === 'record' && 'value' in schema ? unwrap(schema.value as v.GenericSchema) : undefined;
}

function unwrap(schema: v.GenericSchema): v.GenericSchema {
  return 'wrapped' in schema ? unwrap(schema.wrapped as v.GenericSchema) : schema;
}

function defaultText(schema: v.GenericSchema): string | undefined {
  return 'default' in schema && schema.default !== undefined ? JSON.stringify(schema.default) : undefined;
}
