import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { describeThrown, failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import type { DeviceConfiguration } from './schema/index.js';
import { DEVICE_ID, DEVICE_ID_ALLOWED } from './values.js';

export type IdentityErrorCode =
  | 'unreadable' // the file, the partition or the interface is not there (yet), or may not be read
  | 'malformed'; // what it says is no DevId

type Found = Outcome<string, CodedError<IdentityErrorCode>>;

/** Where the system shows what a DevId is made of. */
export interface IdentityPlaces {
  /** Folder of the network interfaces. */
  readonly interfaces: string;
  /** Table of MTD partitions, and the folder of their devices. */
  readonly mtd: string;
  readonly devices: string;
  /** Folder of the partitions of disks by their labels. */
  readonly labels: string;
}

const SYSTEM: IdentityPlaces = {
  interfaces: '/sys/class/net',
  mtd: '/proc/mtd',
  devices: '/dev',
  labels: '/dev/disk/by-partlabel',
};

type Sources = Pick<DeviceConfiguration, 'devId' | 'devIdFile' | 'devIdInterface' | 'devIdPartition'> & {
  readonly devIdPrefix?: string;
};

/** The gateway's DevId: as configured, from a file or a factory partition, or made of an interface's MAC address. */
export function resolveDevId(device: Sources, places: Partial<IdentityPlaces> = {}): Found {
  const at = { ...SYSTEM, ...places };
  const { devIdPrefix = '' } = device;
  if (device.devId !== undefined) return success(device.devId);
  if (device.devIdFile !== undefined) return fromFile(device.devIdFile, devIdPrefix);
  if (device.devIdInterface !== undefined) return fromInterface(device.devIdInterface, at.interfaces);
  if (device.devIdPartition !== undefined) return fromPartition(device.devIdPartition, devIdPrefix, at);
  throw new Error('the configuration has no source of a DevId');
}

function fromFile(file: string, prefix: string): Found {
  const line = readLine('device.devIdFile', file);
  return line.ok ? checked(prefix, line.value, 'device.devIdFile', file) : line;
}

function fromInterface(name: string, interfaces: string): Found {
  const line = readLine('device.devIdInterface', `${interfaces}/${name}/address`);
  if (!line.ok) return line;
  return (
    macId(line.value.replaceAll(':', '')) ??
    noMac('device.devIdInterface', `${name} has no MAC address; expected an Ethernet interface`)
  );
}

function fromPartition(
  { name, offset, form, length }: NonNullable<Sources['devIdPartition']>,
  prefix: string,
  at: IdentityPlaces,
): Found {
  const key = 'device.devIdPartition';
  const device = partitionNamed(name, at);
  if (device === undefined) return failure('unreadable', `${key}: there is no partition '${name}'`);
  const octets = Buffer.alloc(form === 'mac' ? MAC_BYTES : length);
  try {
    const fd = openSync(device, 'r');
    try {
      const bytes = readSync(fd, octets, 0, octets.length, offset);
      if (form === 'mac') {
        const digits = bytes === MAC_BYTES ? octets.toString('hex') : '';
        return macId(digits) ?? noMac(key, `no MAC address of a device stands at ${offset} of ${device}`);
      }
      const text = octets.toString('latin1', 0, bytes).replace(/[\0\xff][^]*$/, '');
      return checked(prefix, text.trim(), key, `${device} at ${offset}`);
    } finally {
      closeSync(fd);
    }
  } catch (thrown) {
    return failure('unreadable', `${key}: ${device} cannot be read (${describeThrown(thrown)})`, thrown);
  }
}

const MAC_BYTES = 6;

function partitionNamed(name: string, { mtd, devices, labels }: IdentityPlaces): string | undefined {
  const table = existsSync(mtd) ? readFileSync(mtd, 'utf8') : '';
  for (const line of table.split('\n')) {
    const [, number, found] = /^(mtd\d+): .*"(.*)"$/.exec(line) ?? [];
    if (number !== undefined && found === name) return `${devices}/${number}`;
  }
  return existsSync(`${labels}/${name}`) ? `${labels}/${name}` : undefined;
}

/** @param digits twelve of them. Undefined for an address that is empty, erased, or a group's. */
function macId(digits: string): Found | undefined {
  const isOfADevice = /^[0-9A-F][02468ACE][0-9A-F]{10}$/i.test(digits) && !/^0+$/.test(digits);
  return isOfADevice ? success(`MAC:${digits.toUpperCase()}`) : undefined;
}

function noMac(key: string, text: string): Found {
  return failure('malformed', `${key}: ${text}`);
}

/** A prefix alone is the DevId of no device. */
function checked(prefix: string, text: string, key: string, where: string): Found {
  const devId = `${prefix}${text}`;
  if (text !== '' && DEVICE_ID.test(devId)) return success(devId);
  return failure('malformed', `${key}: ${where} does not hold ${DEVICE_ID_ALLOWED}`);
}

/** What the device tree says ends with a NUL. */
function readLine(key: string, file: string): Found {
  try {
    return success(readFileSync(file, 'utf8').replace(/\0+$/, '').trim());
  } catch (thrown) {
    return failure('unreadable', `${key}: ${file} cannot be read (${describeThrown(thrown)})`, thrown);
  }
}
