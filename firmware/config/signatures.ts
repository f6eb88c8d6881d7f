import type { KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { lateCrypto } from '../late/index.js';
import { describeThrown, failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import type { Configuration } from './schema/index.js';

export type SignatureKeyErrorCode = 'unreadable' | 'not-a-key';

/** A SubjectPublicKeyInfo of Ed25519 up to the 32 bytes of the key (RFC 8410 §4). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const RAW_KEY_BYTES = 32;

const PEM_BLOCK = /-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----/g;

/**
 * Reads `retrieve.signatureKeys`: paths of PEM files, each with one public key or more, and keys in base64 (32 bytes, or
 * a SubjectPublicKeyInfo). Fails naming the item, when a file cannot be read or something else than Ed25519 comes.
 */
export function readSignatureKeys({
  retrieve,
}: Configuration): Outcome<readonly KeyObject[], CodedError<SignatureKeyErrorCode>> {
  const keys: KeyObject[] = [];
  for (const [index, item] of retrieve.signatureKeys.entries()) {
    const at = `retrieve.signatureKeys[${index}]`;
    try {
      const read = item.startsWith('/') ? keysOfFile(item) : [keyOf(Buffer.from(item, 'base64'))];
      const wrong = read.length === 0 || read.some(({ asymmetricKeyType }) => asymmetricKeyType !== 'ed25519');
      if (wrong) return failure('not-a-key', `${at}: no public key of Ed25519; expected PEM, or 32 bytes in base64`);
      keys.push(...read);
    } catch (thrown) {
      const code = item.startsWith('/') && thrown instanceof Error && 'syscall' in thrown ? 'unreadable' : 'not-a-key';
      return failure(code, `${at}: cannot be read as a public key (${describeThrown(thrown)})`, thrown);
    }
  }
  return success(keys);
}

function keysOfFile(file: string): KeyObject[] {
  return [...readFileSync(file, 'utf8').matchAll(PEM_BLOCK)].map(([block]) => lateCrypto().createPublicKey(block));
}

function keyOf(bytes: Buffer): KeyObject {
  const key = bytes.length === RAW_KEY_BYTES ? Buffer.concat([SPKI_PREFIX, bytes]) : bytes;
  return lateCrypto().createPublicKey({ key, format: 'der', type: 'spki' });
}
