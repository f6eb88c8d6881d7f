import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { managementObjects, Names } from '../../firmware/mo/index.js';
import type { NodeDefinition } from '../../firmware/tree/index.js';
import type { Renaming } from './dm-server.js';
import { playNineSteps, type Observer } from './nine-steps.js';
import { ALERT } from './operator.js';
import { MIB, testImage, withLab } from './with-lab.js';

const silent: Observer = { step: () => {}, retrieving: () => {}, device: () => {} };

const PLACES = {
  DMAcc: ['./DMAcc', './Vendor/Managers'],
  ImageInventory: ['./GwMO/ImageInventory', './Vendor/Media/Firmware'],
  DeviceInventory: ['./GwMO/DeviceInventory', './Vendor/Clients'],
  Fanout: ['./GwMO/Fanout', './Vendor/Calls'],
  Storage: ['./GwMO/Storage', './Room'],
  Config: ['./GwMO/Config', './Tuning'],
} as const;

/** Every node of the objects that OMA does not fix, by its standard name; the new one is a word of its own. */
const NODES = {
  ImageInventory: [
    ...['ImageID', 'Name', 'Version', 'Description', 'ImageURI', 'Digest', 'Signature', 'Priority', 'Pinned', 'Size'],
    ...['ContentType', 'LocalImageURI', 'State', 'Received', 'Result', 'ResultText', 'Delivered', 'Delivery'],
    ...['DeviceID', 'Bytes', 'Complete', 'Time', 'Operations', 'Download', 'Cancel', 'Remove'],
    ...['Ambiguous', 'Ranges', 'FirstTime', 'Data'],
  ],
  DeviceInventory: [
    ...['DeviceID', 'ComponentType', 'Mode', 'Address', 'Encapsulation', 'Groups', 'Name', 'Source', 'LastSeen'],
    'Reachable',
  ],
  Fanout: [
    ...['Type', 'Targets', 'Notification', 'Target', 'DeviceID', 'Status', 'Reacted', 'Repeat', 'Interval', 'Lifetime'],
    ...['Rate', 'WaveSize', 'AbortAfterFailures', 'ImageRef', 'State', 'Result', 'Total', 'Sent', 'Failed'],
    ...['Operations', 'Start', 'Stop'],
  ],
  Storage: ['Total', 'Free', 'Reserved', 'Quota'],
  Config: [
    ...['session', 'retrieve', 'store', 'fanout', 'quotaMiB', 'windows', 'maxBytesPerSecond'],
    ...['maxBytesPerSecondPerImage', 'repeat', 'intervalSeconds', 'lifetimeSeconds', 'ratePerSecond'],
  ],
} as const;

const ALERTS = {
  imageRetrieved: 'com.example.media.here',
  imageNeedsUri: 'com.example.media.where',
  imageEvicted: 'com.example.media.gone',
  imageLocalUri: 'com.example.media.moved',
  fanoutFinished: 'com.example.calls.over',
  storeDamaged: 'com.example.damaged',
} as const;

const newName = (mo: string, index: number): string => `${mo.charAt(0).toLowerCase()}-${index}`;

function overrides(): Record<string, string> {
  const names: Record<string, string> = {};
  for (const [mo, [, place]] of Object.entries(PLACES)) names[mo] = place;
  for (const [mo, nodes] of Object.entries(NODES)) {
    names[`${mo}:type`] = `com.example/2.0/${mo}s`;
    for (const [index, node] of nodes.entries()) names[`${mo}/${node}`] = newName(mo, index);
  }
  for (const [alert, type] of Object.entries(ALERTS)) names[`alert:${alert}`] = type;
  return names;
}

/** Written without the gateway's own tables, as an operator of a DM Server would. */
const renaming: Renaming = {
  used: (whole) => {
    const [standard = '', ...query] = whole.split(/(?=\?)/);
    for (const [mo, [from, to]] of Object.entries(PLACES)) {
      if (standard !== from && !standard.startsWith(`${from}/`)) continue;
      const nodes: readonly string[] = mo in NODES ? NODES[mo as keyof typeof NODES] : [];
      const below = standard.slice(from.length).split('/').slice(1);
      const named = below.map((name) => (nodes.includes(name) ? newName(mo, nodes.indexOf(name)) : name));
      return [to, ...named].join('/') + query.join('');
    }
    return whole;
  },
  standard: (used) => {
    for (const [alert, type] of Object.entries(ALERTS)) if (used === type) return ALERT[alert as keyof typeof ALERTS];
    for (const [from, to] of Object.values(PLACES)) if (used.startsWith(`${to}/`)) return from + used.slice(to.length);
    return used;
  },
};

describe('the nine steps with every name changed', () => {
  it('leave no node, no identifier and no alert its standard name that may have another', () => {
    const names = Names.parse(overrides());
    assert.ok(names.ok);
    const fixed = ['DevInfo', 'DevDetail'].map((mo) => `./${mo}`);
    const kept: string[] = [];
    const look = ({ key, name, type = '', children = [] }: NodeDefinition, mo: string): void => {
      if (name === key || type.startsWith('org.dmgw')) kept.push(`${mo}: ${key}`);
      for (const child of children) look(child, mo);
    };
    for (const { place, definition } of managementObjects(names.value)) {
      const mo = ['.', ...place].join('/');
      if (fixed.includes(mo) || mo === PLACES.DMAcc[1]) continue;
      for (const child of definition.children ?? []) look(child, mo);
      if (definition.type?.startsWith('org.dmgw') ?? true) kept.push(`${mo}: type`);
    }
    assert.deepEqual(kept, []);
    const own = Object.entries(ALERT).flatMap(([alert, type]) => (type.startsWith('org.dmgw') ? [alert] : []));
    assert.deepEqual(Object.keys(ALERTS).sort(), own.sort());
  });

  it('bring the image to every device, and no standard name of the gateway is spoken', async () => {
    const image = await testImage('renamed', MIB, 61);
    const gateway = { settings: { names: overrides() } };
    const dmServers = [{ settings: { logMessages: true } }];
    await withLab('renamed', { devices: 2, offers: [image.offer], gateway, dmServers }, async (lab) => {
      lab.dm.renaming = renaming;
      const played = await playNineSteps({ lab, image, maxWanRatio: 1.01, timeoutMs: 30_000, observer: silent });
      const unproved = played.steps.filter(({ ok }) => !ok).map(({ step, proof }) => `step ${step}: ${proof}`);
      assert.deepEqual(unproved, []);
      assert.equal(played.steps.length, 9);
      assert.deepEqual(
        played.devices.map(({ ok }) => ok),
        [true, true],
      );
      assert.equal(await lab.read('./GwMO/ImageInventory?prop=Type'), 'com.example/2.0/ImageInventorys');
      assert.equal(await lab.read('./DMAcc?prop=Type'), 'urn:oma:mo:oma-dm-dmacc:1.0');
      assert.match((await lab.read('.')) ?? '', /^DevInfo\/DevDetail\/(Room\/Tuning\/Vendor|Vendor\/Room\/Tuning)$/);
      assert.equal(await lab.read('./DMAcc/dm1.lab/ServerID'), 'dm1.lab');
      assert.equal(await lab.read('./GwMO/Config/fanout/repeat'), '4');
      const spoken = lab.dm.messages(lab.gatewayId).map(({ message = '' }) => message);
      assert.ok(spoken.some((message) => message.includes('./Vendor/Media/Firmware/package1/i-4')));
      for (const message of spoken) {
        assert.doesNotMatch(message, /GwMO|ImageURI<|org\.dmgw|DMAcc\//);
      }
    });
  });
});
