import { Credentials, Prefixes } from '../net/index.js';
import type { Finding } from './explain.js';
import { formatPath, type KeyPath } from '../shape/index.js';
import type { Configuration } from './schema/index.js';
import { deviceHost } from './values.js';

/** What one key cannot say alone. The rules are tried in this order; the first finding is reported. */
const RULES: readonly ((configuration: Configuration) => Iterable<Finding>)[] = [
  oneSourceOfDevId,
  distinctServerIds,
  shortAdministrators,
  encryptedAccounts,
  secretsOfSchemes,
  certificatesWithKeys,
  narrowLan,
  serveInLanOnly,
  notificationHasListeners,
  devicesInLan,
  distinctDeviceIds,
  usableCredentials,
  usableProxy,
  signersWhereRequired,
  retryBounds,
  mountAboveFolders,
  shortControlSocket,
];

/** The first contradiction between keys; undefined when there is none. */
export function firstContradiction(configuration: Configuration): Finding | undefined {
  for (const rule of RULES) {
    for (const finding of rule(configuration)) return finding;
  }
  return undefined;
}

function* oneSourceOfDevId({ device }: Configuration): Iterable<Finding> {
  const sources = (['devId', 'devIdFile', 'devIdInterface', 'devIdPartition'] as const).filter(
    (key) => device[key] !== undefined,
  );
  if (sources.length === 0) {
    yield contradiction(['device'], 'no DevId; expected one of devId, devIdFile, devIdInterface, devIdPartition');
  } else if (sources.length > 1) {
    yield contradiction(['device'], `${sources.join(' and ')} together; expected one of them`);
  }
}

function* distinctServerIds({ accounts }: Configuration): Iterable<Finding> {
  yield* repeated(
    accounts,
    ({ serverId }) => serverId,
    (index) => ['accounts', index, 'serverId'],
  );
}

/** Their ServerIDs stand together in one ACL, which has at most 2048 characters. */
const MAX_ADMINISTRATORS_LENGTH = 2000;

function* shortAdministrators({ accounts }: Configuration): Iterable<Finding> {
  const ids = accounts.flatMap(({ serverId, administrator }) => (administrator ? [serverId] : [])).join('+');
  if (ids.length <= MAX_ADMINISTRATORS_LENGTH) return;
  const expected = `expected ServerIDs of administrators with at most ${MAX_ADMINISTRATORS_LENGTH} characters in all`;
  yield contradiction(['accounts'], `${ids.length} characters; ${expected}`);
}

function* encryptedAccounts({ accounts }: Configuration): Iterable<Finding> {
  for (const [index, { url, allowInsecure, client, server }] of accounts.entries()) {
    if (allowInsecure || !/^http:/i.test(url)) continue;
    const basic = client.scheme === 'basic' || server.scheme === 'basic';
    const what = basic
      ? 'http:// with basic sends passwords in the clear'
      : 'http:// can be read by everybody on the way';
    const switchKey = formatPath(['accounts', index, 'allowInsecure']);
    yield contradiction(['accounts', index, 'url'], `${what}; expected https://, or ${switchKey} set to true`);
  }
}

function* secretsOfSchemes({ accounts }: Configuration): Iterable<Finding> {
  for (const [index, account] of accounts.entries()) {
    for (const side of ['client', 'server'] as const) {
      const { scheme, secret } = account[side];
      if (scheme === 'none' || secret !== undefined) continue;
      const path = ['accounts', index, side, 'secret'];
      yield {
        code: 'missing',
        path,
        reason: `missing; expected text of 1 to 255 characters, because the scheme is ${scheme}`,
      };
    }
  }
}

function* certificatesWithKeys({ accounts, serve }: Configuration): Iterable<Finding> {
  const places = [
    ...accounts.map((account, index) => ({ path: ['accounts', index], ...pairOf(account) })),
    { path: ['serve'], ...pairOf(serve) },
  ];
  for (const { path, certFile, keyFile } of places) {
    if ((certFile === undefined) === (keyFile === undefined)) continue;
    const [there, missing] = certFile === undefined ? ['keyFile', 'certFile'] : ['certFile', 'keyFile'];
    const reason = `missing; expected a path, because ${formatPath([...path, there])} is set`;
    yield { code: 'missing', path: [...path, missing], reason };
  }
}

function pairOf(of: { readonly certFile?: string | undefined; readonly keyFile?: string | undefined }) {
  return { certFile: of.certFile, keyFile: of.keyFile };
}

function* narrowLan({ lan }: Configuration): Iterable<Finding> {
  for (const [index, prefix] of lan.prefixes.entries()) {
    if (prefix.endsWith('/0')) {
      yield contradiction(
        ['lan', 'prefixes', index],
        `${prefix} is the whole internet; expected the prefix of the LAN`,
      );
    }
  }
}

function* serveInLanOnly({ serve, lan }: Configuration): Iterable<Finding> {
  const inside = Prefixes.of(lan.prefixes);
  if (serve.listen.length + serve.interfaces.length === 0) {
    yield { code: 'missing', path: ['serve', 'listen'], reason: 'empty; expected an address, or serve.interfaces' };
  }
  for (const [index, address] of serve.listen.entries()) {
    if (inside.contains(address) && address !== '0.0.0.0') continue;
    const expected = `expected an address of the gateway inside lan.prefixes (${lan.prefixes.join(', ')})`;
    yield contradiction(['serve', 'listen', index], `${address} is not an address of the LAN; ${expected}`);
  }
  yield* repeated(
    serve.listen,
    (address) => address,
    (index) => ['serve', 'listen', index],
  );
}

function* notificationHasListeners({ notification }: Configuration): Iterable<Finding> {
  if (notification.enabled && notification.listen.length === 0) {
    const expected = 'expected at least one IP address, because notification.enabled is true';
    yield contradiction(['notification', 'listen'], `empty; ${expected}`);
  }
  yield* repeated(
    notification.listen,
    (address) => address,
    (index) => ['notification', 'listen', index],
  );
}

function* devicesInLan({ devices, lan }: Configuration): Iterable<Finding> {
  const inside = Prefixes.of(lan.prefixes);
  for (const [index, { address }] of devices.entries()) {
    if (inside.contains(deviceHost(address) ?? '')) continue;
    const expected = `expected an address inside lan.prefixes (${lan.prefixes.join(', ')})`;
    yield contradiction(['devices', index, 'address'], `${address} is not in the LAN; ${expected}`);
  }
}

function* distinctDeviceIds({ devices }: Configuration): Iterable<Finding> {
  yield* repeated(
    devices,
    ({ deviceId }) => deviceId,
    (index) => ['devices', index, 'deviceId'],
  );
}

function* usableCredentials({ retrieve }: Configuration): Iterable<Finding> {
  for (const [index, credential] of retrieve.credentials.entries()) {
    const at = (key: string): KeyPath => ['retrieve', 'credentials', index, key];
    if (!credential.allowInsecure && credential.origin.startsWith('http:')) {
      const expected = `expected https://, or ${formatPath(at('allowInsecure'))} set to true`;
      yield contradiction(at('origin'), `http:// sends the credential in the clear; ${expected}`);
    }
    if (credential.scheme === 'basic' && credential.name === undefined) {
      yield { code: 'missing', path: at('name'), reason: 'missing; expected a user name, because the scheme is basic' };
    }
    if (!Credentials.of([credential]).ok) {
      yield contradiction(at('secret'), 'this value is no token; expected letters, digits and . _ ~ + / - =');
    }
  }
  yield* repeated(
    retrieve.credentials,
    ({ origin }) => origin,
    (index) => ['retrieve', 'credentials', index, 'origin'],
  );
}

function* usableProxy({ retrieve: { proxy } }: Configuration): Iterable<Finding> {
  const at = (key: string): KeyPath => ['retrieve', 'proxy', key];
  if (proxy.url !== undefined && !proxy.url.startsWith('http:')) {
    yield contradiction(
      at('url'),
      `${proxy.url} is not spoken to over TLS; expected http://, https URLs are tunnelled`,
    );
  }
  for (const [one, other] of [
    ['name', 'url'],
    ['name', 'secret'],
    ['secret', 'name'],
  ] as const) {
    if (proxy[one] !== undefined && proxy[other] === undefined) {
      yield { code: 'missing', path: at(other), reason: `missing; expected it beside ${formatPath(at(one))}` };
    }
  }
}

function* signersWhereRequired({ retrieve: { requireSignature, signatureKeys } }: Configuration): Iterable<Finding> {
  if (!requireSignature || signatureKeys.length > 0) return;
  const expected = 'expected at least one key, because retrieve.requireSignature is true';
  yield contradiction(['retrieve', 'signatureKeys'], `empty; ${expected}`);
}

function* retryBounds(configuration: Configuration): Iterable<Finding> {
  for (const part of ['session', 'retrieve'] as const) {
    const { retryFirstSeconds, retryMaxSeconds } = configuration[part];
    if (retryFirstSeconds <= retryMaxSeconds) continue;
    const reason = `${retryMaxSeconds} is less than ${part}.retryFirstSeconds; expected ${retryFirstSeconds} or more`;
    yield contradiction([part, 'retryMaxSeconds'], reason);
  }
}

function* mountAboveFolders({ requireMount, stateDir, storeDir }: Configuration): Iterable<Finding> {
  if (requireMount === undefined || [stateDir, storeDir].some((folder) => isBelow(folder, requireMount))) return;
  const expected = 'expected storeDir, stateDir or a folder above one of them';
  yield contradiction(['requireMount'], `neither storeDir nor stateDir is below ${requireMount}; ${expected}`);
}

/** Longest path of a Unix socket, in bytes (sun_path without its final zero). */
const MAX_SOCKET_PATH_BYTES = 107;

function* shortControlSocket({ controlSocket }: Configuration): Iterable<Finding> {
  if (Buffer.byteLength(controlSocket) <= MAX_SOCKET_PATH_BYTES) return;
  const reason = `the path has ${Buffer.byteLength(controlSocket)} bytes; expected at most ${MAX_SOCKET_PATH_BYTES}`;
  yield contradiction(['controlSocket'], reason);
}

/** True for the folder itself and for everything in it. */
export function isBelow(path: string, folder: string): boolean {
  const closed = (text: string): string => (text.endsWith('/') ? text : `${text}/`);
  return closed(path).startsWith(closed(folder));
}

function* repeated<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
  pathOf: (index: number) => KeyPath,
): Iterable<Finding> {
  const first = new Map<string, number>();
  for (const [index, item] of items.entries()) {
    const key = keyOf(item);
    const earlier = first.get(key);
    if (earlier !== undefined) {
      yield contradiction(
        pathOf(index),
        `${key} stands already in ${formatPath(pathOf(earlier))}; expected another one`,
      );
    }
    first.set(key, index);
  }
}

function contradiction(path: KeyPath, reason: string): Finding {
  return { code: 'contradiction', path, reason };
}
