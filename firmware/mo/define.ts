import type { Access, Format, NodeDefinition, Occurrence } from '../tree/index.js';
import type { MoKey, Names } from './names.js';

interface LeafExtras {
  readonly occurrence?: Occurrence;
  readonly type?: string;
  readonly maxBytes?: number;
  readonly streamed?: boolean;
  /** What counts while the leaf is not there. */
  readonly defaultValue?: string;
}

/** Access letters as in the node tables of the documentation: G Get, R Replace, A Add, D Delete, X Exec. */
const LETTERS: Readonly<Record<string, Access>> = { A: 'Add', D: 'Delete', G: 'Get', R: 'Replace', X: 'Exec' };

/** What letters stand for: of the hundred nodes most have the same few. */
const accessOf = new Map<string, readonly Access[]>();

/** Makes the node definitions of one management object under the names in use. */
export class Definer {
  constructor(
    private readonly mo: MoKey,
    private readonly names: Names,
  ) {}

  /** A leaf that exists with its parent, or, with Add among its access, once a server adds it. */
  leaf(key: string, format: Format, access: string, description: string, extras?: LeafExtras): NodeDefinition {
    const addable = access.includes('A');
    return {
      key,
      name: this.names.node(this.mo, key),
      format,
      // What can be read can be copied.
      access: toAccess(access, access.includes('G')),
      occurrence: addable ? 'ZeroOrOne' : 'One',
      scope: 'Dynamic',
      description,
      versioned: addable || access.includes('R'),
      ...extras,
    };
  }

  interior(key: string, access: string, description: string, children: readonly NodeDefinition[]): NodeDefinition {
    return {
      key,
      name: this.names.node(this.mo, key),
      format: 'node',
      access: toAccess(access),
      occurrence: 'One',
      scope: 'Dynamic',
      description,
      children,
    };
  }

  /** `<x>`: any number of nodes with names given at run time. */
  many(access: string, description: string, children: readonly NodeDefinition[]): NodeDefinition {
    return {
      key: 'x',
      name: undefined,
      format: 'node',
      access: toAccess(access),
      occurrence: 'ZeroOrMore',
      scope: 'Dynamic',
      description,
      versioned: access.includes('A'),
      children,
    };
  }

  /** The root of the management object: permanent, carries the MO identifier. */
  root(description: string, children: readonly NodeDefinition[], acl?: string): NodeDefinition {
    return {
      key: this.mo,
      name: undefined,
      format: 'node',
      access: ['Get'],
      occurrence: 'One',
      scope: 'Permanent',
      type: this.names.type(this.mo),
      description,
      children,
      ...(acl !== undefined && { acl }),
    };
  }
}

/** The ACL of an object that every server may read, and those that the configuration names administrators may change. */
export function administered(administrators: readonly string[]): string {
  return administrators.length === 0 ? 'Get=*' : `Get=*&Replace=${administrators.join('+')}`;
}

/** The node and everything below it cannot be deleted. */
export function permanent(definition: NodeDefinition): NodeDefinition {
  return {
    ...definition,
    scope: 'Permanent',
    ...(definition.children && { children: definition.children.map(permanent) }),
  };
}

/** Changes of the node and of everything below it are not counted: see `NodeDefinition.versioned`. */
export function unversioned(definition: NodeDefinition): NodeDefinition {
  return {
    ...definition,
    versioned: false,
    ...(definition.children && { children: definition.children.map(unversioned) }),
  };
}

function toAccess(letters: string, canBeCopied = false): readonly Access[] {
  const key = canBeCopied ? `${letters}+` : letters;
  const access =
    accessOf.get(key) ?? Object.freeze([...readLetters(letters), ...(canBeCopied ? ['Copy' as const] : [])]);
  accessOf.set(key, access);
  return access;
}

function readLetters(letters: string): Access[] {
  return letters.split('').map((letter) => {
    const access = LETTERS[letter];
    if (!access) throw new Error(`'${letter}' is no access letter`);
    return access;
  });
}
