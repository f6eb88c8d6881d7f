import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { digestHex, type ImageLeaf } from './image.js';

export type LeafValue = string | number | boolean;

/** Longest free text and longest ImageURI, in bytes of UTF-8. */
const MAX_TEXT_BYTES = 255;
const MAX_URI_BYTES = 8 * 1024;
/** One image may name so many mirrors. */
const MAX_MIRRORS = 8;
/** An Ed25519 signature. */
const SIGNATURE_BYTES = 64;

type Check = (value: LeafValue) => string | undefined;

/** An ImageID becomes a path segment: `.` and `..` would be folded away by clients (RFC 3986 §5.2.4). */
export function isImageId(text: string): boolean {
  return /^[A-Za-z0-9._-]{1,64}$/.test(text) && text !== '.' && text !== '..';
}

/** The mirrors that an ImageURI names, in its order. */
export function mirrorsOf(imageUri: string): string[] {
  return imageUri
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

const freeText: Check = (value) =>
  typeof value === 'string' && Buffer.byteLength(value) <= MAX_TEXT_BYTES
    ? undefined
    : `a text of at most ${MAX_TEXT_BYTES} bytes`;

const imageUri: Check = (value) => {
  if (typeof value !== 'string' || Buffer.byteLength(value) > MAX_URI_BYTES) return `at most ${MAX_URI_BYTES} bytes`;
  const mirrors = mirrorsOf(value);
  const usable = mirrors.length > 0 && mirrors.length <= MAX_MIRRORS && mirrors.every(isHttpUrl);
  return usable ? undefined : `one http or https URL, or up to ${MAX_MIRRORS} separated by newline`;
};

function isHttpUrl(text: string): boolean {
  return /^https?:\/\//i.test(text) && URL.canParse(text);
}

/** For each leaf: undefined for a good value, else what would be allowed. */
const CHECKS: Readonly<Record<ImageLeaf, Check>> = {
  imageId: (value) =>
    typeof value === 'string' && isImageId(value) ? undefined : '1 to 64 letters, digits, ".", "_" or "-"',
  name: freeText,
  version: freeText,
  description: freeText,
  imageUri,
  digest: (value) =>
    typeof value === 'string' && digestHex(value) !== undefined
      ? undefined
      : 'a SHA-256 as sha-256=:<base64>: or as 64 hex digits',
  signature: (value) =>
    typeof value === 'string' && Buffer.from(value, 'base64').length === SIGNATURE_BYTES
      ? undefined
      : 'an Ed25519 signature of 64 bytes in base64',
  priority: (value) => (typeof value === 'number' && value === (value | 0) ? undefined : 'a 32-bit integer'),
  pinned: (value) => (typeof value === 'boolean' ? undefined : 'true or false'),
};

/** @returns failure `bad-value` that says what is allowed */
export function checkLeaf(leaf: ImageLeaf, value: LeafValue): Outcome<undefined, CodedError<'bad-value'>> {
  const allowed = CHECKS[leaf](value);
  return allowed === undefined ? success() : failure('bad-value', `${leaf} must be ${allowed}`);
}
