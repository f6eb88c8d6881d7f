import { success } from '../outcome/index.js';
import { formatAcl, parseAcl } from './acl.js';
import { DEFAULT_LEAF_TYPE, type NodeDefinition } from './definition.js';
import { treeFailure, type TreeOutcome } from './errors.js';
import type { Properties } from './properties.js';
import type { LeafValue, Subject } from './provider.js';
import type { Rights } from './rights.js';
import { last, owner, type Place, type Route } from './route.js';

/** The properties of DM 1.2 (DMTND). */
export type PropertyName = 'ACL' | 'Format' | 'Name' | 'Size' | 'Title' | 'TStamp' | 'Type' | 'VerNo';

const PROPERTY_NAMES: readonly PropertyName[] = ['ACL', 'Format', 'Name', 'Size', 'Title', 'TStamp', 'Type', 'VerNo'];

/** Longest value in octets of the properties that a server may set. */
const MAX_BYTES: Readonly<Partial<Record<PropertyName, number>>> = { ACL: 2048, Name: 255, Title: 255 };

/** What a property is asked as: the definition of a leaf for its new value. */
const PROPERTY: NodeDefinition = {
  key: 'property',
  name: 'property',
  format: 'chr',
  access: [],
  occurrence: 'One',
  scope: 'Permanent',
  description: 'A property of a node',
};

/** Reads the properties of nodes, and sets those that a server may set. */
export class PropertyAccess {
  constructor(
    private readonly properties: Properties,
    private readonly rights: Rights,
  ) {}

  /** `not-supported` where the node has no such property, or nothing true can be said of it. */
  read(name: PropertyName, place: Place): TreeOutcome<string> {
    const { definition, identity } = place;
    switch (name) {
      case 'ACL':
        return success(this.rights.own(place));
      case 'Format':
        return success(definition.format);
      case 'Name':
        return success(place.name);
      case 'Type':
        return success(typeOf(definition));
      case 'Title':
        return success(identity === undefined ? '' : this.properties.title(identity));
      case 'Size': {
        if (definition.children || !definition.access.includes('Get')) return unsupported(name);
        const value = owner(place).read(place.path);
        return value.ok ? success(String(octetsOf(value.value))) : value;
      }
      case 'TStamp': {
        const changedMs = this.#change(place)?.changedMs;
        return changedMs === undefined ? unsupported(name) : success(formatTimestamp(changedMs));
      }
      case 'VerNo': {
        const change = this.#change(place);
        return change ? success(String(change.version)) : unsupported(name);
      }
    }
  }

  /** Whether the server may set the property of this node; then the definition that its value must fit. */
  settable(subject: Subject, name: PropertyName, route: Route): TreeOutcome<NodeDefinition> {
    const maxBytes = MAX_BYTES[name];
    if (maxBytes === undefined || (name === 'Name' && !isRenamable(last(route))))
      return treeFailure('not-allowed', `property ${name} cannot be replaced`);
    const denied =
      name === 'ACL' ? this.rights.deniedAclChange(subject, route) : this.rights.denied(subject, 'Replace', route);
    return denied ?? success({ ...PROPERTY, maxBytes });
  }

  /** Sets the ACL. Fails with `bad-value`. */
  setAcl(route: Route, text: string): TreeOutcome {
    const { identity } = last(route);
    const acl = parseAcl(text.trim());
    if (!acl.ok) return acl;
    if (route.length === 1 && acl.value.size === 0) return treeFailure('bad-value', 'the root must keep an ACL');
    if (identity !== undefined) this.properties.setAcl(identity, formatAcl(acl.value));
    return success();
  }

  setTitle(route: Route, text: string): TreeOutcome {
    const { identity } = last(route);
    if (identity !== undefined) this.properties.setTitle(identity, text);
    return success();
  }

  #change({ definition, identity }: Place): ReturnType<Properties['change']> {
    return definition.versioned && identity !== undefined ? this.properties.change(identity) : undefined;
  }
}

/** The Type property: MIME type of a leaf, MO identifier of an interior node. */
export function typeOf(definition: NodeDefinition): string {
  return definition.type ?? (definition.children ? '' : DEFAULT_LEAF_TYPE);
}

/** Permanent nodes and those with fixed names keep theirs (DMTND: Name property). */
function isRenamable({ definition, mount }: Place): boolean {
  return definition.name === undefined && definition.scope === 'Dynamic' && mount?.provider.rename !== undefined;
}

export function isPropertyName(word: string): word is PropertyName {
  return PROPERTY_NAMES.some((name) => name === word);
}

/** DMTND: UTC as `20010711T163817Z`. */
function formatTimestamp(wallMs: number): string {
  return new Date(wallMs).toISOString().replace(/[-:]|\.\d+/g, '');
}

function octetsOf(value: LeafValue): number {
  return typeof value === 'string' ? Buffer.byteLength(value) : value.byteLength;
}

function unsupported(name: PropertyName): TreeOutcome<never> {
  return treeFailure('not-supported', `the node has no property ${name}`);
}
