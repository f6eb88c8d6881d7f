import { lateCrypto } from '../late/index.js';

/** Readable part of the name; with the hash the name stays within 32 octets, which DM clients commonly allow a segment. */
const READABLE_CHARS = 23;
const HASH_CHARS = 8;

/**
 * The node name of a record that no server named: readable, the same for the same DeviceID on every gateway.
 * @param attempt 0, or more when the name before was taken
 */
export function nodeNameFor(deviceId: string, attempt: number): string {
  const readable = deviceId.replace(/[^A-Za-z0-9_-]+/g, '-').slice(0, READABLE_CHARS);
  const hash = lateCrypto().createHash('sha256').update(`${attempt}:${deviceId}`).digest('hex').slice(0, HASH_CHARS);
  return `${readable}-${hash}`;
}
