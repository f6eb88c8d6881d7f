import { success } from '../outcome/index.js';
import { childDefinition, type NodeDefinition } from './definition.js';
import { treeFailure, type TreeOutcome } from './errors.js';
import type { NodePath, Provider } from './provider.js';
import { parseNodeUri } from './uri.js';

/** A management object and where it stands. */
export interface Mount {
  /** Names from the root, e.g. ['GwMO', 'ImageInventory']; those above the last become permanent interior nodes. */
  readonly place: readonly string[];
  readonly definition: NodeDefinition;
  readonly provider: Provider;
}

/** A management object as the description of a device knows it: without the one who owns its nodes. */
export type DescribedObject = Pick<Mount, 'place' | 'definition'>;

/** A node on the way from the root: its definition, and where it exists, its identity. */
export interface Place {
  /** As it stands in the tree; `.` for the root. */
  readonly name: string;
  readonly definition: NodeDefinition;
  readonly mount: Mount | undefined;
  readonly path: NodePath;
  /** Undefined: such a node may be here, but is not. */
  readonly identity: string | undefined;
}

/** Root to node. */
export type Route = readonly [Place, ...Place[]];

/** Children read from a provider at a time. */
const PAGE = 256;

/** ACL of the root (management-objects: initial ACL). */
const ROOT_ACL = 'Get=*';

/** Finds nodes: from a URI through the definitions and the providers to what exists. */
export class Routes {
  /** The table that the tree runs on, from its root. */
  readonly root: NodeDefinition;
  readonly #mounts = new Map<NodeDefinition, Mount>();

  constructor(mounts: readonly Mount[]) {
    this.root = structure('.', '.', mounts, this.#mounts, 0);
  }

  /** The way to a node that exists, with the query of the URI. Fails with `bad-uri`, `uri-too-long` or `not-found`. */
  existing(uri: string): TreeOutcome<{ route: Route; query: string | undefined }> {
    const parsed = parseNodeUri(uri);
    if (!parsed.ok) return parsed;
    const route = this.to(parsed.value.segments);
    if (!route || last(route).identity === undefined) return treeFailure('not-found', 'there is no such node');
    return success({ route, query: parsed.value.query });
  }

  /** Undefined when the definitions have no place for the node. */
  to(segments: readonly string[]): Route | undefined {
    const route: [Place, ...Place[]] = [
      { name: '.', definition: this.root, mount: undefined, path: [], identity: '.' },
    ];
    for (const segment of segments) {
      const place = this.step(last(route), segment);
      if (!place) return undefined;
      route.push(place);
    }
    return route;
  }

  /** What may stand at these names, without a look at what does. Undefined when the definitions have no such place. */
  definitionAt(segments: readonly string[]): NodeDefinition | undefined {
    let definition: NodeDefinition | undefined = this.root;
    for (const segment of segments) definition = definition && childDefinition(definition, segment);
    return definition;
  }

  /**
   * From a node to its child of that name, whether it exists or only may.
   * @param locating false where the identity is of no interest
   */
  step(parent: Place, name: string, locating = true): Place | undefined {
    const definition = childDefinition(parent.definition, name);
    if (!definition) return undefined;
    const mount = parent.mount ?? this.#mounts.get(definition);
    const starts = parent.mount === undefined && mount !== undefined;
    const path = starts ? [] : [...parent.path, definition.name === undefined ? name : definition.key];
    const identity = parent.identity === undefined || !locating ? undefined : identityOf(mount, path);
    return { name, definition, mount, path, identity };
  }

  /**
   * Names of the children that exist: those with fixed names in the order of the definition, the others in pages.
   * @param after begin behind this child
   */
  *childNames(node: Place, after?: string): Generator<string, void, undefined> {
    const children = node.definition.children ?? [];
    const index = after === undefined ? -1 : children.findIndex(({ name }) => name === after);
    const runTime = after !== undefined && index < 0 ? children.findIndex(({ name }) => name === undefined) : -1;
    for (const [at, child] of children.entries()) {
      if (at <= index || at < runTime) continue;
      if (child.name === undefined) yield* runTimeNames(node, at === runTime ? after : undefined);
      else if (this.step(node, child.name)?.identity !== undefined) yield child.name;
    }
  }
}

function* runTimeNames(node: Place, from: string | undefined): Generator<string, void, undefined> {
  let after = from;
  for (;;) {
    const page = owner(node).children(node.path, after, PAGE);
    yield* page;
    if (page.length < PAGE) return;
    after = page.at(-1);
  }
}

export function last(route: Route): Place {
  return route[route.length - 1] ?? route[0];
}

/** The way to the node above; the root is above itself. */
export function parentOf(route: Route): Route {
  const [root, ...rest] = route;
  return [root, ...rest.slice(0, -1)];
}

export function owner(place: Place): Provider {
  if (!place.mount) throw new Error('a node above the mounts has no provider');
  return place.mount.provider;
}

/** The identity of the node in the whole tree, undefined when it does not exist. */
export function identityOf(mount: Mount | undefined, path: NodePath): string | undefined {
  if (!mount) return ['.', ...path].join('/');
  const within = mount.provider.locate(path);
  if (within === undefined) return undefined;
  return within === '' ? mount.definition.key : `${mount.definition.key}/${within}`;
}

/** The table of a whole tree, from its root: what `Tree.definition` is for objects at these places. */
export function treeDefinition(objects: readonly DescribedObject[]): NodeDefinition {
  return structure('.', '.', objects, new Map(), 0);
}

/** The permanent interior nodes above the mounts, made from their places. */
function structure<Object extends DescribedObject>(
  key: string,
  name: string,
  mounts: readonly Object[],
  index: Map<NodeDefinition, Object>,
  depth: number,
): NodeDefinition {
  const children: NodeDefinition[] = [];
  const inner = new Map<string, Object[]>();
  for (const mount of mounts) {
    const head = mount.place[depth];
    if (head === undefined) throw new Error('a management object cannot be mounted at the root');
    const sharesName = (other: Object): boolean => other !== mount && other.place[depth] === head;
    if (depth === mount.place.length - 1 && mounts.some(sharesName)) {
      throw new Error(`two management objects at one place, or one inside the other: ${mount.place.join('/')}`);
    }
    if (depth === mount.place.length - 1) {
      const definition = { ...mount.definition, name: head };
      children.push(definition);
      index.set(definition, mount);
    } else {
      inner.set(head, [...(inner.get(head) ?? []), mount]);
    }
  }
  for (const [head, below] of inner) children.push(structure(head, head, below, index, depth + 1));
  return {
    key,
    name,
    format: 'node',
    access: ['Get'],
    occurrence: 'One',
    scope: 'Permanent',
    description: depth === 0 ? 'The root of the tree' : 'Groups management objects',
    children,
    ...(depth === 0 && { acl: ROOT_ACL }),
  };
}
