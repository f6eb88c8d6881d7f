import type { Device, DeviceErrorCode, DeviceInventory, DeviceLeaf } from '../device/index.js';
import { success, type CodedError, type Outcome } from '../outcome/index.js';
import {
  aclFor,
  treeFailure,
  type Mount,
  type NodeDefinition,
  type TreeErrorCode,
  type TreeOutcome,
} from '../tree/index.js';
import { Definer } from './define.js';
import { delegating } from './delegate.js';
import type { Names } from './names.js';
import { RecordProvider, type RecordLeaf } from './records.js';

const MAX_TEXT = { maxBytes: 255 };

/** The nodes of the object, for the tree and for the description of the device. */
export function deviceInventoryDefinition(names: Names): NodeDefinition {
  const define = new Definer('DeviceInventory', names);
  return define.root(
    'End Devices of the LAN',
    [
      {
        ...define.many('GAD', 'One device', [
          define.leaf('DeviceID', 'chr', 'GA', 'DevId of the device, unique', { ...MAX_TEXT, occurrence: 'One' }),
          define.leaf('ComponentType', 'chr', 'GRA', 'EndDevice or DMGateway', {
            ...MAX_TEXT,
            defaultValue: 'EndDevice',
          }),
          define.leaf('Mode', 'chr', 'GRA', 'transparent, proxy or adaptation', {
            ...MAX_TEXT,
            defaultValue: 'transparent',
          }),
          define.leaf('Address', 'chr', 'GRA', 'udp://192.168.1.57:2948 or http://..., in the LAN', MAX_TEXT),
          define.leaf('Encapsulation', 'chr', 'GRA', 'wsp or raw', { ...MAX_TEXT, defaultValue: 'wsp' }),
          define.leaf('Groups', 'chr', 'GRA', 'Names of groups separated by /', MAX_TEXT),
          define.leaf('Name', 'chr', 'GRA', 'Name for people', MAX_TEXT),
          define.leaf('Source', 'chr', 'G', 'mdns, server, config or operator'),
          define.leaf('LastSeen', 'chr', 'G', 'UTC, empty while never seen or the clock is not set'),
          define.leaf('Reachable', 'bool', 'G', 'Whether the device answered last'),
        ]),
        ownedByCreator: true,
      },
    ],
    'Add=*&Get=*',
  );
}

/** ./GwMO/DeviceInventory: the End Devices of the LAN. */
export function deviceInventory(names: Names, inventory: DeviceInventory): Mount {
  const provider = new RecordProvider<Device>({
    idOf: (device) => String(device.id),
    find: (name) => inventory.byNode(name),
    names: (after, limit) => inventory.nodes(after, limit).map((device) => device.node),
    create: (name, by) => outcome(inventory.create(name, by.serverId)),
    remove: (device) => outcome(inventory.remove(device.id)),
    rename: (device, name) => outcome(inventory.rename(device.id, name)),
    leaves: leaves(inventory),
    operations: {},
    collections: {},
  });
  return {
    place: names.place('DeviceInventory'),
    definition: deviceInventoryDefinition(names),
    // Configured and discovered devices, and those added at the gateway, may be read by every server, and changed by none.
    provider: delegating(provider, ([name, ...rest]) => {
      const device = name === undefined || rest.length > 0 ? undefined : inventory.byNode(name);
      if (!device) return undefined;
      return device.source === 'server' ? aclFor(device.requester) : 'Get=*';
    }),
  };
}

function leaves(inventory: DeviceInventory): Record<string, RecordLeaf<Device>> {
  const writable = (leaf: DeviceLeaf): RecordLeaf<Device> => ({
    read: (device) => device[leaf],
    write: (device, value) => outcome(inventory.setLeaf(device.id, leaf, String(value))),
    remove: (device) => outcome(inventory.setLeaf(device.id, leaf, null)),
  });
  return {
    DeviceID: writable('deviceId'),
    ComponentType: writable('componentType'),
    Mode: writable('mode'),
    Address: writable('address'),
    Encapsulation: writable('encapsulation'),
    Groups: writable('groups'),
    Name: writable('name'),
    Source: { read: (device) => device.source },
    LastSeen: { read: ({ lastSeenMs }) => (lastSeenMs === null ? '' : new Date(lastSeenMs).toISOString()) },
    Reachable: { read: (device) => String(device.reachable) },
  };
}

const TREE_ERROR: Readonly<Record<DeviceErrorCode, TreeErrorCode>> = {
  'no-such-device': 'not-found',
  'node-exists': 'already-exists',
  'device-id-taken': 'already-exists',
  'invalid-value': 'bad-value',
  'too-long': 'too-large',
  'outside-lan': 'bad-value',
  required: 'not-allowed',
  'too-many': 'full',
};

function outcome(result: Outcome<unknown, CodedError<DeviceErrorCode>>): TreeOutcome {
  return result.ok ? success() : treeFailure(TREE_ERROR[result.error.code], result.error.text);
}
