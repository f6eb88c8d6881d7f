import {
  child,
  childrenNamed,
  parseWbxml,
  parseXml,
  textOf,
  type DocumentLimits,
  type Element,
} from '../codec/index.js';
import { failure, success } from '../outcome/index.js';
import { decodeBase64 } from './base64.js';
import { treeFailure, type TreeOutcome } from './errors.js';
import type { LeafValue } from './provider.js';
import { decodePath } from './uri.js';

/** A node of a TNDS document, with everything below it. */
export interface SubTree {
  /** Names from the Target of the command to the node; empty: the node is the Target itself. */
  readonly path: readonly string[];
  /** As in Meta Format and Type of a single node; undefined where the document says nothing. */
  readonly format: string | undefined;
  readonly type: string | undefined;
  readonly acl: string | undefined;
  readonly title: string | undefined;
  readonly value: LeafValue | undefined;
  /** Their paths begin at this node. */
  readonly children: readonly SubTree[];
}

/** Octets of a document: some hundreds of nodes. It stands in memory as a whole until its transaction has ended. */
export const MAX_TNDS_BYTES = 256 * 1024;

const LIMITS: DocumentLimits = { maxBytes: MAX_TNDS_BYTES, maxDepth: 64, maxElements: 20_000 };

const TNDS_TYPE = /^application\/vnd\.syncml\.dmtnds\+(xml|wbxml)$/i;

/** Whether data is a whole sub-tree: with another type it would be taken for text. */
export function isTnds({ type }: { readonly type: string | undefined }): boolean {
  return type !== undefined && TNDS_TYPE.test(type.trim());
}

/** Whether such data is octets (WBXML) rather than text. */
export function isWbxmlTnds(type: string | undefined): boolean {
  return TNDS_TYPE.exec(type?.trim() ?? '')?.[1]?.toLowerCase() === 'wbxml';
}

/**
 * Reads a document: XML as text, WBXML as octets or as base64 (facts 8). What it does not know it ignores.
 * @param targetName name of the node that the command addresses: a top-level Node without a Path that has this name, or
 *   none, is that node; any other one stands below it
 * @returns the top-level nodes; failure `too-large`, `bad-format` (another version) or `bad-value`
 */
export function readTnds(type: string | undefined, data: LeafValue, targetName: string): TreeOutcome<SubTree[]> {
  const root = parse(type, data);
  if (!root.ok) return root;
  if (root.value.name !== 'MgmtTree') return treeFailure('bad-value', 'the document is no MgmtTree');
  const version = text(root.value, 'VerDTD')?.trim();
  if (version !== undefined && !version.startsWith('1.')) {
    return treeFailure('bad-format', `the document has version ${version}, not 1.2`);
  }
  const nodes: SubTree[] = [];
  for (const node of childrenNamed(root.value, 'Node')) {
    const read = readNode(node, targetName);
    if (!read.ok) return read;
    nodes.push(read.value);
  }
  return nodes.length === 0 ? treeFailure('bad-value', 'the document has no Node') : success(nodes);
}

function parse(type: string | undefined, data: LeafValue): TreeOutcome<Element> {
  const parsed = isWbxmlTnds(type) ? parseOctets(data) : parseXml(asOctets(data), LIMITS);
  if (parsed.ok) return parsed;
  const code = parsed.error.code === 'too-large' ? 'too-large' : 'bad-value';
  return treeFailure(code, `the document cannot be read: ${parsed.error.text}`);
}

function parseOctets(data: LeafValue): ReturnType<typeof parseWbxml> | TreeOutcome<never> {
  const octets = typeof data === 'string' ? decodeBase64(data) : data;
  return octets ? parseWbxml(octets, LIMITS) : failure('bad-value', 'it is not base64');
}

function asOctets(data: LeafValue): Uint8Array {
  return typeof data === 'string' ? Buffer.from(data, 'utf8') : data;
}

/** @param targetName undefined for a node inside another one */
function readNode(node: Element, targetName: string | undefined): TreeOutcome<SubTree> {
  const path = pathOf(node, targetName);
  if (!path) return treeFailure('bad-value', 'a NodeName or Path is not one');
  const properties = child(node, 'RTProperties');
  const value = child(node, 'Value')?.text;
  const children: SubTree[] = [];
  for (const inner of childrenNamed(node, 'Node')) {
    const read = readNode(inner, undefined);
    if (!read.ok) return read;
    children.push(read.value);
  }
  if (value !== undefined && children.length > 0)
    return treeFailure('bad-value', 'a Node has a Value and Nodes inside');
  const typed = properties && child(properties, 'Type');
  const type = typed && (text(typed, 'MIME') ?? text(typed, 'DDFName'))?.trim();
  if (isTnds({ type })) return treeFailure('bad-format', 'a sub-tree is no value of a leaf');
  return success({
    path,
    format: properties && child(properties, 'Format')?.children[0]?.name,
    type,
    acl: properties && text(properties, 'ACL')?.trim(),
    title: properties && text(properties, 'Title'),
    value,
    children,
  });
}

/** Undefined: they do not name a node. */
function pathOf(node: Element, targetName: string | undefined): string[] | undefined {
  const name = text(node, 'NodeName')?.trim() ?? '';
  const path = text(node, 'Path')?.trim() ?? '';
  const names = name === '' ? [] : decodePath(name);
  if (!names || names.length > 1) return undefined;
  if (targetName === undefined) return path === '' && names.length === 1 ? names : undefined;
  if (path === '' && (name === '' || names[0] === targetName)) return [];
  // The Target itself may be called `.` or `./`.
  const below = path.replace(/^\.?(\/|$)/, '');
  const above = below === '' ? [] : decodePath(below);
  return above && names.length === 1 ? [...above, ...names] : undefined;
}

function text(parent: Element, name: string): string | undefined {
  const found = child(parent, name);
  return found && textOf(found);
}
