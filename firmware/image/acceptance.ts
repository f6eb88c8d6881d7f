import { verify, type KeyObject } from 'node:crypto';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { digestHex, type ImageLeaves } from './image.js';

export type AcceptanceError = CodedError<'digest-mismatch' | 'signature-mismatch'>;

/** Says whether content with this SHA-256 (64 hex digits) is what the leaves ask for. */
export type Acceptance = (leaves: ImageLeaves, sha256: string) => Outcome<undefined, AcceptanceError>;

/**
 * Digest and signature, each checked where it is set. The signature is Ed25519 over the 32 bytes of the SHA-256.
 * @param keys public keys of those who may sign; without any, every image with a signature is refused
 */
export function acceptance(keys: readonly KeyObject[]): Acceptance {
  return (leaves, sha256) => {
    if (leaves.digest !== null && digestHex(leaves.digest) !== sha256) {
      return failure('digest-mismatch', 'the content does not have the expected SHA-256');
    }
    if (leaves.signature !== null) {
      const signature = Buffer.from(leaves.signature, 'base64');
      const signed = Buffer.from(sha256, 'hex');
      if (!keys.some((key) => verify(null, signed, key, signature))) {
        return failure('signature-mismatch', 'no configured key made the signature of this content');
      }
    }
    return success();
  };
}
