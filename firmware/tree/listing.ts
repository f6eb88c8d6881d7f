import type { Element } from '../codec/index.js';
import { success } from '../outcome/index.js';
import { parseAcl, grants, type Acl } from './acl.js';
import type { Format } from './definition.js';
import { treeFailure, type TreeOutcome } from './errors.js';
import { typeOf, type PropertyAccess, type PropertyName } from './property-access.js';
import type { LeafValue } from './provider.js';
import type { Actor, Rights } from './rights.js';
import { last, type Place, type Route, type Routes } from './route.js';
import { tndsDocument, tndsNode, type TndsPart } from './tnds-write.js';
import { encodeName, formatNodeUri } from './uri.js';

/** One node of a sub-tree, as `?list=Struct` and `StructData` tell it. */
export interface ListedNode {
  readonly uri: string;
  readonly format: Format;
  readonly type: string;
  /** With StructData, for a leaf that can be read. */
  readonly data?: LeafValue;
}

/** A sub-tree as a whole: node by node, or as one TNDS document. */
export type Listing =
  | { readonly kind: 'nodes'; readonly nodes: readonly ListedNode[] }
  | { readonly kind: 'tnds'; readonly document: Element };

/** Octets that a node takes in a listing beside its names and values, roughly: in the answer, and in memory until then. */
const NODE_OVERHEAD_BYTES = 150;

/** What `?list=` may ask for (facts 7.6). */
type Form =
  { readonly kind: 'nodes'; readonly data: boolean } | { readonly kind: 'tnds'; readonly parts: Set<TndsPart> };

/**
 * Lists sub-trees (DMTND: requesting a part of a management tree). Nodes that the actor may not Get are left out
 * silently, with everything below them; children come in pages from their providers, and the work ends as soon as the
 * answer would be longer than the caller takes.
 */
export class Listings {
  constructor(
    private readonly routes: Routes,
    private readonly rights: Rights,
    private readonly access: PropertyAccess,
  ) {}

  /**
   * The sub-tree at `route`, which the actor may Get.
   * @param wanted text behind `?list=`
   * @param maxBytes of the answer, roughly
   * @returns failure `not-supported` (no such list), `too-large`, or what the provider of a leaf says
   */
  list(actor: Actor, route: Route, wanted: string, maxBytes: number): TreeOutcome<Listing> {
    const form = parseForm(wanted);
    if (!form) return treeFailure('not-supported', `there is no list ${wanted}`);
    const walk = new Walk(this.routes, this.rights, this.access, actor, maxBytes);
    const names = route.slice(1).map(({ name }) => name);
    const acl = this.rights.effective(route);
    if (form.kind === 'nodes') {
      const nodes: ListedNode[] = [];
      const failed = walk.flat(last(route), names, acl, form.data, nodes);
      return failed ?? success({ kind: 'nodes', nodes });
    }
    // The root has no name that a document could give it: its children stand at the top.
    const trees =
      route.length === 1 ? walk.inner(last(route), acl, form.parts) : walk.nested(last(route), acl, form.parts);
    if (!trees.ok) return trees;
    return success({ kind: 'tnds', document: tndsDocument(Array.isArray(trees.value) ? trees.value : [trees.value]) });
  }
}

/** One listing at work. */
class Walk {
  constructor(
    private readonly routes: Routes,
    private readonly rights: Rights,
    private readonly access: PropertyAccess,
    private readonly actor: Actor,
    private room: number,
  ) {}

  /** The node and what is below it, each behind its parent. @returns why it cannot be listed, if so */
  flat(
    node: Place,
    names: readonly string[],
    acl: Acl,
    data: boolean,
    nodes: ListedNode[],
  ): TreeOutcome<never> | undefined {
    const { definition } = node;
    const uri = formatNodeUri(names);
    const value = data ? this.#value(node) : success(undefined);
    if (!value.ok) return value;
    const full = this.#take(uri, value.value);
    if (full) return full;
    nodes.push({
      uri,
      format: definition.format,
      type: typeOf(definition),
      ...(value.value !== undefined && { data: value.value }),
    });
    for (const child of this.#children(node, acl)) {
      const failed = this.flat(child.place, [...names, child.place.name], child.acl, data, nodes);
      if (failed) return failed;
    }
    return undefined;
  }

  /** The node with what is below it inside, as an element. */
  nested(node: Place, acl: Acl, parts: ReadonlySet<TndsPart>): TreeOutcome<Element> {
    const { definition } = node;
    const properties: (readonly [PropertyName, string])[] = [];
    for (const part of PROPERTY_PARTS) {
      if (!parts.has(part)) continue;
      const text = this.access.read(part, node);
      if (text.ok) properties.push([part, text.value]);
    }
    const value = parts.has('Value') ? this.#value(node) : success(undefined);
    if (!value.ok) return value;
    const name = encodeName(node.name);
    const full = this.#take(name, value.value, ...properties.map(([, text]) => text));
    if (full) return full;
    const children = this.inner(node, acl, parts);
    if (!children.ok) return children;
    return success(
      tndsNode({
        name,
        interior: definition.children !== undefined,
        properties,
        value: value.value,
        children: children.value,
      }),
    );
  }

  /** What is below the node. */
  inner(node: Place, acl: Acl, parts: ReadonlySet<TndsPart>): TreeOutcome<Element[]> {
    const elements: Element[] = [];
    for (const child of this.#children(node, acl)) {
      const element = this.nested(child.place, child.acl, parts);
      if (!element.ok) return element;
      elements.push(element.value);
    }
    return success(elements);
  }

  /** Children that the actor may Get, each with the ACL in force there. @param acl in force at the node */
  *#children(node: Place, acl: Acl): Generator<{ place: Place; acl: Acl }, void, undefined> {
    for (const name of this.routes.childNames(node)) {
      const place = this.routes.step(node, name);
      if (place?.identity === undefined) continue;
      const own = parseAcl(this.rights.own(place));
      const inForce = own.ok && own.value.size > 0 ? own.value : acl;
      if (this.actor === 'local' || grants(inForce, 'Get', this.actor.serverId)) yield { place, acl: inForce };
    }
  }

  #value({ definition, mount, path }: Place): TreeOutcome<LeafValue | undefined> {
    const readable = mount !== undefined && !definition.children && definition.access.includes('Get');
    return readable ? mount.provider.read(path) : success(undefined);
  }

  #take(name: string, value: LeafValue | undefined, ...texts: readonly string[]): TreeOutcome<never> | undefined {
    const length = texts.reduce((sum, text) => sum + text.length, name.length + (value?.length ?? 0));
    this.room -= length + NODE_OVERHEAD_BYTES;
    return this.room < 0 ? treeFailure('too-large', 'the sub-tree is too large to be listed at once') : undefined;
  }
}

/** In the order of the DTD. */
const PROPERTY_PARTS: readonly PropertyName[] = ['ACL', 'Format', 'Name', 'Size', 'Title', 'TStamp', 'Type', 'VerNo'];

/** Without a word on it: what DMTNDS calls valid in a document. NodeName tells the Name, the Value its Size. */
const USUAL_PARTS: readonly TndsPart[] = ['ACL', 'Format', 'Title', 'TStamp', 'Type', 'VerNo', 'Value'];

function parseForm(wanted: string): Form | undefined {
  if (wanted === 'Struct' || wanted === 'StructData') return { kind: 'nodes', data: wanted === 'StructData' };
  if (wanted === 'TNDS') return { kind: 'tnds', parts: new Set(USUAL_PARTS) };
  const [head, ...words] = wanted.split(/(?=[+-])/);
  const sign = words[0]?.charAt(0);
  const named = words.map((word) => word.slice(1));
  // DMTND: + and - cannot be mixed.
  if (head !== 'TNDS' || !words.every((word) => word.startsWith(sign ?? '')) || !named.every(isPart)) return undefined;
  return { kind: 'tnds', parts: new Set(sign === '+' ? named : USUAL_PARTS.filter((part) => !named.includes(part))) };
}

function isPart(word: string): word is TndsPart {
  return word === 'Value' || PROPERTY_PARTS.some((part) => part === word);
}
