import type { DeviceLogEntry, EndDevice } from './end-device.js';

/** What came to the devices of a fanout, by their own logs. */
export interface Arrivals {
  /** Notifications that the gateway sent, as far as a device was there to count them. */
  readonly datagrams: number;
  /** Of them, those that the devices did not get. */
  readonly lost: number;
  /** Of them, those that found their device gone to another address. */
  readonly missed: number;
  /** Those that came to a device again. */
  readonly repeated: number;
  /** Devices that slept when the fanout began. */
  readonly woken: number;
  /** Devices that moved meanwhile. */
  readonly moved: number;
}

export function arrivalsOf(devices: readonly EndDevice[]): Arrivals {
  const sum = (of: (log: readonly DeviceLogEntry[], device: EndDevice) => number): number =>
    devices.reduce((total, device) => total + of(device.log(), device), 0);
  return {
    datagrams: sum(datagramsTo),
    lost: sum((log) => dropped(log, 'loss')),
    missed: sum((log) => dropped(log, 'moved')),
    repeated: sum((log) => count(log, ({ kind, opensSession }) => kind === 'notification' && opensSession === false)),
    woken: sum((log) => count(log, ({ kind }) => kind === 'awake')),
    moved: sum((log) => count(log, ({ kind }) => kind === 'moved')),
  };
}

/**
 * Whether the fanout kept to its policy with a device: it got its notification, was opened one session by it, was sent no
 * more than `repeat` for each time that it appeared, and nothing while it slept.
 * @returns what is wrong, if anything is
 */
export function breachOf(device: EndDevice, repeat: number): string | undefined {
  const log = device.log();
  const { moveTo, asleep = false } = device.traits;
  const opened = count(log, ({ opensSession }) => opensSession === true);
  if (opened !== 1) return `was opened ${opened} sessions`;
  if (dropped(log, 'asleep') > 0) return 'was sent a notification while it slept';
  const most = repeat * (moveTo === undefined ? 1 : 2);
  const came = datagramsTo(log, device);
  if (came > most) return `was sent ${came} notifications, at most ${most} are right`;
  const kinds = log.filter(({ opensSession }) => opensSession !== false).map(({ kind }) => kind);
  const first = kinds.indexOf('notification');
  if (asleep && first < kinds.indexOf('awake')) return 'was notified before it woke';
  if (moveTo !== undefined && !kinds.slice(0, first).includes('moved')) return 'was notified where it had been';
  return undefined;
}

function datagramsTo(log: readonly DeviceLogEntry[], { traits }: EndDevice): number {
  const taken = count(log, ({ kind }) => kind === 'notification') / (traits.duplicates === true ? 2 : 1);
  return taken + count(log, ({ kind }) => kind === 'dropped');
}

function dropped(log: readonly DeviceLogEntry[], why: DeviceLogEntry['reason']): number {
  return count(log, ({ kind, reason }) => kind === 'dropped' && reason === why);
}

function count(log: readonly DeviceLogEntry[], fits: (entry: DeviceLogEntry) => boolean): number {
  return log.filter(fits).length;
}
