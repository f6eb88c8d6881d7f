import type { Clock } from '../clock/index.js';
import { success } from '../outcome/index.js';
import { ReadCache, type Store } from '../store/index.js';
import type { Acl } from './acl.js';
import { DEFAULT_LEAF_TYPE, type Access, type Format, type NodeDefinition } from './definition.js';
import { failedAt, treeFailure, type TreeOutcome } from './errors.js';
import { Listings, type Listing } from './listing.js';
import { Properties } from './properties.js';
import { isPropertyName, PropertyAccess, type PropertyName } from './property-access.js';
import type { AnnouncedValue, IncomingValue, LeafValue, NodeValue, StoredValue, Subject } from './provider.js';
import { SubTrees } from './subtree.js';
import { isTnds } from './tnds-read.js';
import { Rights, type Actor } from './rights.js';
import { identityOf, last, owner, parentOf, Routes, type Mount, type Place, type Route } from './route.js';
import { checkName, encodeName, formatNodeUri, parseNodeUri, parseQuery, URI_LIMITS } from './uri.js';
import { LeafSink, MemorySink, openTndsSink, type ValueSink } from './value-sink.js';
import { acceptAnnounced, acceptInterior, acceptValue, isStored, textOfValue } from './values.js';

/** A message asks for some nodes, and the next one asks for them again. */
const URIS_AT_HAND = 64;

/**
 * The management tree: finds the node, checks definition, ACL and format, and hands the operation to the management
 * object that owns it. It must be called inside the transaction of the DM message. Order of checks: URI, existence,
 * AccessType, ACL, data.
 */
export class Tree {
  readonly #routes: Routes;
  readonly #properties: Properties;
  readonly #rights: Rights;
  readonly #access: PropertyAccess;
  readonly #listings: Listings;
  readonly #subTrees: SubTrees;
  /**
   * By URI. Where a node is and who may read it changes with the database alone, its value with other things too; what
   * cannot be read is looked up each time.
   */
  readonly #readable: ReadCache<string, TreeOutcome<Readable>>;

  /** @param clock for the time of changes (TStamp) */
  constructor(
    private readonly store: Store,
    mounts: readonly Mount[],
    clock: Clock,
  ) {
    this.#routes = new Routes(mounts);
    this.#properties = new Properties(store, clock);
    this.#rights = new Rights(this.#properties);
    this.#access = new PropertyAccess(this.#properties, this.#rights);
    this.#subTrees = new SubTrees(this.#routes, this.#rights, this.#access, {
      add: (subject, uri, incoming) => this.add(subject, uri, incoming),
      replace: (subject, uri, incoming) => this.replace(subject, uri, incoming),
      remove: (subject, route) => this.#rights.denied(subject, 'Delete', route) ?? this.#remove(subject, last(route)),
    });
    this.#listings = new Listings(this.#routes, this.#rights, this.#access);
    this.#readable = new ReadCache(() => store.generation, URIS_AT_HAND);
  }

  /** The table that the tree runs on, from its root: for the DDF. */
  get definition(): NodeDefinition {
    return this.#routes.root;
  }

  /** Value of a leaf, names of an interior node's children, or a property (`?prop=`). */
  get(actor: Actor, uri: string): TreeOutcome<NodeValue> {
    const found = this.#readable.get(uri, (own) => this.#toRead(own));
    if (!found.ok) {
      this.#readable.forget(uri);
      return found;
    }
    const { node, property, acl } = found.value;
    const denied = this.#rights.deniedBy(acl, actor, 'Get');
    if (denied) return denied;
    if (property !== undefined) {
      const text = this.#access.read(property, node);
      return text.ok ? success({ format: 'chr', type: DEFAULT_LEAF_TYPE, data: text.value }) : text;
    }
    if (node.definition.children) {
      const data = this.#childNames(actor, node).map(encodeName).join('/');
      return success({ format: 'node', type: DEFAULT_LEAF_TYPE, data });
    }
    const value = owner(node).read(node.path);
    if (!value.ok) return value;
    return success({
      format: node.definition.format,
      type: node.definition.type ?? DEFAULT_LEAF_TYPE,
      data: value.value,
    });
  }

  /**
   * Children of an interior node, a page at a time: those with fixed names first, then the others in name order.
   * @param after name of the last child of the page before
   */
  children(actor: Actor, uri: string, after: string | undefined, limit: number): TreeOutcome<ChildNode[]> {
    const found = this.#routes.existing(uri);
    if (!found.ok) return found;
    const { route, query } = found.value;
    const node = last(route);
    if (query !== undefined || !node.definition.children) return treeFailure('not-allowed', 'a leaf has no children');
    const denied = this.#rights.denied(actor, 'Get', route);
    if (denied) return denied;
    const page: ChildNode[] = [];
    for (const name of this.#routes.childNames(node, after)) {
      const child = this.#routes.step(node, name);
      if (!child || (actor !== 'local' && !this.#rights.childFilter(actor, node).visible(child))) continue;
      page.push({ name, format: child.definition.format });
      if (page.length === limit) break;
    }
    return success(page);
  }

  /**
   * A node with everything below it that the actor may Get (`?list=`).
   * @param maxBytes of the answer, roughly; more is `too-large`
   */
  list(actor: Actor, uri: string, maxBytes: number): TreeOutcome<Listing> {
    const found = this.#routes.existing(uri);
    if (!found.ok) return found;
    const { route, query } = found.value;
    const list = parseQuery(query ?? '');
    if (!list.ok) return list;
    if (list.value.kind !== 'list') return treeFailure('bad-uri', 'the query is not ?list=NAME');
    return this.#rights.denied(actor, 'Get', route) ?? this.#listings.list(actor, route, list.value.name, maxBytes);
  }

  /** Creates a leaf, an interior node or a whole sub-tree (TNDS), and missing interior nodes on the way to it. */
  add(subject: Subject, uri: string, incoming: IncomingValue): TreeOutcome {
    if (isTnds(incoming)) return this.store.tentative(() => this.#subTrees.write(subject, 'Add', uri, incoming));
    const target = this.#addable(subject, uri);
    if (!target.ok) return target;
    const { definition } = target.value;
    const value = definition.children ? acceptInterior(definition, incoming) : acceptValue(definition, incoming);
    return value.ok ? this.#write(subject, target.value, value.value) : value;
  }

  /** A new value for an existing leaf or for a property, or a new sub-tree (TNDS) for an existing one. */
  replace(subject: Subject, uri: string, incoming: IncomingValue): TreeOutcome {
    if (isTnds(incoming)) return this.store.tentative(() => this.#subTrees.write(subject, 'Replace', uri, incoming));
    const target = this.#replaceable(subject, uri);
    if (!target.ok) return target;
    const { definition, property } = target.value;
    // DMTND: a property is plain text, whatever Meta says.
    const value = acceptValue(definition, property ? { ...incoming, format: undefined, type: undefined } : incoming);
    return value.ok ? this.#write(subject, target.value, value.value) : value;
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
    if (isTnds(announced)) return openTndsSink(announced);
    const found = command === 'Add' ? this.#addable(subject, uri) : this.#replaceable(subject, uri);
    if (!found.ok) return found;
    const { definition, route, property } = found.value;
    if (definition.children) return treeFailure('bad-format', 'an interior node has no value');
    const said = property ? { ...announced, format: undefined, type: undefined } : announced;
    const bytes = acceptAnnounced(definition, said);
    if (!bytes.ok) return bytes;
    const node = last(route);
    const own = property ? undefined : owner(node).writeSink?.(node.path, { bytes: bytes.value, by: subject });
    const sink = own ?? success(new MemorySink());
    return sink.ok ? success(new LeafSink(definition, said.format, sink.value)) : sink;
  }

  /** Whether a value at this URI, however short, has to come through `receive`. */
  isStreamed(uri: string): boolean {
    const parsed = parseNodeUri(uri);
    if (!parsed.ok || parsed.value.query !== undefined) return false;
    return this.#routes.definitionAt(parsed.value.segments)?.streamed === true;
  }

  /**
   * Gives a leaf the value of another one; it is made if it is not there. Asks for Get on the source, and what an Add or
   * Replace of the target would ask for; the formats must be the same. An interior node is `forbidden`.
   */
  copy(subject: Subject, source: string, target: string): TreeOutcome {
    const from = this.#routes.existing(source);
    if (!from.ok) return from;
    const original = last(from.value.route);
    if (from.value.query !== undefined) return treeFailure('not-allowed', 'a property cannot be copied');
    if (original.definition.children) return treeFailure('forbidden', 'only leaves can be copied');
    if (!original.definition.access.includes('Copy')) return notAllowed('Copy', original);
    const denied = this.#rights.denied(subject, 'Get', from.value.route);
    if (denied) return denied;
    const to = this.#copyTarget(subject, target);
    if (!to.ok) return to;
    const data = owner(original).read(original.path);
    if (!data.ok) return data;
    const { format } = original.definition;
    const value = acceptValue(to.value.definition, { format, type: undefined, data: data.value });
    if (!value.ok) return value;
    return this.#write(subject, to.value, value.value);
  }

  /** Removes a node and everything below it; rights and AccessType of the descendants are not asked. */
  delete(subject: Subject, uri: string): TreeOutcome {
    const found = this.#routes.existing(uri);
    if (!found.ok) return found;
    const { route, query } = found.value;
    const node = last(route);
    if (query !== undefined) return treeFailure('not-allowed', 'a property cannot be deleted');
    if (node.definition.scope === 'Permanent' || !node.definition.access.includes('Delete')) {
      return notAllowed('Delete', node);
    }
    const denied = this.#rights.denied(subject, 'Delete', route);
    if (denied) return denied;
    return this.store.tentative(() => this.#remove(subject, node));
  }

  /** Starts a node's operation. */
  exec(
    subject: Subject,
    uri: string,
    argument: LeafValue | undefined,
    correlator: string | undefined,
  ): TreeOutcome<'done' | 'accepted'> {
    const found = this.#routes.existing(uri);
    if (!found.ok) return found;
    const { route, query } = found.value;
    const node = last(route);
    if (query !== undefined || !node.definition.access.includes('Exec')) return notAllowed('Exec', node);
    const denied = this.#rights.denied(subject, 'Exec', route);
    if (denied) return denied;
    return this.store.tentative(() => {
      const started = owner(node).exec({ path: node.path, argument, correlator, by: subject });
      if (started.ok) this.#forgetVanished(route);
      return started;
    });
  }

  /** An account is gone: takes its server out of every ACL. */
  forgetServer(serverId: string): void {
    this.store.transaction(() => this.#rights.forgetServer(serverId));
  }

  /** An operation may have removed nodes on the way to it. */
  #forgetVanished(route: Route): void {
    const vanished = route.find(({ mount, path }) => mount && mount.provider.locate(path) === undefined);
    if (vanished?.identity !== undefined) this.#properties.forget(vanished.identity);
  }

  /**
   * Gives a node to its creator again, after its properties were lost.
   * @param names from the root
   */
  giveTo(names: readonly string[], serverId: string): void {
    const route = this.#routes.to(names);
    if (route) this.#rights.grantToCreator({ serverId }, route);
  }

  /**
   * Forgets the properties of a node that its owner removes by itself, outside a session. Called while it is still there.
   * @param names from the root
   */
  forgetNode(names: readonly string[]): void {
    const route = this.#routes.to(names);
    const identity = route && last(route).identity;
    if (identity !== undefined) this.#properties.forget(identity);
  }

  /** What a Get is about, before anybody asks for it. */
  #toRead(uri: string): TreeOutcome<Readable> {
    const found = this.#routes.existing(uri);
    if (!found.ok) return found;
    const { route, query } = found.value;
    const node = last(route);
    const property = query === undefined ? success(undefined) : propertyOf(query);
    if (!property.ok) return property;
    if (property.value === undefined && !node.definition.access.includes('Get')) return notAllowed('Get', node);
    return success({ node, property: property.value, acl: this.#rights.effective(route) });
  }

  /** What can be said of an Add without its value. */
  #addable(subject: Subject, uri: string): TreeOutcome<Target> {
    const parsed = parseNodeUri(uri);
    if (!parsed.ok) return parsed;
    if (parsed.value.query !== undefined) return treeFailure('not-allowed', 'a property cannot be added');
    const route = this.#routes.to(parsed.value.segments);
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
    if (fixed) return failedAt(uriOf(route, fixed), notAllowed('Add', fixed));
    const denied = this.#rights.denied(subject, 'Add', existing);
    return denied ?? success({ route, from: existing.length, definition: node.definition, property: undefined });
  }

  /** What can be said of a Replace without its value. */
  #replaceable(subject: Subject, uri: string): TreeOutcome<Target> {
    const found = this.#routes.existing(uri);
    if (!found.ok) return found;
    const { route, query } = found.value;
    const { definition } = last(route);
    if (query === undefined) {
      if (definition.children || !definition.access.includes('Replace')) return notAllowed('Replace', last(route));
      return (
        this.#rights.denied(subject, 'Replace', route) ??
        success({ route, from: route.length, definition, property: undefined })
      );
    }
    const property = propertyOf(query);
    if (!property.ok) return property;
    const settable = this.#access.settable(subject, property.value, route);
    return settable.ok
      ? success({ route, from: route.length, definition: settable.value, property: property.value })
      : settable;
  }

  #copyTarget(subject: Subject, uri: string): TreeOutcome<Target> {
    const parsed = parseNodeUri(uri);
    if (!parsed.ok) return parsed;
    if (parsed.value.query !== undefined) return treeFailure('not-allowed', 'a property cannot be copied to');
    const route = this.#routes.to(parsed.value.segments);
    if (route && last(route).definition.children) return treeFailure('forbidden', 'only leaves can be copied');
    const exists = route !== undefined && last(route).identity !== undefined;
    return exists ? this.#replaceable(subject, uri) : this.#addable(subject, uri);
  }

  /** Makes the node, or gives it, or its property, another value. */
  #write(subject: Subject, target: Target, value: LeafValue | StoredValue | undefined): TreeOutcome {
    const { route, from, property } = target;
    const node = last(route);
    return this.store.tentative(() => {
      if (from < route.length) return this.#create(subject, route, from, value);
      if (value === undefined) throw new Error('a replacement without a value');
      const replaced = property
        ? this.#setProperty(subject, property, route, asText(value))
        : stage('replace', node, value, subject);
      if (replaced.ok) this.#countChange(node);
      return replaced;
    });
  }

  #setProperty(subject: Subject, name: PropertyName, route: Route, text: string): TreeOutcome {
    if (name === 'ACL') return this.#access.setAcl(route, text);
    return name === 'Title' ? this.#access.setTitle(route, text) : this.#rename(subject, route, text);
  }

  /** Properties and everything below move along, because they belong to the identity. */
  #rename(subject: Subject, route: Route, name: string): TreeOutcome {
    const node = last(route);
    const valid = checkName(name);
    if (!valid.ok) return valid;
    const uri = formatNodeUri([
      ...parentOf(route)
        .slice(1)
        .map((place) => place.name),
      name,
    ]);
    if (uri.length > URI_LIMITS.maxTotalLength) return treeFailure('uri-too-long', 'the URI would be too long');
    const holder = this.#routes.step(last(parentOf(route)), name);
    if (holder?.identity === node.identity) return success();
    if (holder?.definition !== node.definition || holder.identity !== undefined) {
      return treeFailure('already-exists', 'another node has this name');
    }
    return owner(node).rename?.(node.path, name, subject) ?? notAllowed('Replace', node);
  }

  #create(subject: Subject, route: Route, from: number, value: LeafValue | StoredValue | undefined): TreeOutcome {
    for (const [index, place] of route.entries()) {
      // A parent may have brought this node along as one of its defaults.
      if (index < from || owner(place).locate(place.path) !== undefined) continue;
      const added = stage('add', place, index === route.length - 1 ? value : undefined, subject);
      if (!added.ok) return failedAt(uriOf(route, place), added);
      if (place.definition.children)
        this.#rights.grantToCreator(subject, route.slice(0, index + 1) as unknown as Route);
      this.#countChange(place);
    }
    return success();
  }

  #remove(subject: Subject, node: Place): TreeOutcome {
    const deleted = owner(node).stage({ kind: 'delete', path: node.path, by: subject });
    if (deleted.ok && node.identity !== undefined) this.#properties.forget(node.identity);
    return deleted;
  }

  #countChange(place: Place): void {
    if (!place.definition.versioned) return;
    // One that was just made has an identity now; one that was renamed is no longer where it was.
    const identity = place.identity ?? identityOf(place.mount, place.path);
    if (identity !== undefined) this.#properties.countChange(identity);
  }

  /** Names of the children that the actor may Get (management-objects: one server does not see another's images). */
  #childNames(actor: Actor, node: Place): string[] {
    const names = [...this.#routes.childNames(node)];
    if (actor === 'local') return names;
    const { locates, visible } = this.#rights.childFilter(actor, node);
    return names.filter((name) => {
      const child = this.#routes.step(node, name, locates);
      return child !== undefined && visible(child);
    });
  }
}

/** A node as its parent lists it. */
export interface ChildNode {
  readonly name: string;
  readonly format: Format;
}

/** What a Get is about: a node, or a property of one. */
interface Readable {
  readonly node: Place;
  readonly property: PropertyName | undefined;
  readonly acl: Acl;
}

/** What an Add or Replace is about: a node, or a property of one. */
interface Target {
  readonly route: Route;
  /** Place in the route of the first node that is missing. */
  readonly from: number;
  /** What the value must fit. */
  readonly definition: NodeDefinition;
  readonly property: PropertyName | undefined;
}

/** URI of a node on the way. */
function uriOf(route: Route, place: Place): string {
  return formatNodeUri(route.slice(1, route.indexOf(place) + 1).map(({ name }) => name));
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

/** Properties have no sinks. */
function asText(value: LeafValue | StoredValue): string {
  if (isStored(value)) throw new Error('a sink took the value of a property');
  return textOfValue(value);
}

/** Exists as soon as its parent does. */
function comesAlong({ definition }: Place): boolean {
  return definition.children !== undefined && definition.name !== undefined && definition.occurrence === 'One';
}

function propertyOf(query: string): TreeOutcome<PropertyName> {
  const parsed = parseQuery(query);
  if (!parsed.ok) return parsed;
  const { kind, name } = parsed.value;
  if (kind === 'list') return treeFailure('not-supported', 'a list can only be read');
  return isPropertyName(name) ? success(name) : treeFailure('not-supported', `there is no property ${name}`);
}

function notAllowed(access: Access, place: Place): TreeOutcome<never> {
  return treeFailure('not-allowed', `${place.name} does not allow ${access}`);
}
