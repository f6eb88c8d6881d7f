import { success } from '../../../firmware/outcome/index.js';
import { treeFailure, type Mount, type NodeDefinition } from '../../../firmware/tree/index.js';
import { leaf } from './nodes.js';

/** ./DevInfo of an End Device: read-only, sent to the server in package 1. */
export function deviceInfo(deviceId: string): Mount {
  const values: Readonly<Record<string, string>> = {
    DevId: deviceId,
    Man: 'DM Gateway lab',
    Mod: 'End Device',
    DmV: '1.0',
    Lang: 'en',
  };
  const permanent = (node: NodeDefinition): NodeDefinition => ({ ...node, scope: 'Permanent' });
  const readOnly = () => treeFailure('not-allowed', 'the object can only be read');
  return {
    place: ['DevInfo'],
    definition: {
      key: 'DevInfo',
      name: 'DevInfo',
      format: 'node',
      access: ['Get'],
      occurrence: 'One',
      scope: 'Permanent',
      type: 'urn:oma:mo:oma-dm-devinfo:1.0',
      description: 'Identity of the device',
      children: Object.keys(values).map((name) => permanent(leaf(name, 'chr', ['Get'], name))),
    },
    provider: {
      locate: (path) => (path.length === 0 || values[path.join('/')] !== undefined ? path.join('/') : undefined),
      children: () => [],
      read: (path) => success(values[path.join('/')] ?? ''),
      stage: readOnly,
      exec: readOnly,
    },
  };
}
