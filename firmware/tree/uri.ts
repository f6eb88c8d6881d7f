import { success } from '../outcome/index.js';
import { treeFailure, type TreeOutcome } from './errors.js';

/** Limits of node URIs; DevDetail/URI tells them to servers. Characters count as in the URI, percent-encoded. */
export const URI_LIMITS = {
  /** Segments below the root. */
  maxDepth: 16,
  maxTotalLength: 512,
  maxSegmentLength: 128,
} as const;

export interface NodeUri {
  /** Decoded names below the root; empty for the root. */
  readonly segments: readonly string[];
  /** What stands behind `?`, e.g. `prop=ACL`; undefined without a query. */
  readonly query?: string;
}

/** Parses `./A/B`, `A/B` or `.`, with an optional query (DMTND: URI rules). */
export function parseNodeUri(text: string): TreeOutcome<NodeUri> {
  if (!fitsUriLimits(text)) return treeFailure('uri-too-long', 'the URI is too long');
  const mark = text.indexOf('?');
  const path = mark < 0 ? text : text.slice(0, mark);
  const query = mark < 0 ? {} : { query: text.slice(mark + 1) };
  if (path === '') return treeFailure('bad-uri', 'the URI is empty');
  const names = path.split('/');
  if (names[0] === '.') names.shift();
  if (names.length > URI_LIMITS.maxDepth) return treeFailure('uri-too-long', 'the URI has too many segments');
  const segments: string[] = [];
  for (const name of names) {
    if (name === '' && segments.length === names.length - 1) return treeFailure('not-found', 'the URI ends with /');
    if (name.length > URI_LIMITS.maxSegmentLength) return treeFailure('uri-too-long', 'a name in the URI is too long');
    const decoded = decodeName(name);
    if (decoded === undefined) return treeFailure('bad-uri', 'a name in the URI is empty, dots only, or badly encoded');
    segments.push(decoded);
  }
  return success({ segments, ...query });
}

/** Longest query in characters: `?list=TNDS` with every part there is has half of it. */
const MAX_QUERY_LENGTH = 128;

/** Whether a URI is as short as it must be. A query does not count as part of the node's URI, and is bounded by itself. */
export function fitsUriLimits(uri: string): boolean {
  const mark = uri.indexOf('?');
  const pathLength = mark < 0 ? uri.length : mark;
  return pathLength <= URI_LIMITS.maxTotalLength && uri.length - pathLength <= MAX_QUERY_LENGTH;
}

/** What stands behind `?`: a property of the node, or a form in which its sub-tree is listed. */
export interface NodeQuery {
  readonly kind: 'prop' | 'list';
  /** Text behind the `=`. */
  readonly name: string;
}

/** Parses `prop=NAME` or `list=NAME`. Fails with `bad-uri`. */
export function parseQuery(query: string): TreeOutcome<NodeQuery> {
  const [kind, name = '', ...rest] = query.split('=');
  if ((kind !== 'prop' && kind !== 'list') || rest.length > 0) {
    return treeFailure('bad-uri', 'the query is not ?prop=NAME or ?list=NAME');
  }
  return success({ kind, name });
}

/** Whether a URI asks for a sub-tree (`?list=`) rather than for a value or a property. */
export function isListUri(uri: string): boolean {
  return uri.includes('?list=');
}

/** Whether a node may have this (decoded) name. Fails with `bad-value` or `uri-too-long`. */
export function checkName(name: string): TreeOutcome {
  if (!isName(name))
    return treeFailure('bad-value', 'a name is not empty, not dots only, without / and control characters');
  const fits = encodeName(name).length <= URI_LIMITS.maxSegmentLength;
  return fits ? success() : treeFailure('uri-too-long', 'the name is too long');
}

/** Names as they stand in a URI, between slashes; undefined: one of them is none. */
export function decodePath(path: string): string[] | undefined {
  const names = path.split('/').map(decodeName);
  return names.every((name) => name !== undefined) ? names : undefined;
}

/** The URI of a node from its names: `./A/B`, names percent-encoded where they must be. */
export function formatNodeUri(segments: readonly string[]): string {
  return ['.', ...segments.map(encodeName)].join('/');
}

/** A name as it stands in a URI and in a list of children. */
export function encodeName(name: string): string {
  return encodeURIComponent(name).replace(/%(3A|40|26|3D|2B|24|2C)/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

function decodeName(name: string): string | undefined {
  try {
    const decoded = name.includes('%') ? decodeURIComponent(name) : name;
    return isName(decoded) ? decoded : undefined;
  } catch {
    return undefined; // a stray % or octets that are not UTF-8
  }
}

function isName(decoded: string): boolean {
  return decoded !== '' && decoded !== '.' && decoded !== '..' && !/[/\u0000-\u001f\u007f]/.test(decoded);
}
