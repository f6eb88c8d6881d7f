import { redactUrl } from '../net/index.js';
import type { ImageLeaves, ImageRecord } from './image.js';
import { mirrorsOf } from './leaves.js';

/** An image as its sidecar remembers it, for a recovery of the catalog. */
export interface LostImage {
  readonly node: string;
  /** As the server set them, but for an ImageURI with secrets: that is left out. */
  readonly leaves: ImageLeaves;
  readonly requester: string;
  readonly availableMs: number | null;
  /** The greater, the newer, where two sidecars remember the same image. */
  readonly generation: number;
  /** The first of the URLs of ImageURI, without secrets; for people. */
  readonly source: string | null;
}

/** What stands beside a blob, for a recovery of the catalog and for people. */
export interface Sidecar {
  readonly format: typeof SIDECAR_FORMAT;
  readonly size: number;
  readonly contentType: string | null;
  readonly images: readonly LostImage[];
}

/** Raised when what is written changes its meaning. */
const SIDECAR_FORMAT = 1;

/** Images of one blob that its sidecar remembers: an image may have 9 KB of leaves. */
const MAX_IMAGES = 16;

/** No sidecar is longer. */
export const MAX_SIDECAR_BYTES = 256 * 1024;

/** @param images those that have the content */
export function sidecarOf(
  content: { readonly size: number; readonly contentType: string | null },
  images: readonly ImageRecord[],
): Sidecar {
  return sidecarFor(content, images.slice(0, MAX_IMAGES).map(remembered));
}

/** As `sidecarOf`, for images that are known by what is to be remembered of them. */
export function sidecarFor(
  { size, contentType }: { readonly size: number; readonly contentType: string | null },
  images: readonly LostImage[],
): Sidecar {
  return { format: SIDECAR_FORMAT, size, contentType, images: images.slice(0, MAX_IMAGES) };
}

function remembered({ node, leaves, requester, availableMs, retrieval }: ImageRecord): LostImage {
  const mirrors = mirrorsOf(leaves.imageUri ?? '');
  const [source] = mirrors;
  const hasSecret = mirrors.some((url) => redactUrl(url) !== url);
  return {
    node,
    leaves: { ...leaves, imageUri: hasSecret ? null : leaves.imageUri },
    requester,
    availableMs,
    generation: retrieval.generation,
    source: source === undefined ? null : redactUrl(source),
  };
}

/** The text that is stored. */
export function formatSidecar(sidecar: Sidecar): string {
  return `${JSON.stringify(sidecar)}\n`;
}

/** @returns undefined for what `formatSidecar` has not written: damaged, or of another format */
export function parseSidecar(text: string): Sidecar | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(parsed) || parsed.format !== SIDECAR_FORMAT || !isCount(parsed.size)) return undefined;
  const { size, contentType, images } = parsed;
  if (!isTextOrNull(contentType) || !Array.isArray(images)) return undefined;
  const found: unknown[] = images;
  return found.every(isLostImage) ? { format: SIDECAR_FORMAT, size, contentType, images: found } : undefined;
}

/** Whether a leaf has an allowed value is checked where it is used. */
const LEAVES: Readonly<Record<keyof ImageLeaves, (value: unknown) => boolean>> = {
  imageId: isTextOrNull,
  name: isTextOrNull,
  version: isTextOrNull,
  description: isTextOrNull,
  imageUri: isTextOrNull,
  digest: isTextOrNull,
  signature: isTextOrNull,
  priority: isNumberOrNull,
  pinned: (value) => value === null || typeof value === 'boolean',
};

function isLostImage(value: unknown): value is LostImage {
  if (!isObject(value) || !isObject(value.leaves)) return false;
  const { leaves } = value;
  return (
    Object.keys(leaves).length === Object.keys(LEAVES).length &&
    Object.entries(LEAVES).every(([leaf, isGood]) => isGood(leaves[leaf])) &&
    typeof value.node === 'string' &&
    typeof value.requester === 'string' &&
    isNumberOrNull(value.availableMs) &&
    isCount(value.generation) &&
    isTextOrNull(value.source)
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === 'string';
}

function isNumberOrNull(value: unknown): value is number | null {
  return value === null || typeof value === 'number';
}
