import type { ConfiguredDevice, Device } from '../device/index.js';
import type { DeviceRow, OperationPorts } from '../ops/index.js';
import { failure, success } from '../outcome/index.js';
import { pageOf } from './page.js';
import type { OperatorParts } from './parts.js';

/** What is done with End Devices at the gateway. */
export function deviceOperations({
  inventory,
  store,
  tree,
  names,
}: OperatorParts): Pick<OperationPorts, Extract<keyof OperationPorts, `devices/${string}`>> {
  return {
    'devices/list': ({ after, limit }) =>
      success(pageOf(inventory.nodes(after, limit + 1), limit, ({ node }) => node, rowOf)),
    'devices/add': async ({ deviceId, address, name, groups, encapsulation, mode }) => {
      const leaves = { name, groups: groups?.replaceAll(',', '/'), encapsulation, mode };
      const given = Object.entries(leaves).filter(([, value]) => value !== undefined);
      const device: ConfiguredDevice = { deviceId, address, ...Object.fromEntries(given) };
      const added = inventory.addLocal(device);
      if (!added.ok) return added;
      await store.durable();
      return success(rowOf(added.value));
    },
    'devices/remove': async ({ deviceId }) => {
      const device = inventory.byDeviceId(deviceId);
      if (!device) return failure('not-found', `there is no device '${deviceId}'`);
      if (device.source === 'config') {
        return failure('configured', `'${deviceId}' stands in the configuration (devices): remove it there`);
      }
      store.transaction(() => {
        tree.forgetNode([...names.place('DeviceInventory'), device.node]);
        inventory.remove(device.id);
      });
      await store.durable();
      return success({ done: true });
    },
  };
}

function rowOf(device: Device): DeviceRow {
  return {
    node: device.node,
    deviceId: device.deviceId ?? '',
    name: device.name ?? '',
    address: device.address ?? device.foundAddress ?? '',
    encapsulation: device.encapsulation ?? 'wsp',
    mode: device.mode ?? 'transparent',
    groups: device.groups ?? '',
    source: device.source,
    reachable: device.reachable,
    lastSeenAt: device.lastSeenMs === null ? null : new Date(device.lastSeenMs).toISOString(),
  };
}
