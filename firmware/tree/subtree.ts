import { success } from '../outcome/index.js';
import { failedAt, treeFailure, type TreeOutcome } from './errors.js';
import type { PropertyAccess } from './property-access.js';
import type { IncomingValue, LeafValue, Subject } from './provider.js';
import type { Rights } from './rights.js';
import { last, owner, type Place, type Route, type Routes } from './route.js';
import { readTnds, type SubTree } from './tnds-read.js';
import { formatNodeUri, parseNodeUri } from './uri.js';
import { isStored } from './values.js';

/** What a sub-tree is made of: the commands for single nodes, each with all its checks. */
export interface NodeCommands {
  add(subject: Subject, uri: string, incoming: IncomingValue): TreeOutcome;
  replace(subject: Subject, uri: string, incoming: IncomingValue): TreeOutcome;
  /** Removes a node that a new sub-tree does not have any more. */
  remove(subject: Subject, route: Route): TreeOutcome;
}

/**
 * Makes and replaces whole sub-trees (facts 8: TNDS) by the commands for single nodes, so that each node asks for the
 * rights and the AccessType that it would ask for alone. The caller makes it all or nothing.
 */
export class SubTrees {
  constructor(
    private readonly routes: Routes,
    private readonly rights: Rights,
    private readonly access: PropertyAccess,
    private readonly commands: NodeCommands,
  ) {}

  /**
   * Does what an Add or a Replace with a TNDS document says.
   * @param uri the Target of the command: what the document calls its nodes begins there
   */
  write(subject: Subject, command: 'Add' | 'Replace', uri: string, incoming: IncomingValue): TreeOutcome {
    const target = parseNodeUri(uri);
    if (!target.ok) return target;
    const { segments, query } = target.value;
    if (query !== undefined) return treeFailure('not-allowed', 'a property is no sub-tree');
    if (incoming.data === undefined) return treeFailure('incomplete', 'the sub-tree is missing');
    if (isStored(incoming.data)) throw new Error('a sink took a sub-tree');
    const trees = readTnds(incoming.type, incoming.data, segments.at(-1) ?? '.');
    if (!trees.ok) return trees;
    for (const tree of trees.value) {
      const names = [...segments, ...tree.path];
      const written = command === 'Add' ? this.#add(subject, names, tree) : this.#replace(subject, names, tree);
      if (!written.ok) return written;
    }
    return success();
  }

  /**
   * Makes the node and everything below it. What a node brings along when it is made (read-only leaves) may stand in the
   * document with just the value that it has.
   * @param names from the root to the node, which is not there yet
   */
  #add(subject: Subject, names: readonly string[], tree: SubTree): TreeOutcome {
    const uri = formatNodeUri(names);
    const { format, type, value } = tree;
    const added = this.commands.add(subject, uri, { format, type, data: value });
    return added.ok ? this.#merge(subject, names, tree, true) : failedAt(uri, added);
  }

  /**
   * Makes the node what the document says of it and of everything below it: nodes that are missing in the document go,
   * except those that always stay (permanent ones, and those that exist with their parent); others come.
   * @param names from the root to the node, which must be there
   */
  #replace(subject: Subject, names: readonly string[], tree: SubTree): TreeOutcome {
    const found = this.routes.existing(formatNodeUri(names));
    if (!found.ok) return found;
    const denied = this.rights.denied(subject, 'Replace', found.value.route);
    if (denied) return denied;
    const pruned = this.#prune(subject, names, tree);
    return pruned.ok ? this.#merge(subject, names, tree, false) : pruned;
  }

  #prune(subject: Subject, names: readonly string[], tree: SubTree): TreeOutcome {
    const route = this.routes.to(names);
    if (!route) return success();
    for (const name of [...this.routes.childNames(last(route))]) {
      const place = this.routes.step(last(route), name);
      if (!place) continue;
      const innerNames = [...names, name];
      const wanted = tree.children.find(({ path }) => path[0] === name);
      const done =
        wanted || !isRemovable(place)
          ? this.#prune(subject, innerNames, wanted ?? NOTHING_BELOW)
          : failedAt(formatNodeUri(innerNames), this.commands.remove(subject, [...route, place]));
      if (!done.ok) return done;
    }
    return success();
  }

  /** Values first, then titles, then ACLs from the bottom up: an ACL may take away what the others need. */
  #merge(subject: Subject, names: readonly string[], tree: SubTree, isNew: boolean): TreeOutcome {
    const uri = formatNodeUri(names);
    const found = this.routes.existing(uri);
    if (!found.ok) return failedAt(uri, found);
    const node = last(found.value.route);
    const valued = isNew ? success() : this.#setValue(subject, uri, node, tree);
    if (!valued.ok) return failedAt(uri, valued);
    for (const inner of tree.children) {
      const innerNames = [...names, ...inner.path];
      const exists = this.routes.existing(formatNodeUri(innerNames)).ok;
      const done = exists ? this.#merge(subject, innerNames, inner, false) : this.#add(subject, innerNames, inner);
      if (!done.ok) return done;
    }
    const titled = this.#setProperty(subject, uri, node, 'Title', tree.title);
    return titled.ok ? this.#setProperty(subject, uri, node, 'ACL', tree.acl) : titled;
  }

  #setValue(subject: Subject, uri: string, node: Place, { format, type, value }: SubTree): TreeOutcome {
    if (value === undefined || has(node, value)) return success();
    return this.commands.replace(subject, uri, { format, type, data: value });
  }

  /** Asks for no right where nothing changes. */
  #setProperty(
    subject: Subject,
    uri: string,
    node: Place,
    property: 'ACL' | 'Title',
    data: string | undefined,
  ): TreeOutcome {
    const now = this.access.read(property, node);
    if (data === undefined || (now.ok && now.value === data)) return success();
    const incoming = { format: undefined, type: undefined, data };
    return failedAt(uri, this.commands.replace(subject, `${uri}?prop=${property}`, incoming));
  }
}

const NOTHING_BELOW: SubTree = {
  path: [],
  format: undefined,
  type: undefined,
  acl: undefined,
  title: undefined,
  value: undefined,
  children: [],
};

/** Optional leaves go although nobody may delete them alone: their record would stay without them. */
function isRemovable({ definition }: Place): boolean {
  if (definition.scope === 'Permanent' || definition.occurrence === 'One') return false;
  return definition.access.includes('Delete') || (!definition.children && definition.access.includes('Add'));
}

/** Whether the leaf has this value already; a leaf that cannot be read may have any. */
function has(node: Place, value: LeafValue): boolean {
  if (!node.definition.access.includes('Get')) return false;
  const now = owner(node).read(node.path);
  if (!now.ok) return false;
  return textForm(now.value) === textForm(value);
}

/** Octets as a document has them. */
function textForm(value: LeafValue): string {
  return typeof value === 'string' ? value : Buffer.from(value).toString('base64');
}
