import { createPrivateKey, X509Certificate } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import type { TlsIdentity } from '../net/index.js';
import { describeThrown, failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { checkSecrecy } from './file.js';
import type { Configuration } from './schema.js';

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
}

/**
 * Reads every `caFile`, `certFile` and `keyFile` of the configuration. Fails naming the key and the file.
 * @param uid the user that the process runs as: private keys must be its own or root's
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
  return success({ authorities, identities });
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
    if (new X509Certificate(cert.value).checkPrivateKey(createPrivateKey(key.value))) {
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
    new X509Certificate(pem);
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
