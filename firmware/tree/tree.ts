import { success } from '../outcome/index.js';
import type { Store } from '../store/index.js';
import { aclFor, formatAcl, grants, parseAcl, withoutServer, type Acl, type AclCommand } from './acl.js';
import { childDefinition, DEFAULT_LEAF_TYPE, type Access, type NodeDefinition } from './definition.js';
import { treeFailure, type TreeOutcome } from './errors.js';
import { Properties } from './properties.js';
import type {
  AnnouncedValue,
  IncomingValue,
  LeafValue,
  NodePath,
  NodeValue,
  Provider,
  StoredValue,
  Subject,
} from './provider.js';
import { encodeName, parseNodeUri } from './uri.js';
import { LeafSink, MemorySink, type ValueSink } from './value-sink.js';
import { acceptAnnounced, acceptValue, isStored, isTnds, textOfValue } from './values.js';

/** A management object and where it stands. */
export interface Mount {
  /** Names from the root, e.g. ['GwMO', 'ImageInventory']; those above the last become permanent interior nodes. */
  readonly place: readonly string[];
  readonly definition: NodeDefinition;
  readonly provider: Provider;
}

/** A DM Server in its session, or the gateway's own code, which no ACL binds. */
export type Actor = Subject | 'local';

/** A node on the way from the root: its definition, and where it exists, its identity. */
interface Place {
  readonly definition: NodeDefinition;
  readonly mount: Mount | undefined;
  readonly path: NodePath;
  /** Undefined: such a node may be here, but is not. */
  readonly identity: string | undefined;
}

/** Root to node. */
type Route = readonly [Place, ...Place[]];

/** Children read from a provider at a time. */
const PAGE = 256;

/** ACL of the root (management-objects: initial ACL). */
const ROOT_ACL = 'Get=*';

/**
 * The management tree: finds the node, checks definition, ACL and format, and hands the operation to the management
 * object that owns it. It must be called inside the transaction of the DM message. Order of checks: URI, existence,
 * AccessType, ACL, data.
 */
export class Tree {
  readonly #root: NodeDefinition;
  readonly #mounts = new Map<NodeDefinition, Mount>();
  readonly #properties: Properties;

  constructor(
    private readonly store: Store,
    mounts: readonly Mount[],
  ) {
    this.#properties = new Properties(store);
    this.#root = structure('.', '.', mounts, this.#mounts, 0);
  }

  /** The table that the tree runs on, from its root: for the DDF. */
  get definition(): NodeDefinition {
    return this.#root;
  }

  /** Value of a leaf, names of an interior node's children, or a property (`?prop=`). */
  get(actor: Actor, uri: string): TreeOutcome<NodeValue> {
    const found = this.#existing(uri);
    if (!found.ok) return found;
    const { route, query } = found.value;
    const node = last(route);
    const property = query === undefined ? success(undefined) : propertyName(query);
    if (!property.ok) return property;
    if (property.value === undefined && !node.definition.access.includes('Get')) return notAllowed('Get', node);
    const denied = this.#denied(actor, 'Get', route);
    if (denied) return denied;
    if (property.value !== undefined) return this.#readProperty(property.value, route);
    if (node.definition.children) {
      return success({
        format: 'node',
        type: DEFAULT_LEAF_TYPE,
        data: this.#childNames(actor, route).map(encodeName).join('/'),
      });
    }
    const value = owner(node).read(node.path);
    if (!value.ok) return value;
    return success({
      format: node.definition.format,
      type: node.definition.type ?? DEFAULT_LEAF_TYPE,
      data: value.value,
    });
  }

  /** Creates a leaf or an interior node, and missing interior nodes on the way to it. */
  add(subject: Subject, uri: string, incoming: IncomingValue): TreeOutcome {
    const place = this.#addable(subject, uri);
    if (!place.ok) return place;
    const { route, from } = place.value;
    const value = incomingFor(last(route).definition, incoming);
    if (!value.ok) return value;
    return this.store.tentative(() => this.#create(subject, route, from, value.value));
  }

  /** A new value for an existing leaf, or for a property. */
  replace(subject: Subject, uri: string, incoming: IncomingValue): TreeOutcome {
    const found = this.#existing(uri);
    if (!found.ok) return found;
    const { route, query } = found.value;
    if (query !== undefined) return this.#replaceProperty(subject, query, route, incoming);
    const refused = this.#irreplaceable(subject, route);
    if (refused) return refused;
    const node = last(route);
    const value = acceptValue(node.definition, incoming);
    if (!value.ok) return value;
    return this.store.tentative(() => stage('replace', node, value.value, subject));
  }

  /**
   * Opens a sink for a value that comes in pieces (a large object): every check that needs no data is made first. What
   * the sink gives at its end is the `data` of the `add` or `replace` that follows; that checks everything again,
   * because the tree may have changed meanwhile.
   */
  receive(
    subject: Subject,
    command: 'Add' | 'Replace',
    uri: string,
    announced: AnnouncedValue,
  ): TreeOutcome<ValueSink> {
    const place = command === 'Add' ? this.#addable(subject, uri) : this.#replaceable(subject, uri);
    if (!place.ok) return place;
    const node = last(place.value.route);
    const { definition } = node;
    if (definition.children) return treeFailure('bad-format', 'an interior node has no value');
    const bytes = acceptAnnounced(definition, announced);
    if (!bytes.ok) return bytes;
    const sink = owner(node).writeSink?.(node.path, { bytes: bytes.value, by: subject }) ?? success(new MemorySink());
    return sink.ok ? success(new LeafSink(definition, announced.format, sink.value)) : sink;
  }

  /** Removes a node and everything below it; rights and AccessType of the descendants are not asked. */
  delete(subject: Subject, uri: string): TreeOutcome {
    const found = this.#existing(uri);
    if (!found.ok) return found;
    const { route, query } = found.value;
    const node = last(route);
    if (query !== undefined) return treeFailure('not-allowed', 'a property cannot be deleted');
    if (node.definition.scope === 'Permanent' || !node.definition.access.includes('Delete')) {
      return notAllowed('Delete', node);
    }
    const denied = this.#denied(subject, 'Delete', route);
    if (denied) return denied;
    return this.store.tentative(() => {
      const deleted = owner(node).stage({ kind: 'delete', path: node.path, by: subject });
      if (deleted.ok && node.identity !== undefined) this.#properties.forget(node.identity);
      return deleted;
    });
  }

  /** Starts a node's operation. */
  exec(
    subject: Subject,
    uri: string,
    argument: LeafValue | undefined,
    correlator: string | undefined,
  ): TreeOutcome<'done' | 'accepted'> {
    const found = this.#existing(uri);
    if (!found.ok) return found;
    const { route, query } = found.value;
    const node = last(route);
    if (query !== undefined || !node.definition.access.includes('Exec')) return notAllowed('Exec', node);
    const denied = this.#denied(subject, 'Exec', route);
    if (denied) return denied;
    return this.store.tentative(() => {
      const started = owner(node).exec({ path: node.path, argument, correlator, by: subject });
      if (started.ok) this.#forgetVanished(route);
      return started;
    });
  }

  /** An operation may have removed nodes on the way to it. */
  #forgetVanished(route: Route): void {
    const vanished = route.find(({ mount, path }) => mount && mount.provider.locate(path) === undefined);
    if (vanished?.identity !== undefined) this.#properties.forget(vanished.identity);
  }

  /** An account is gone: takes its server out of every ACL. What the root would lose, it grants to all (DMTND). */
  forgetServer(serverId: string): void {
    this.store.transaction(() => {
      for (const { identity, acl } of this.#properties.allAcls()) {
        const before = parseAcl(acl);
        if (!before.ok || ![...before.value.values()].some((servers) => servers.has(serverId))) continue;
        const after = new Map(withoutServer(before.value, serverId));
        if (identity === '.') {
          for (const command of before.value.keys()) if (!after.has(command)) after.set(command, new Set(['*']));
        }
        this.#properties.setAcl(identity, formatAcl(after));
      }
    });
  }

  /** What can be said of an Add without its value. `from`: the place of the first node of the route that is missing. */
  #addable(subject: Subject, uri: string): TreeOutcome<{ route: Route; from: number }> {
    const parsed = parseNodeUri(uri);
    if (!parsed.ok) return parsed;
    if (parsed.value.query !== undefined) return treeFailure('not-allowed', 'a property cannot be added');
    const route = this.#route(parsed.value.segments);
    if (!route) return treeFailure('not-allowed', 'the management object defines no such node here');
    const node = last(route);
    if (node.identity !== undefined) return treeFailure('already-exists', 'the node exists already');
    const missing = route.filter((place) => place.identity === undefined);
    const existing = route.slice(0, route.length - missing.length) as unknown as Route;
    if (!last(existing).definition.children) return treeFailure('not-allowed', 'the parent is a leaf');
    // An interior node that its parent brings along needs no Add of its own on the way to another.
    const fixed = missing.find(
      (place) => !place.definition.access.includes('Add') && (place === node || !comesAlong(place)),
    );
    if (fixed) return notAllowed('Add', fixed);
    return this.#denied(subject, 'Add', existing) ?? success({ route, from: existing.length });
  }

  #replaceable(subject: Subject, uri: string): TreeOutcome<{ route: Route }> {
    const found = this.#existing(uri);
    if (!found.ok) return found;
    const { route, query } = found.value;
    if (query !== undefined) return treeFailure('not-allowed', 'a property does not come in pieces');
    return this.#irreplaceable(subject, route) ?? success({ route });
  }

  /** Why the leaf cannot have a new value, if so. */
  #irreplaceable(subject: Subject, route: Route): TreeOutcome<never> | undefined {
    const node = last(route);
    if (node.definition.children || !node.definition.access.includes('Replace')) return notAllowed('Replace', node);
    return this.#denied(subject, 'Replace', route);
  }

  #create(subject: Subject, route: Route, from: number, value: LeafValue | StoredValue | undefined): TreeOutcome {
    for (const [index, place] of route.entries()) {
      // A parent may have brought this node along as one of its defaults.
      if (index < from || owner(place).locate(place.path) !== undefined) continue;
      const isTarget = index === route.length - 1;
      const added = stage('add', place, isTarget ? value : undefined, subject);
      if (!added.ok) return added;
      if (place.definition.children) this.#grantToCreator(subject, route, index);
    }
    return success();
  }

  /**
   * Owned nodes belong to their creator alone. For others: a creator without Replace on the parent gets Add, Delete and
   * Replace beside what it would inherit (DMTND: ACL of new nodes).
   */
  #grantToCreator(subject: Subject, route: Route, index: number): void {
    const place = route[index];
    const identity = place && this.#identity(place.mount, place.path);
    if (!place || identity === undefined) return;
    if (place.definition.ownedByCreator) {
      this.#properties.setAcl(identity, aclFor(subject.serverId));
      return;
    }
    const inherited = this.#effectiveAcl(route.slice(0, index) as unknown as Route);
    if (grants(inherited, 'Replace', subject.serverId)) return;
    const acl = new Map<AclCommand, ReadonlySet<string>>(inherited);
    for (const command of ['Add', 'Delete', 'Replace'] as const) {
      const servers = acl.get(command) ?? new Set<string>();
      if (!servers.has('*')) acl.set(command, new Set([...servers, subject.serverId]));
    }
    this.#properties.setAcl(identity, formatAcl(acl));
  }

  #readProperty(name: string, route: Route): TreeOutcome<NodeValue> {
    const node = last(route);
    const { definition } = node;
    const text = (data: string): TreeOutcome<NodeValue> => success({ format: 'chr', type: DEFAULT_LEAF_TYPE, data });
    switch (name) {
      case 'ACL':
        return text(this.#ownAcl(node));
      case 'Format':
        return text(definition.format);
      case 'Name':
        return text(nodeName(route));
      case 'Type':
        return text(definition.type ?? (definition.children ? '' : DEFAULT_LEAF_TYPE));
      default:
        return treeFailure('not-supported', `property ${name} is not supported`);
    }
  }

  #replaceProperty(subject: Subject, query: string, route: Route, incoming: IncomingValue): TreeOutcome {
    const property = propertyName(query);
    if (!property.ok) return property;
    const node = last(route);
    if (property.value !== 'ACL') {
      const known = ['Format', 'Name', 'Type'].includes(property.value);
      return known
        ? treeFailure('not-allowed', `property ${property.value} cannot be replaced`)
        : treeFailure('not-supported', `property ${property.value} is not supported`);
    }
    // DMTND: the ACL of an interior node needs Replace on it or on its parent, that of a leaf on its parent.
    const parent = route.length > 1 ? (route.slice(0, -1) as unknown as Route) : route;
    const own = node.definition.children ? this.#denied(subject, 'Replace', route) : undefined;
    const allowed = (node.definition.children && !own) || !this.#denied(subject, 'Replace', parent);
    if (!allowed) return treeFailure('permission-denied', 'the ACL does not grant Replace');
    if (incoming.data === undefined) return treeFailure('incomplete', 'the ACL is missing');
    if (isStored(incoming.data)) throw new Error('a property has no sink');
    const acl = parseAcl(textOfValue(incoming.data).trim());
    if (!acl.ok) return acl;
    if (route.length === 1 && acl.value.size === 0) return treeFailure('bad-value', 'the root must keep an ACL');
    if (node.identity !== undefined) this.#properties.setAcl(node.identity, formatAcl(acl.value));
    return success();
  }

  #existing(uri: string): TreeOutcome<{ route: Route; query: string | undefined }> {
    const parsed = parseNodeUri(uri);
    if (!parsed.ok) return parsed;
    const route = this.#route(parsed.value.segments);
    if (!route || last(route).identity === undefined) return treeFailure('not-found', 'there is no such node');
    return success({ route, query: parsed.value.query });
  }

  /** Undefined when the definitions have no place for the node. */
  #route(segments: readonly string[]): Route | undefined {
    const route: [Place, ...Place[]] = [{ definition: this.#root, mount: undefined, path: [], identity: '.' }];
    for (const segment of segments) {
      const place = this.#step(last(route), segment);
      if (!place) return undefined;
      route.push(place);
    }
    return route;
  }

  /**
   * From a node to its child of that name, whether it exists or only may.
   * @param locating false where the identity is of no interest
   */
  #step(parent: Place, segment: string, locating = true): Place | undefined {
    const definition = childDefinition(parent.definition, segment);
    if (!definition) return undefined;
    const mount = parent.mount ?? this.#mounts.get(definition);
    const starts = parent.mount === undefined && mount !== undefined;
    const path = starts ? [] : [...parent.path, definition.name === undefined ? segment : definition.key];
    const identity = parent.identity === undefined || !locating ? undefined : this.#identity(mount, path);
    return { definition, mount, path, identity };
  }

  #identity(mount: Mount | undefined, path: NodePath): string | undefined {
    if (!mount) return ['.', ...path].join('/');
    const within = mount.provider.locate(path);
    if (within === undefined) return undefined;
    return within === '' ? mount.definition.key : `${mount.definition.key}/${within}`;
  }

  /** Names of the children that the actor may Get (management-objects: one server does not see another's images). */
  #childNames(actor: Actor, route: Route): string[] {
    const node = last(route);
    const names: string[] = [];
    for (const child of node.definition.children ?? []) {
      if (child.name === undefined) names.push(...this.#runTimeNames(node));
      else if (this.#exists(node, child)) names.push(child.name);
    }
    return actor === 'local' ? names : this.#visible(actor, route, names);
  }

  /** There may be thousands: their ACLs are read at once, and each text is judged once. */
  #visible(actor: Subject, route: Route, names: readonly string[]): string[] {
    const node = last(route);
    const stored = node.mount && node.identity !== undefined ? this.#properties.aclsBelow(node.identity) : undefined;
    const verdicts = new Map<string, boolean>([['', true]]);
    return names.filter((name) => {
      const child = this.#step(node, name, stored?.size !== 0);
      const acl = child && this.#ownAcl(child, stored);
      if (acl === undefined) return false;
      const known = verdicts.get(acl);
      if (known !== undefined) return known;
      const parsed = parseAcl(acl);
      const visible = parsed.ok && (parsed.value.size === 0 || grants(parsed.value, 'Get', actor.serverId));
      verdicts.set(acl, visible);
      return visible;
    });
  }

  #exists(parent: Place, child: NodeDefinition): boolean {
    const mount = parent.mount ?? this.#mounts.get(child);
    return this.#identity(mount, parent.mount ? [...parent.path, child.key] : []) !== undefined;
  }

  #runTimeNames(node: Place): string[] {
    const names: string[] = [];
    for (;;) {
      const page = owner(node).children(node.path, names.at(-1), PAGE);
      names.push(...page);
      if (page.length < PAGE) return names;
    }
  }

  #denied(actor: Actor, command: AclCommand, route: Route): TreeOutcome<never> | undefined {
    if (actor === 'local' || grants(this.#effectiveAcl(route), command, actor.serverId)) return undefined;
    return treeFailure('permission-denied', `the ACL does not grant ${command}`);
  }

  /** The nearest ACL that is not empty, from the node up; an own ACL hides the ancestors' entirely. */
  #effectiveAcl(route: Route): Acl {
    for (let index = route.length - 1; index >= 0; index -= 1) {
      const place = route[index];
      const acl = place && parseAcl(this.#ownAcl(place));
      if (acl?.ok && acl.value.size > 0) return acl.value;
    }
    return new Map();
  }

  /** @param stored the stored ACLs, where they are at hand */
  #ownAcl(place: Place, stored?: ReadonlyMap<string, string>): string {
    const own = place.identity === undefined ? undefined : this.#storedAcl(place.identity, stored);
    return own ?? place.mount?.provider.initialAcl?.(place.path) ?? place.definition.acl ?? '';
  }

  #storedAcl(identity: string, stored: ReadonlyMap<string, string> | undefined): string | undefined {
    return stored ? stored.get(identity) : this.#properties.acl(identity);
  }
}

/** The permanent interior nodes above the mounts, made from their places. */
function structure(
  key: string,
  name: string,
  mounts: readonly Mount[],
  index: Map<NodeDefinition, Mount>,
  depth: number,
): NodeDefinition {
  const children: NodeDefinition[] = [];
  const inner = new Map<string, Mount[]>();
  for (const mount of mounts) {
    const head = mount.place[depth];
    if (head === undefined) throw new Error('a management object cannot be mounted at the root');
    const sharesName = (other: Mount): boolean => other !== mount && other.place[depth] === head;
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

function last(route: Route): Place {
  return route[route.length - 1] ?? route[0];
}

function owner(place: Place): Provider {
  if (!place.mount) throw new Error('a node above the mounts has no provider');
  return place.mount.provider;
}

/** A value that a sink holds stages itself. */
function stage(
  kind: 'add' | 'replace',
  place: Place,
  value: LeafValue | StoredValue | undefined,
  by: Subject,
): TreeOutcome {
  const { path } = place;
  if (value !== undefined && isStored(value)) return value.stage(path, by);
  if (kind === 'add') return owner(place).stage({ kind, path, value, by });
  if (value === undefined) throw new Error('a replacement without a value');
  return owner(place).stage({ kind, path, value, by });
}

function nodeName(route: Route): string {
  const node = last(route);
  return node.definition.name ?? node.path.at(-1) ?? '';
}

/** Exists as soon as its parent does. */
function comesAlong({ definition }: Place): boolean {
  return definition.children !== undefined && definition.name !== undefined && definition.occurrence === 'One';
}

function incomingFor(
  definition: NodeDefinition,
  incoming: IncomingValue,
): TreeOutcome<LeafValue | StoredValue | undefined> {
  if (!definition.children) return acceptValue(definition, incoming);
  if (isTnds(incoming)) return treeFailure('bad-format', 'TNDS is not supported');
  if (incoming.format !== undefined && incoming.format !== 'node') {
    return treeFailure('bad-format', 'the node is an interior one: format node');
  }
  return success(undefined);
}

function propertyName(query: string): TreeOutcome<string> {
  const [kind, name = '', ...rest] = query.split('=');
  if (kind === 'list') return treeFailure('not-supported', '?list is not supported');
  if (kind !== 'prop' || rest.length > 0) return treeFailure('bad-uri', 'the query is not ?prop=NAME or ?list=NAME');
  return success(name);
}

function notAllowed(access: Access, place: Place): TreeOutcome<never> {
  return treeFailure('not-allowed', `${place.definition.name ?? 'the node'} does not allow ${access}`);
}
