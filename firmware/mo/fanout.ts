import type { Outbox } from '../dm/index.js';
import {
  FANOUT_STATE_NUMBER,
  MAX_NOTIFICATION_BYTES,
  type FanoutError,
  type FanoutErrorCode,
  type FanoutEvent,
  type FanoutLeaf,
  type FanoutRecord,
  type Fanouts,
  type LeafValue as FanoutValue,
  type TargetLeaf,
  type TargetRecord,
} from '../notify/index.js';
import { success, type Outcome } from '../outcome/index.js';
import {
  formatNodeUri,
  treeFailure,
  type LeafValue,
  type Mount,
  type NodeDefinition,
  type Provider,
  type TreeErrorCode,
  type TreeOutcome,
} from '../tree/index.js';
import { Definer, unversioned } from './define.js';
import type { Names } from './names.js';
import { RecordProvider, type RecordLeaf } from './records.js';
import { Scomo } from './scomo.js';

const MAX_TEXT = { maxBytes: 255 };
const MAX_PACKAGE0 = { maxBytes: MAX_NOTIFICATION_BYTES, type: 'application/vnd.syncml.notification' };
const MAX_TARGETS = { maxBytes: 512 * 1024 };

/** The nodes of the object, for the tree and for the description of the device. */
export function fanoutDefinition(names: Names): NodeDefinition {
  const define = new Definer('Fanout', names);
  // There may be thousands: their changes are not counted.
  const target = unversioned(
    define.many('GAD', 'One device and its notification', [
      define.leaf('DeviceID', 'chr', 'GRA', 'DevId of the device', MAX_TEXT),
      define.leaf('Notification', 'bin', 'RA', 'Package#0 for this device', MAX_PACKAGE0),
      define.leaf(
        'Status',
        'int',
        'G',
        '0 waiting, 1 sent, 2 reacted, 3 unknown device, 4 unreachable, 5 gave up, 6 stopped',
      ),
      define.leaf('Reacted', 'bool', 'RA', 'The server tells that the device opened its session'),
    ]),
  );
  return define.root(
    'Notification fanouts',
    [
      {
        ...define.many('GAD', 'One fanout', [
          define.leaf('Type', 'chr', 'GRA', 'notification', { ...MAX_TEXT, defaultValue: 'notification' }),
          define.leaf('Targets', 'chr', 'GRA', 'DeviceIDs, group:<name> or *, one a line', MAX_TARGETS),
          define.leaf('Notification', 'bin', 'RA', 'Package#0 for targets without their own', MAX_PACKAGE0),
          define.interior('Target', 'G', 'Devices with their own notification, and the outcome for each', [target]),
          define.leaf('Repeat', 'int', 'GRA', 'How often at most it is sent to a device that does not react'),
          define.leaf('Interval', 'int', 'GRA', 'Seconds before the first repetition, doubled each time'),
          define.leaf('Lifetime', 'int', 'GRA', 'Seconds after which the fanout ends'),
          define.leaf('Rate', 'int', 'GRA', 'New devices per second; 0 as the image server has room, -1 unlimited'),
          define.leaf('WaveSize', 'int', 'GRA', 'Devices per wave, 0 for one wave', { defaultValue: '0' }),
          define.leaf('AbortAfterFailures', 'int', 'GRA', 'Failures after which the fanout is aborted, 0 for never', {
            defaultValue: '0',
          }),
          define.leaf('ImageRef', 'chr', 'GRA', 'ImageID whose retrieval counts as a reaction', MAX_TEXT),
          define.leaf('State', 'int', 'G', '10 Idle, 20 Running, 30 Done, 40 Stopped, 50 Aborted'),
          define.interior('Result', 'G', 'Counters', [
            define.leaf('Total', 'int', 'G', 'Targets'),
            define.leaf('Sent', 'int', 'G', 'Targets that a notification was sent to'),
            define.leaf('Reacted', 'int', 'G', 'Targets that reacted'),
            define.leaf('Failed', 'int', 'G', 'Targets that are unknown, unreachable, or were given up'),
          ]),
          define.interior('Operations', 'G', 'What can be done with the fanout', [
            define.leaf('Start', 'null', 'X', 'Starts it'),
            define.leaf('Stop', 'null', 'X', 'Stops it'),
          ]),
        ]),
        ownedByCreator: true,
      },
    ],
    'Add=*&Get=*',
  );
}

/** ./GwMO/Fanout: DM Notifications handed over for many devices at once. */
export function fanout(names: Names, fanouts: Fanouts, outbox: Outbox): Mount {
  fanouts.onEvent((event) => tellServer(names, outbox, event));
  return {
    place: names.place('Fanout'),
    definition: fanoutDefinition(names),
    provider: new RecordProvider<FanoutRecord>({
      idOf: (record) => String(record.id),
      find: (name) => fanouts.byNode(name),
      names: (after, limit) => fanouts.nodes(after, limit).map((record) => record.node),
      create: (name, by) => outcome(fanouts.create(name, by.serverId)),
      remove: (record) => outcome(fanouts.remove(record.id)),
      rename: (record, name) => {
        const renamed = outcome(fanouts.rename(record.id, name));
        if (renamed.ok) outbox.moved(nodeUri(names, record.node), nodeUri(names, name));
        return renamed;
      },
      leaves: leaves(fanouts),
      operations: {
        'Operations/Start': (record, { by, correlator }) => {
          const started = fanouts.start(record.id, by.serverId, correlator);
          return started.ok ? success('accepted') : treeError(started.error);
        },
        'Operations/Stop': (record, { by, correlator }) => {
          const stopped = fanouts.stop(record.id, {
            requester: by.serverId,
            ...(correlator !== undefined && { correlator }),
          });
          return stopped.ok ? success('accepted') : treeError(stopped.error);
        },
      },
      collections: { Target: (record) => targets(fanouts, record.id) },
    }),
  };
}

function leaves(fanouts: Fanouts): Record<string, RecordLeaf<FanoutRecord>> {
  const write = (leaf: FanoutLeaf, convert: (value: LeafValue) => FanoutValue): RecordLeaf<FanoutRecord> => ({
    read: (record) => asNode(fanouts.getLeaf(record.id, leaf)),
    write: (record, value) => outcome(fanouts.setLeaf(record.id, leaf, convert(value))),
    remove: (record) => outcome(fanouts.setLeaf(record.id, leaf, null)),
  });
  const counter = (pick: 'total' | 'sent' | 'reacted' | 'failed'): RecordLeaf<FanoutRecord> => ({
    read: (record) => String(fanouts.counters(record.id)?.[pick] ?? 0),
  });
  return {
    Type: write('type', String),
    Targets: write('targets', String),
    Notification: write('notification', asOctets),
    Repeat: write('repeat', Number),
    Interval: write('interval', Number),
    Lifetime: write('lifetime', Number),
    Rate: write('rate', Number),
    WaveSize: write('waveSize', Number),
    AbortAfterFailures: write('abortAfterFailures', Number),
    ImageRef: write('imageRef', String),
    State: { read: (record) => String(FANOUT_STATE_NUMBER[record.state]) },
    'Result/Total': counter('total'),
    'Result/Sent': counter('sent'),
    'Result/Reacted': counter('reacted'),
    'Result/Failed': counter('failed'),
  };
}

function targets(fanouts: Fanouts, fanoutId: number): Provider {
  const write = (leaf: TargetLeaf, convert: (value: LeafValue) => FanoutValue): RecordLeaf<TargetRecord> => ({
    read: (target) => asNode(fanouts.getTargetLeaf(fanoutId, target.name, leaf)),
    write: (target, value) => outcome(fanouts.setTargetLeaf(fanoutId, target.name, leaf, convert(value))),
    remove: (target) => outcome(fanouts.setTargetLeaf(fanoutId, target.name, leaf, null)),
  });
  return new RecordProvider<TargetRecord>({
    idOf: (target) => String(target.id),
    find: (name) => fanouts.target(fanoutId, name),
    names: (after, limit) => fanouts.targets(fanoutId, after, limit).map((target) => target.name),
    create: (name) => outcome(fanouts.addTarget(fanoutId, name)),
    remove: (target) => outcome(fanouts.removeTarget(fanoutId, target.name)),
    rename: (target, name) => outcome(fanouts.renameTarget(fanoutId, target.name, name)),
    leaves: {
      DeviceID: write('deviceId', String),
      Notification: write('notification', asOctets),
      Status: { read: (target) => String(target.status) },
      Reacted: write('reacted', (value) => value === 'true'),
    },
    operations: {},
    collections: {},
  });
}

/**
 * Runs inside the transaction that ends the fanout: the alert exists exactly if the report does. Whoever stopped it
 * hears of the end too.
 */
function tellServer(names: Names, outbox: Outbox, event: FanoutEvent): void {
  const { total, sent, reacted, failed } = event.counters;
  const whole = event.kind === 'finished' && failed === 0;
  for (const { requester, correlator } of event.stop ? [event, event.stop] : [event]) {
    if (requester === undefined) continue;
    outbox.put({
      serverId: requester,
      source: nodeUri(names, event.fanout.node),
      type: names.alertType('fanoutFinished'),
      format: 'chr',
      mark: whole ? 'informational' : 'warning',
      data: `${whole ? Scomo.SUCCESS : Scomo.UNDEFINED_ERROR} total=${total} sent=${sent} reacted=${reacted} failed=${failed}`,
      ...(correlator !== undefined && { correlator }),
    });
  }
}

function nodeUri(names: Names, node: string): string {
  return formatNodeUri([...names.place('Fanout'), node]);
}

const TREE_ERROR: Readonly<Record<FanoutErrorCode, TreeErrorCode>> = {
  'no-such-fanout': 'not-found',
  'no-such-target': 'not-found',
  'node-exists': 'already-exists',
  running: 'busy',
  'not-running': 'failed',
  'no-targets': 'failed',
  'no-notification': 'failed',
  'target-without-device': 'failed',
  'device-id-taken': 'already-exists',
  'invalid-value': 'bad-value',
  'too-long': 'too-large',
  'too-many': 'full',
};

function treeError(error: FanoutError): TreeOutcome<never> {
  return treeFailure(TREE_ERROR[error.code], error.text);
}

function outcome(result: Outcome<unknown, FanoutError>): TreeOutcome {
  return result.ok ? success() : treeError(result.error);
}

function asNode(value: FanoutValue | null | undefined): LeafValue | null {
  if (value === null || value === undefined) return null;
  return value instanceof Uint8Array ? value : String(value);
}

function asOctets(value: LeafValue): Uint8Array {
  return typeof value === 'string' ? Buffer.from(value) : value;
}
