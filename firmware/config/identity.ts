import { readFileSync } from 'node:fs';
import { describeThrown, failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import type { DeviceConfiguration } from './schema.js';
import { DEVICE_ID, DEVICE_ID_ALLOWED } from './values.js';

export type IdentityErrorCode =
  | 'unreadable' // the file, or the interface, is not there (yet)
  | 'malformed'; // what it says is no DevId

/**
 * The gateway's DevId: as configured, from a file, or made of an interface's MAC address.
 * @param interfaces folder in which the system shows its network interfaces
 */
export function resolveDevId(
  device: Pick<DeviceConfiguration, 'devId' | 'devIdFile' | 'devIdInterface'>,
  interfaces = '/sys/class/net',
): Outcome<string, CodedError<IdentityErrorCode>> {
  if (device.devId !== undefined) return success(device.devId);
  if (device.devIdFile !== undefined) return fromFile(device.devIdFile);
  if (device.devIdInterface !== undefined) return fromInterface(device.devIdInterface, interfaces);
  throw new Error('the configuration has no source of a DevId');
}

function fromFile(file: string): Outcome<string, CodedError<IdentityErrorCode>> {
  const line = readLine('device.devIdFile', file);
  if (!line.ok || DEVICE_ID.test(line.value)) return line;
  return failure('malformed', `device.devIdFile: ${file} does not hold ${DEVICE_ID_ALLOWED}`);
}

function fromInterface(name: string, interfaces: string): Outcome<string, CodedError<IdentityErrorCode>> {
  const line = readLine('device.devIdInterface', `${interfaces}/${name}/address`);
  if (!line.ok) return line;
  const digits = line.value.replaceAll(':', '').toUpperCase();
  if (/^[0-9A-F]{12}$/.test(digits) && !/^0+$/.test(digits)) return success(`MAC:${digits}`);
  return failure('malformed', `device.devIdInterface: ${name} has no MAC address; expected an Ethernet interface`);
}

function readLine(key: string, file: string): Outcome<string, CodedError<IdentityErrorCode>> {
  try {
    return success(readFileSync(file, 'utf8').trim());
  } catch (thrown) {
    return failure('unreadable', `${key}: ${file} cannot be read (${describeThrown(thrown)})`, thrown);
  }
}
