import type { Account, AccountField, Accounts } from '../dm/index.js';
import { success } from '../outcome/index.js';
import {
  aclFor,
  treeFailure,
  type LeafValue,
  type Mount,
  type NodeDefinition,
  type NodePath,
  type Operation,
  type Provider,
  type TreeOutcome,
} from '../tree/index.js';
import { Definer, unversioned } from './define.js';
import type { Names } from './names.js';

/** AAuthType of each scheme (DMSTDOBJ). */
const AUTH_TYPE = { basic: 'BASIC', md5: 'DIGEST', mac: 'HMAC', none: 'TRANSPORT' } as const;

interface AccountLeaf {
  readonly read?: (account: Account) => LeafValue;
  readonly field?: AccountField;
}

/**
 * Leaves below `./DMAcc/<x>` by path: how each is read (absent: no Get) and which field of the account it changes.
 * The run-time names below AppAddr, Port and AppAuth are fixed by the gateway: `1`, and `1` for the client's, `2` for
 * the server's credentials.
 */
const LEAVES: Readonly<Record<string, AccountLeaf>> = {
  AppID: { read: () => 'w7' },
  ServerID: { read: (account) => account.serverId },
  Name: { read: (account) => account.name, field: 'name' },
  AAuthPref: { read: (account) => AUTH_TYPE[account.client.scheme] },
  'AppAddr/1/Addr': { read: (account) => account.url, field: 'url' },
  'AppAddr/1/AddrType': { read: () => 'URI' },
  'AppAuth/1/AAuthLevel': { read: () => 'CLCRED' },
  'AppAuth/1/AAuthType': { read: (account) => AUTH_TYPE[account.client.scheme] },
  'AppAuth/1/AAuthName': { read: (account) => account.client.name, field: 'clientName' },
  'AppAuth/1/AAuthSecret': { field: 'clientSecret' },
  'AppAuth/2/AAuthLevel': { read: () => 'SRVCRED' },
  'AppAuth/2/AAuthType': { read: (account) => AUTH_TYPE[account.server.scheme] },
  'AppAuth/2/AAuthName': { read: (account) => account.server.name, field: 'serverName' },
  'AppAuth/2/AAuthSecret': { field: 'serverSecret' },
};

/** The nodes of the object, for the tree and for the description of the device. */
export function dmAccountDefinition(names: Names): NodeDefinition {
  const define = new Definer('DMAcc', names);
  // The configuration may change what a server has set.
  return unversioned(
    define.root('Accounts of DM Servers', [
      define.many('G', 'One DM Server', [
        define.leaf('AppID', 'chr', 'G', 'Application: w7 for OMA DM'),
        define.leaf('ServerID', 'chr', 'G', 'Identifier of the server'),
        define.leaf('Name', 'chr', 'GR', 'Name for people', { maxBytes: 255 }),
        define.leaf('AAuthPref', 'chr', 'G', 'Preferred authentication'),
        define.interior('AppAddr', 'G', 'Addresses of the server', [
          define.many('G', 'One address', [
            define.leaf('Addr', 'chr', 'GR', 'URL of the server', { maxBytes: 255 }),
            define.leaf('AddrType', 'chr', 'G', 'Kind of address'),
          ]),
        ]),
        define.interior('AppAuth', 'G', 'Credentials', [
          define.many('G', 'Credentials of one direction', [
            define.leaf('AAuthLevel', 'chr', 'G', 'CLCRED: client to server, SRVCRED: server to client'),
            define.leaf('AAuthType', 'chr', 'G', 'Kind of authentication'),
            define.leaf('AAuthName', 'chr', 'GR', 'User name', { maxBytes: 255 }),
            define.leaf('AAuthSecret', 'chr', 'R', 'Secret; used from the next session on', { maxBytes: 255 }),
          ]),
        ]),
      ]),
    ]),
  );
}

/** ./DMAcc: one account per DM Server; a server sees and changes its own only. Secrets cannot be read. */
export function dmAccounts(
  names: Names,
  accounts: Accounts,
  acceptsUrl: (serverId: string, url: string) => boolean,
): Mount {
  return {
    place: names.place('DMAcc'),
    definition: dmAccountDefinition(names),
    provider: new AccountProvider(accounts, acceptsUrl),
  };
}

class AccountProvider implements Provider {
  constructor(
    private readonly accounts: Accounts,
    private readonly acceptsUrl: (serverId: string, url: string) => boolean,
  ) {}

  locate(path: NodePath): string | undefined {
    const [name, ...rest] = path;
    if (name === undefined) return '';
    const account = this.accounts.byServerId(name);
    const within = rest.join('/');
    const exists =
      within === '' || Object.keys(LEAVES).some((leaf) => leaf === within || leaf.startsWith(`${within}/`));
    return account && exists ? [account.id, ...rest].join('/') : undefined;
  }

  children(path: NodePath, after: string | undefined, limit: number): readonly string[] {
    const names =
      path.length === 0
        ? this.accounts.list().map((account) => account.serverId)
        : [...new Set(Object.keys(LEAVES).flatMap((leaf) => childName(leaf, path.slice(1))))];
    return names
      .sort()
      .filter((name) => after === undefined || name > after)
      .slice(0, limit);
  }

  read(path: NodePath): TreeOutcome<LeafValue> {
    const [name = '', ...rest] = path;
    const account = this.accounts.byServerId(name);
    const read = LEAVES[rest.join('/')]?.read;
    return account && read ? success(read(account)) : treeFailure('not-found', 'there is no such node');
  }

  stage(operation: Operation): TreeOutcome {
    const [serverId = '', ...rest] = operation.path;
    const field = LEAVES[rest.join('/')]?.field;
    if (operation.kind !== 'replace' || !field)
      return treeFailure('not-allowed', 'accounts come from the configuration');
    const value = String(operation.value);
    if (field === 'url' && !this.acceptsUrl(serverId, value)) {
      return treeFailure('bad-value', 'the address is not a URL that the configuration allows for an account');
    }
    this.accounts.set(serverId, field, value);
    return success();
  }

  exec(): TreeOutcome<never> {
    return treeFailure('not-allowed', 'an account has no operations');
  }

  /** Management-objects: a server reads and replaces its own account. */
  initialAcl(path: NodePath): string | undefined {
    const [serverId, ...rest] = path;
    return serverId !== undefined && rest.length === 0 ? aclFor(serverId, ['Get', 'Replace']) : undefined;
  }
}

/** The segment of `leaf` just below `parent`, if it stands there. */
function childName(leaf: string, parent: NodePath): string[] {
  const names = leaf.split('/');
  const below = parent.every((name, index) => names[index] === name);
  const next = names[parent.length];
  return below && next !== undefined ? [next] : [];
}
