import { success } from '../outcome/index.js';
import { treeFailure, type TreeOutcome } from './errors.js';

/** Commands that an ACL grants (DMTND: ACL property). */
export type AclCommand = 'Add' | 'Delete' | 'Exec' | 'Get' | 'Replace';

const COMMANDS: readonly AclCommand[] = ['Add', 'Delete', 'Exec', 'Get', 'Replace'];

/** For each command the servers that may; `*` is every authenticated server. */
export type Acl = ReadonlyMap<AclCommand, ReadonlySet<string>>;

/** Longest ACL text, in characters. */
const MAX_ACL_LENGTH = 2048;

/** Parses `Add=*&Get=A+B`. An empty text is an empty ACL. Fails with `bad-value`. */
export function parseAcl(text: string): TreeOutcome<Acl> {
  const acl = new Map<AclCommand, ReadonlySet<string>>();
  if (text.length > MAX_ACL_LENGTH) return treeFailure('too-large', 'the ACL is too long');
  if (text === '') return success(acl);
  for (const entry of text.split('&')) {
    const [name = '', list, ...rest] = entry.split('=');
    const command = COMMANDS.find((c) => c === name);
    if (!command || list === undefined || rest.length > 0 || acl.has(command)) return badAcl(entry);
    const servers = list.split('+');
    if (servers.some((id) => id === '' || /\s/.test(id) || (id.includes('*') && list !== '*'))) return badAcl(entry);
    acl.set(command, new Set(servers));
  }
  return success(acl);
}

/** The text form, commands in alphabetical order. */
export function formatAcl(acl: Acl): string {
  return COMMANDS.flatMap((command) => {
    const servers = acl.get(command);
    return servers ? [`${command}=${[...servers].join('+')}`] : [];
  }).join('&');
}

/** An ACL that grants `commands` to one server. */
export function aclFor(serverId: string, commands: readonly AclCommand[] = COMMANDS): string {
  return formatAcl(new Map(commands.map((command) => [command, new Set([serverId])])));
}

/** The ACL without a server; entries that are left empty vanish (DMTND: a DM account is removed). */
export function withoutServer(acl: Acl, serverId: string): Acl {
  const entries = [...acl].map(([command, servers]) => {
    return [command, new Set([...servers].filter((id) => id !== serverId))] as const;
  });
  return new Map(entries.filter(([, servers]) => servers.size > 0));
}

export function grants(acl: Acl, command: AclCommand, serverId: string): boolean {
  const servers = acl.get(command);
  return servers !== undefined && (servers.has('*') || servers.has(serverId));
}

function badAcl(entry: string): TreeOutcome<never> {
  return treeFailure('bad-value', `'${entry}' is not an ACL entry such as Get=*, or names a command twice`);
}
