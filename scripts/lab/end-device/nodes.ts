import type { Access, Format, NodeDefinition } from '../../../firmware/tree/index.js';

/** A dynamic leaf; it may be absent where a server can add it. */
export function leaf(name: string, format: Format, access: readonly Access[], description: string): NodeDefinition {
  const occurrence = access.includes('Add') ? 'ZeroOrOne' : 'One';
  return { key: name, name, format, access, occurrence, scope: 'Dynamic', description };
}

/** An interior node of that name. */
export function interior(
  name: string,
  access: readonly Access[],
  description: string,
  children: readonly NodeDefinition[],
): NodeDefinition {
  return {
    key: name,
    name,
    format: 'node',
    access,
    occurrence: 'One',
    scope: 'Permanent',
    description,
    children,
  };
}

/** `<x>`: any number of nodes with names given at run time. */
export function many(
  access: readonly Access[],
  description: string,
  children: readonly NodeDefinition[],
): NodeDefinition {
  return {
    key: 'x',
    name: undefined,
    format: 'node',
    access,
    occurrence: 'ZeroOrMore',
    scope: 'Dynamic',
    description,
    children,
  };
}
