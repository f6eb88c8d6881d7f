import { closeSync, fstatSync, openSync, readFileSync, statSync } from 'node:fs';
import { lateCrypto } from '../late/index.js';
import type { Logger } from '../log/index.js';
import type { TlsIdentity } from '../net/index.js';
import { describeThrown, failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { checkSecrecy } from './file.js';
import type { Configuration } from './schema/index.js';

export type TlsFileErrorCode =
  | 'unreadable' // the file is not there, or may not be read
  | 'not-a-certificate'
  | 'not-a-key' // no private key, or one that is encrypted
  | 'wrong-key' // the key of another certificate
  | 'exposed'; // others than its owner can read the key

export type TlsFileError = CodedError<TlsFileErrorCode>;

/** What the files for TLS hold, by the path of the certificate file in the configuration. */
export interface TlsFiles {
  /** `caFile` -> PEM. */
  readonly authorities: ReadonlyMap<string, string>;
  /** `certFile` -> certificate and key. */
  readonly identities: ReadonlyMap<string, TlsIdentity>;
  /** That of the image server, with the files that it came from. */
  readonly server: IdentityFiles | undefined;
}

/** A certificate and its key, and where they stand. */
export interface IdentityFiles {
  /** What comes before `certFile` and `keyFile` in the configuration. */
  readonly at: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** Whose the key must be, if not root's. */
  readonly uid: number;
  readonly identity: TlsIdentity;
}

/**
 * Reads every `caFile`, `certFile` and `keyFile` of the configuration. Fails naming the key and the file.
 * @param uid the user that the process runs as: private keys must be its own or root's, where it is not root itself
 */
export function readTlsFiles(configuration: Configuration, uid: number): Outcome<TlsFiles, TlsFileError> {
  const authorities = new Map<string, string>();
  for (const { key, caFile } of authorityFiles(configuration)) {
    if (caFile === undefined || authorities.has(caFile)) continue;
    const pem = readCertificate(key, caFile);
    if (!pem.ok) return pem;
    authorities.set(caFile, pem.value);
  }
  const identities = new Map<string, TlsIdentity>();
  for (const { at, certFile, keyFile } of identityFiles(configuration)) {
    if (certFile === undefined || keyFile === undefined) continue;
    const identity = readIdentity(at, certFile, keyFile, uid);
    if (!identity.ok) return identity;
    identities.set(certFile, identity.value);
  }
  const server = readServer(configuration, uid);
  return server.ok ? success({ authorities, identities, server: server.value }) : server;
}

function readServer({ serve }: Configuration, uid: number): Outcome<IdentityFiles | undefined, TlsFileError> {
  const [at, { certFile, keyFile }] = ['serve.', serve];
  if (certFile === undefined || keyFile === undefined) return success(undefined);
  const identity = readIdentity(at, certFile, keyFile, uid);
  return identity.ok ? success({ at, certFile, keyFile, uid, identity: identity.value }) : identity;
}

/** A certificate that is read anew when its files change, as a program that renews it writes them. */
export class RenewedIdentity {
  readonly identity: TlsIdentity;
  #seen: string;
  #current: TlsIdentity;
  #complaint = '';

  constructor(
    private readonly files: IdentityFiles,
    private readonly log: Logger,
  ) {
    this.identity = files.identity;
    this.#current = files.identity;
    this.#seen = this.#stamp();
  }

  /** Another certificate with its key, once both are there; what cannot be used is said once, and the old one stays. */
  renewed(): TlsIdentity | undefined {
    const stamp = this.#stamp();
    if (stamp === this.#seen) return undefined;
    const { at, certFile, keyFile, uid } = this.files;
    const read = readIdentity(at, certFile, keyFile, uid);
    if (!read.ok) {
      if (this.#complaint !== stamp)
        this.log.warn('the renewed certificate cannot be used', { reason: read.error.text });
      this.#complaint = stamp;
      return undefined;
    }
    this.#seen = stamp;
    if (read.value.cert === this.#current.cert && read.value.key === this.#current.key) return undefined;
    this.#current = read.value;
    return read.value;
  }

  #stamp(): string {
    return `${stampOf(this.files.certFile)} ${stampOf(this.files.keyFile)}`;
  }
}

/** Differs when a file has been written, or put in the place of another. */
function stampOf(file: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(file);
    return `${ino}-${size}-${mtimeMs}`;
  } catch {
    return 'none';
  }
}

function authorityFiles({ accounts, retrieve }: Configuration): { key: string; caFile: string | undefined }[] {
  return [
    ...accounts.map(({ caFile }, index) => ({ key: `accounts[${index}].caFile`, caFile })),
    { key: 'retrieve.caFile', caFile: retrieve.caFile },
  ];
}

function identityFiles({ accounts }: Configuration): {
  at: string;
  certFile: string | undefined;
  keyFile: string | undefined;
}[] {
  return accounts.map(({ certFile, keyFile }, index) => ({ at: `accounts[${index}].`, certFile, keyFile }));
}

function readIdentity(at: string, certFile: string, keyFile: string, uid: number): Outcome<TlsIdentity, TlsFileError> {
  const cert = readCertificate(`${at}certFile`, certFile);
  if (!cert.ok) return cert;
  const key = readKey(`${at}keyFile`, keyFile, uid);
  if (!key.ok) return key;
  try {
    if (new (lateCrypto().X509Certificate)(cert.value).checkPrivateKey(lateCrypto().createPrivateKey(key.value))) {
      return success({ cert: cert.value, key: key.value });
    }
  } catch (thrown) {
    const expected = 'expected a private key in PEM without a passphrase';
    return failure('not-a-key', `${at}keyFile: ${keyFile} holds no usable key; ${expected}`, thrown);
  }
  return failure('wrong-key', `${at}keyFile: ${keyFile} is not the key of the certificate in ${certFile}`);
}

/** One certificate, or several; the first is looked at. */
function readCertificate(key: string, file: string): Outcome<string, TlsFileError> {
  let pem: string;
  try {
    pem = readFileSync(file, 'utf8');
  } catch (thrown) {
    return failure('unreadable', `${key}: ${file} cannot be read (${describeThrown(thrown)})`, thrown);
  }
  try {
    new (lateCrypto().X509Certificate)(pem);
    return success(pem);
  } catch (thrown) {
    return failure('not-a-certificate', `${key}: ${file} holds no certificate; expected PEM`, thrown);
  }
}

function readKey(key: string, file: string, uid: number): Outcome<string, TlsFileError> {
  let fd: number | undefined;
  try {
    fd = openSync(file, 'r');
    const { mode, uid: ownerUid } = fstatSync(fd);
    const secrecy = checkSecrecy(file, { mode: mode & 0o7777, ownerUid }, uid);
    if (!secrecy.ok) return failure('exposed', `${key}: ${secrecy.error.text}`);
    return success(readFileSync(fd, 'utf8'));
  } catch (thrown) {
    return failure('unreadable', `${key}: ${file} cannot be read (${describeThrown(thrown)})`, thrown);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
