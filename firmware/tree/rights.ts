import { aclFor, formatAcl, grants, parseAcl, withoutServer, type Acl, type AclCommand } from './acl.js';
import { treeFailure, type TreeOutcome } from './errors.js';
import type { Properties } from './properties.js';
import type { Subject } from './provider.js';
import { identityOf, last, parentOf, type Place, type Route } from './route.js';

/** A DM Server in its session, or the gateway's own code, which no ACL binds. */
export type Actor = Subject | 'local';

/** A tree has few different ACLs, which are asked for again with every node; there are a few for each server. */
const PARSED_AT_HAND = 32;

/** What the ACLs of the nodes allow (DMTND: ACL property). */
export class Rights {
  /** By their text; once there are so many, all are forgotten. */
  readonly #parsed = new Map<string, TreeOutcome<Acl>>();

  constructor(private readonly properties: Properties) {}

  /** Why the actor may not, or undefined when it may. */
  denied(actor: Actor, command: AclCommand, route: Route): TreeOutcome<never> | undefined {
    return actor === 'local' ? undefined : this.deniedBy(this.effective(route), actor, command);
  }

  /** The same, for a node with this ACL in effect. */
  deniedBy(acl: Acl, actor: Actor, command: AclCommand): TreeOutcome<never> | undefined {
    if (actor === 'local' || grants(acl, command, actor.serverId)) return undefined;
    return treeFailure('permission-denied', `the ACL does not grant ${command}`);
  }

  /** DMTND: the ACL of an interior node needs Replace on it or on its parent, that of a leaf on its parent. */
  deniedAclChange(actor: Actor, route: Route): TreeOutcome<never> | undefined {
    const own = last(route).definition.children !== undefined && !this.denied(actor, 'Replace', route);
    return own ? undefined : this.denied(actor, 'Replace', parentOf(route));
  }

  /** The nearest ACL that is not empty, from the node up; an own ACL hides the ancestors' entirely. */
  effective(route: Route): Acl {
    for (let index = route.length - 1; index >= 0; index -= 1) {
      const place = route[index];
      const text = place ? this.own(place) : '';
      const acl = text === '' ? undefined : this.#parse(text);
      if (acl?.ok && acl.value.size > 0) return acl.value;
    }
    return new Map();
  }

  /** The node's own ACL as text, empty where it inherits. @param stored the stored ACLs, where they are at hand */
  own(place: Place, stored?: ReadonlyMap<string, string>): string {
    const { identity } = place;
    const own = identity === undefined ? undefined : stored ? stored.get(identity) : this.properties.acl(identity);
    return own ?? place.mount?.provider.initialAcl?.(place.path) ?? place.definition.acl ?? '';
  }

  /**
   * A judge of the children of a node that the actor may Get: may it Get the child too? There may be thousands: their
   * ACLs are read at once, and each text is judged once.
   */
  childFilter(actor: Subject, node: Place): { readonly locates: boolean; readonly visible: (child: Place) => boolean } {
    const stored = node.mount && node.identity !== undefined ? this.properties.aclsBelow(node.identity) : undefined;
    const verdicts = new Map<string, boolean>([['', true]]);
    const visible = (child: Place): boolean => {
      const acl = this.own(child, stored);
      const known = verdicts.get(acl);
      if (known !== undefined) return known;
      const parsed = parseAcl(acl);
      const verdict = parsed.ok && (parsed.value.size === 0 || grants(parsed.value, 'Get', actor.serverId));
      verdicts.set(acl, verdict);
      return verdict;
    };
    return { locates: stored?.size !== 0, visible };
  }

  /**
   * Owned nodes belong to their creator alone. For others: a creator without Replace on the parent gets Add, Delete and
   * Replace beside what it would inherit (DMTND: ACL of new nodes).
   */
  grantToCreator(subject: Subject, route: Route): void {
    const place = last(route);
    const identity = identityOf(place.mount, place.path);
    if (identity === undefined) return;
    if (place.definition.ownedByCreator) {
      this.properties.setAcl(identity, aclFor(subject.serverId));
      return;
    }
    const inherited = this.effective(parentOf(route));
    if (grants(inherited, 'Replace', subject.serverId)) return;
    const acl = new Map<AclCommand, ReadonlySet<string>>(inherited);
    for (const command of ['Add', 'Delete', 'Replace'] as const) {
      const servers = acl.get(command) ?? new Set<string>();
      if (!servers.has('*')) acl.set(command, new Set([...servers, subject.serverId]));
    }
    this.properties.setAcl(identity, formatAcl(acl));
  }

  #parse(text: string): TreeOutcome<Acl> {
    const known = this.#parsed.get(text);
    if (known) return known;
    if (this.#parsed.size >= PARSED_AT_HAND) this.#parsed.clear();
    const parsed = parseAcl(text);
    this.#parsed.set(text, parsed);
    return parsed;
  }

  /** Takes a server out of every ACL. What the root would lose, it grants to all (DMTND: a DM account is removed). */
  forgetServer(serverId: string): void {
    for (const { identity, acl } of this.properties.allAcls()) {
      const before = parseAcl(acl);
      if (!before.ok || ![...before.value.values()].some((servers) => servers.has(serverId))) continue;
      const after = new Map(withoutServer(before.value, serverId));
      if (identity === '.') {
        for (const command of before.value.keys()) if (!after.has(command)) after.set(command, new Set(['*']));
      }
      this.properties.setAcl(identity, formatAcl(after));
    }
  }
}
