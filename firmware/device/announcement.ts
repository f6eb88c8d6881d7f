import type { FoundService } from '../discovery/index.js';
import type { Prefixes } from '../net/index.js';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { checkLeaf, ENCAPSULATIONS, MODES, type DeviceLeaf } from './leaves.js';

/** The service type of End Devices that take DM notifications. */
export const END_DEVICE_TYPE = '_omadm-notify._udp';

/** What an End Device says of itself. Who it is and where are checked; its leaves are where they are written. */
export interface Announcement {
  readonly deviceId: string;
  readonly instance: string;
  /** `udp://192.168.1.57:2948`, in the LAN. */
  readonly address: string;
  readonly leaves: Readonly<Partial<Record<Exclude<DeviceLeaf, 'deviceId' | 'address'>, string | undefined>>>;
  /** SessionID that it acted on last, as it wrote it. */
  readonly sessionId: string | undefined;
}

export type AnnouncementError = CodedError<'no-device-id' | 'outside-lan' | 'invalid-value'>;

/** A DevId is a URI (DM 1.2 DevInfo), without spaces. */
const DEVICE_ID = /^[A-Za-z][A-Za-z0-9.+-]*:[\x21-\x7e]{1,200}$/;

const SESSION_ID = /^[0-9A-Za-z]{1,16}$/;

/**
 * Reads the TXT keys `devid`, `enc`, `groups`, `mode` and `sid` of an End Device. A wrong `devid` or no address in the LAN
 * makes it nobody; another wrong key changes nothing.
 * @param preferred address that is taken if it is still among those announced
 */
export function readAnnouncement(
  service: FoundService,
  lan: Prefixes,
  preferred: (deviceId: string) => string | null | undefined,
): Outcome<Announcement, AnnouncementError> {
  const { txt, port, instance } = service;
  const deviceId = txt.devid ?? '';
  if (!DEVICE_ID.test(deviceId) || !checkLeaf('deviceId', deviceId, lan).ok) {
    return failure('no-device-id', 'the TXT record has no devid that is a DevId');
  }
  const candidates = service.addresses
    .filter((address) => isUsable(address, lan))
    .map((address) => asEndpoint(address, port));
  const before = preferred(deviceId);
  const address = candidates.find((one) => one === before) ?? candidates.sort(byPreference)[0];
  if (address === undefined) return failure('outside-lan', 'none of its addresses lies in the LAN');
  const { enc, mode, groups } = txt;
  return success({
    deviceId,
    instance,
    address,
    leaves: {
      encapsulation: enc === ENCAPSULATIONS[0] ? undefined : enc,
      mode: mode === MODES[0] ? undefined : mode,
      groups,
      name: instance,
    },
    sessionId: txt.sid !== undefined && SESSION_ID.test(txt.sid) ? txt.sid : undefined,
  });
}

/** A group or broadcast address would carry a notification to many. */
function isUsable(address: string, lan: Prefixes): boolean {
  if (!lan.contains(address)) return false;
  return !/^(?:22[4-9]|23\d|255)\.|^0\.|\.255$/.test(address) && !/^ff/i.test(address);
}

function asEndpoint(address: string, port: number): string {
  return `udp://${address.includes(':') ? `[${address}]` : address}:${port}`;
}

/** IPv4 first, link-local IPv6 last: that has a zone, which means nothing outside this machine. */
function byPreference(a: string, b: string): number {
  const rank = (text: string): number => (text.includes('%') ? 2 : text.includes('[') ? 1 : 0);
  return rank(a) - rank(b);
}
