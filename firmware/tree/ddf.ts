import { element, writeXmlFragment, type Element } from '../codec/index.js';
import type { Access, NodeDefinition } from './definition.js';
import { typeOf } from './property-access.js';

/** Whose tree is described. */
export interface DescribedDevice {
  readonly manufacturer?: string;
  readonly model?: string;
}

/** In the order of the DTD. */
const ACCESS_ORDER: readonly Access[] = ['Add', 'Copy', 'Delete', 'Exec', 'Get', 'Replace'];

const DOCTYPE =
  '<!DOCTYPE MgmtTree PUBLIC "-//OMA//DTD-DM-DDF 1.2//EN" "http://www.openmobilealliance.org/tech/DTD/DM_DDF-V1_2.dtd">';

/**
 * The device description (facts 8: DDF) of a tree, as an XML document for people and servers: which nodes may be there,
 * under the names in use, and what can be done with them.
 * @param root as `Tree.definition` or `treeDefinition` gives it: what stands below it is described
 */
export function ddfDocument(root: NodeDefinition, device: DescribedDevice): string {
  const about = [
    ...(device.manufacturer !== undefined ? [ddf('Man', device.manufacturer)] : []),
    ...(device.model !== undefined ? [ddf('Mod', device.model)] : []),
  ];
  const tree = ddf('MgmtTree', [ddf('VerDTD', '1.2'), ...about, ...(root.children ?? []).map(describe)]);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${DOCTYPE}\n${lines(tree, '', 'other')}`;
}

function describe(node: NodeDefinition): Element {
  const interior = node.children !== undefined;
  const { defaultValue } = node;
  return ddf('Node', [
    ddf('NodeName', node.name ?? ''),
    ddf('DFProperties', [
      ddf(
        'AccessType',
        ACCESS_ORDER.filter((access) => node.access.includes(access)).map((access) => ddf(access, '')),
      ),
      ...(defaultValue !== undefined ? [ddf('DefaultValue', defaultValue)] : []),
      ddf('Description', node.description),
      ddf('DFFormat', [ddf(node.format, '')]),
      ddf('Occurrence', [ddf(node.occurrence, '')]),
      ddf('Scope', [ddf(node.scope, '')]),
      ...(node.name !== undefined ? [ddf('DFTitle', node.key)] : []),
      ddf('DFType', [ddf(interior ? 'DDFName' : 'MIME', typeOf(node))]),
    ]),
    ...(node.children ?? []).map(describe),
  ]);
}

/** An element on lines of its own, unless it holds no others: white space does not count in a description. */
function lines(node: Element, indent: string, within: Element['namespace']): string {
  const flat = writeXmlFragment(node, within);
  if (node.children.length === 0 || !node.children.some(({ children }) => children.length > 0)) {
    if (node.name !== 'DFProperties') return `${indent}${flat}\n`;
  }
  const start = flat.slice(0, flat.indexOf('>') + 1);
  const inner = node.children.map((child) => lines(child, `${indent}  `, node.namespace)).join('');
  return `${indent}${start}\n${inner}${indent}</${node.name}>\n`;
}

function ddf(name: string, content: string | readonly Element[]): Element {
  return element('dmddf', name, content);
}
