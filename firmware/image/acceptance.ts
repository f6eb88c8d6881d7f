import type { KeyObject } from 'node:crypto';
import { lateCrypto } from '../late/index.js';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { digestHex, type ImageLeaves } from './image.js';

export type AcceptanceError = CodedError<'digest-mismatch' | 'signature-mismatch'>;

/** Says whether content with this SHA-256 (64 hex digits) is what the leaves ask for. */
export type Acceptance = (leaves: ImageLeaves, sha256: string) => Outcome<undefined, AcceptanceError>;

/** What no content can make good: undefined when nothing is missing. */
export type Prospect = (leaves: ImageLeaves) => AcceptanceError | undefined;

/** @param required every image must have a signature */
export function prospect(required: boolean): Prospect {
  return ({ signature }) =>
    required && signature === null
      ? { code: 'signature-mismatch', text: 'the image has no Signature, which this gateway requires' }
      : undefined;
}

/**
 * Digest and signature, each checked where it is set. The signature is Ed25519 over the 32 bytes of the SHA-256.
 * @param keys public keys of those who may sign; without any, every image with a signature is refused
 * @param missing says what is missing whatever the content
 */
export function acceptance(keys: readonly KeyObject[], missing: Prospect): Acceptance {
  return (leaves, sha256) => {
    const hopeless = missing(leaves);
    if (hopeless) return { ok: false, error: hopeless };
    if (leaves.digest !== null && digestHex(leaves.digest) !== sha256) {
      return failure('digest-mismatch', 'the content does not have the expected SHA-256');
    }
    if (leaves.signature !== null) {
      const signature = Buffer.from(leaves.signature, 'base64');
      const signed = Buffer.from(sha256, 'hex');
      if (!keys.some((key) => lateCrypto().verify(null, signed, key, signature))) {
        return failure('signature-mismatch', 'no configured key made the signature of this content');
      }
    }
    return success();
  };
}
