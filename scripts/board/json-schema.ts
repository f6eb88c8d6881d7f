import { shapeOf, type Key, type Shape } from '../../firmware/shape/index.js';

/** A JSON Schema, draft 7. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * What an editor is told of a shape. Sections of a file need not be complete, because another file may hold the rest; items
 * of lists are.
 */
export function jsonSchemaOf(key: Key, isItem = false): JsonSchema {
  const shape = shapeOf(key);
  const { help } = shape;
  return {
    ...typeOf(shape, isItem),
    ...(help && { description: help }),
    ...(key.kind === 'optional' && key.otherwise !== undefined && { default: key.otherwise }),
  };
}

function typeOf(shape: Shape, isItem: boolean): JsonSchema {
  switch (shape.kind) {
    case 'text':
      return {
        type: 'string',
        ...(shape.from && { minLength: shape.from }),
        ...(shape.to !== undefined && { maxLength: shape.to }),
        ...(shape.pattern && { pattern: shape.pattern.source }),
      };
    case 'number':
      return { type: shape.isWhole ? 'integer' : 'number', minimum: shape.from, maximum: shape.to };
    case 'flag':
      return { type: 'boolean' };
    case 'choice':
      return { enum: shape.values, type: 'string' };
    case 'list':
      return {
        type: 'array',
        items: jsonSchemaOf(shape.item, true),
        minItems: shape.from,
        maxItems: shape.to,
      };
    case 'section': {
      const entries = Object.entries(shape.entries);
      const required = entries.filter(([, entry]) => entry.kind !== 'optional').map(([name]) => name);
      return {
        type: 'object',
        properties: Object.fromEntries(entries.map(([name, entry]) => [name, jsonSchemaOf(entry, isItem)])),
        ...(isItem && { required }),
        additionalProperties: false,
      };
    }
    case 'record':
      return {
        type: 'object',
        propertyNames: { type: 'string' },
        ...(shape.value && { additionalProperties: jsonSchemaOf(shape.value) }),
      };
  }
}
