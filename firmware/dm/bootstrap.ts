import { child, parseWbxml, parseXml, type DocumentLimits, type Element } from '../codec/index.js';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { readTnds, type LeafValue, type SubTree } from '../tree/index.js';
import { decodeItems, decodeMeta } from './syncml.js';

export type BootstrapErrorCode = 'syntax' | 'bad-value';

/** How one side proves itself, as the configuration has it. */
interface Credential {
  readonly scheme: string;
  readonly name?: string;
  readonly secret?: string;
  readonly nonce?: string;
}

/** An account as the configuration has it; what it does not say is left to the configuration. */
export interface BootstrapAccount {
  readonly serverId: string;
  readonly name?: string;
  readonly url?: string;
  readonly client?: Credential;
  readonly server?: Credential;
}

const LIMITS: DocumentLimits = { maxBytes: 256 * 1024, maxDepth: 64, maxElements: 20_000 };

/** AAuthType (DMSTDOBJ) of each scheme; others are not spoken. */
const SCHEMES: Readonly<Record<string, string>> = { BASIC: 'basic', DIGEST: 'md5', HMAC: 'mac', TRANSPORT: 'none' };

/** AAuthLevel of each side. */
const LEVELS = { client: 'CLCRED', server: 'SRVCRED' } as const;

/** What a message calls a sub-tree. */
const TNDS_TYPE = /^\s*application\/vnd\.syncml\.dmtnds\+/i;

/** Whether something is XML or WBXML, and so may be a bootstrap document. */
export function isBootstrap(octets: Uint8Array): boolean {
  return isWbxml(octets) || /^(?:\u00ef\u00bb\u00bf)?\s*</.test(Buffer.from(octets.subarray(0, 64)).toString('latin1'));
}

/**
 * Reads the accounts of a bootstrap document in the OMA DM profile: a DM message that adds sub-trees to ./Inbox, or such
 * a sub-tree (TNDS) alone, in XML or WBXML; each DMAcc in it is an account (DMBOOT §5, DMSTDOBJ §5.3). Who hands it over
 * is trusted: a MAC that came with it is not looked at.
 */
export function readBootstrap(
  octets: Uint8Array,
): Outcome<readonly BootstrapAccount[], CodedError<BootstrapErrorCode>> {
  const parsed = isWbxml(octets) ? parseWbxml(octets, LIMITS) : parseXml(octets, LIMITS);
  if (!parsed.ok) return failure('syntax', `no bootstrap document: ${parsed.error.text}`);
  const root = parsed.value;
  const isMessage = root.name === 'SyncML';
  const items = isMessage
    ? addedItems((child(root, 'SyncBody') ?? root).children)
    : [{ data: octets, type: undefined }];
  const accounts: BootstrapAccount[] = [];
  let skipped: string | undefined;
  for (const { data, type } of items) {
    if (type !== undefined && !TNDS_TYPE.test(type)) continue;
    const nodes = readSubTrees(data);
    if (!nodes.ok) {
      if (!isMessage || type !== undefined) return failure('bad-value', nodes.error.text);
      skipped ??= nodes.error.text;
      continue;
    }
    for (const node of nodes.value.flatMap(accountsBelow)) {
      const account = accountOf(node);
      if (!account.ok) return account;
      accounts.push(account.value);
    }
  }
  return accounts.length > 0 ? success(accounts) : failure('bad-value', skipped ?? 'no DM account (DMAcc) in it');
}

/** WBXML begins with its version: 1.1, 1.2 or 1.3. */
function isWbxml([version = 0]: Uint8Array): boolean {
  return version >= 1 && version <= 3;
}

interface AddedItem {
  readonly data: LeafValue;
  /** Undefined: the message does not say. */
  readonly type: string | undefined;
}

/** What a message adds, whatever the Target: it says where to, and the gateway where accounts are. */
function addedItems(commands: readonly Element[]): AddedItem[] {
  return commands.flatMap((command) => {
    if (command.name === 'Atomic' || command.name === 'Sequence') return addedItems(command.children);
    if (command.name !== 'Add') return [];
    const type = decodeMeta(command)?.type;
    return decodeItems(command).map(({ data = '', meta }) => ({ data, type: meta?.type ?? type }));
  });
}

/** Whether it is text or octets, and those as they are or in base64, the document says itself. */
function readSubTrees(data: LeafValue): ReturnType<typeof readTnds> {
  const document = typeof data === 'string' && !/^\s*</.test(data) ? Buffer.from(data, 'base64') : data;
  const kind = typeof document !== 'string' && isWbxml(document) ? 'wbxml' : 'xml';
  return readTnds(`application/vnd.syncml.dmtnds+${kind}`, document, '');
}

function accountsBelow(node: SubTree): SubTree[] {
  return textAt(node, 'AppID') === 'w7' ? [node] : node.children.flatMap(accountsBelow);
}

function accountOf(node: SubTree): Outcome<BootstrapAccount, CodedError<BootstrapErrorCode>> {
  const serverId = textAt(node, 'ServerID');
  if (serverId === undefined) return failure('bad-value', 'a DM account has no ServerID');
  const name = textAt(node, 'Name');
  const url = urlOf(node);
  const [client, server] = [credentialOf(node, 'client'), credentialOf(node, 'server')];
  if (!url.ok) return url;
  if (!client.ok) return client;
  if (!server.ok) return server;
  return success({
    serverId,
    ...(name !== undefined && { name }),
    ...(url.value !== undefined && { url: url.value }),
    ...(client.value && { client: client.value }),
    ...(server.value && { server: server.value }),
  });
}

/** Scheme and authority of a URL that says its port: URL leaves out one that is the scheme's own. */
const WITH_PORT = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*:\d+(?=[/?#]|$)/i;

/** The first address, with its port where the URL has none. */
function urlOf(node: SubTree): Outcome<string | undefined, CodedError<BootstrapErrorCode>> {
  const [address] = inner(node, 'AppAddr');
  const text = address && textAt(address, 'Addr');
  const [port] = address ? inner(address, 'Port') : [];
  const number = port && textAt(port, 'PortNbr');
  if (text === undefined || number === undefined) return success(text);
  if (!/^\d{1,5}$/.test(number) || Number(number) < 1 || Number(number) > 65_535)
    return failure('bad-value', `PortNbr is ${number.slice(0, 20)}; expected 1 to 65535`);
  if (WITH_PORT.test(text) || !URL.canParse(text)) return success(text);
  const url = new URL(text);
  url.port = number;
  return success(url.href);
}

/** Of several that a side has, the preferred one, else the first that is spoken here. */
function credentialOf(
  node: SubTree,
  side: keyof typeof LEVELS,
): Outcome<Credential | undefined, CodedError<BootstrapErrorCode>> {
  const all = inner(node, 'AppAuth').filter((auth) => textAt(auth, 'AAuthLevel') === LEVELS[side]);
  if (all.length === 0) return success(undefined);
  const spoken = all.filter((auth) => schemeOf(auth) !== undefined);
  const preferred = textAt(node, 'AAuthPref');
  const chosen = spoken.find((auth) => textAt(auth, 'AAuthType') === preferred) ?? spoken[0];
  const scheme = chosen && schemeOf(chosen);
  if (!chosen || scheme === undefined) {
    const types = all.map((auth) => textAt(auth, 'AAuthType') ?? 'none').join(', ');
    return failure(
      'bad-value',
      `AAuthType of ${LEVELS[side]} is ${types}; expected ${Object.keys(SCHEMES).join(', ')}`,
    );
  }
  const [name, secret] = [textAt(chosen, 'AAuthName'), textAt(chosen, 'AAuthSecret')];
  const data = chosen.children.find(({ path }) => path[0] === 'AAuthData')?.value;
  return success({
    scheme,
    ...(name !== undefined && { name }),
    ...(secret !== undefined && { secret }),
    // In text it is base64 already.
    ...(data !== undefined && { nonce: typeof data === 'string' ? data.trim() : Buffer.from(data).toString('base64') }),
  });
}

function schemeOf(auth: SubTree): string | undefined {
  return SCHEMES[textAt(auth, 'AAuthType') ?? ''];
}

/** The nodes of any name right below an interior node. */
function inner(node: SubTree, name: string): readonly SubTree[] {
  return node.children.find(({ path }) => path[0] === name)?.children ?? [];
}

/** Undefined where it is not there or empty. */
function textAt(node: SubTree, name: string): string | undefined {
  const value = node.children.find(({ path }) => path.length === 1 && path[0] === name)?.value;
  const text = typeof value === 'string' || value === undefined ? value : Buffer.from(value).toString('utf8');
  return text === undefined || text.trim() === '' ? undefined : text.trim();
}
