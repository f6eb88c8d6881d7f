import { randomBytes } from 'node:crypto';

/** `mac` seals every message by `x-syncml-hmac`. */
export type Scheme = 'md5' | 'basic' | 'mac';

/** One side's proof towards the other, in the form that the configurations of gateway, server and device share. */
export interface Credentials {
  readonly scheme: Scheme;
  readonly name: string;
  readonly secret: string;
  readonly nonce: string;
}

/** What a device and a DM Server know of each other. */
export interface SharedAccount {
  readonly deviceId: string;
  /** How the device proves itself to the server. */
  readonly client: Credentials;
  /** How the server proves itself to the device, in sessions and in notifications. */
  readonly server: Credentials;
}

/** How a device and a DM Server prove themselves to each other. */
export interface Schemes {
  readonly client: Scheme;
  readonly server: Scheme;
}

/** Secrets and first nonces of a device and a DM Server, new each time. */
export function shareSecrets(
  deviceId: string,
  serverId: string,
  { client, server }: Schemes = { client: 'md5', server: 'md5' },
): SharedAccount {
  const credentials = (scheme: Scheme, name: string): Credentials => ({
    scheme,
    name,
    secret: randomBytes(12).toString('base64url'),
    nonce: randomBytes(16).toString('base64'),
  });
  return { deviceId, client: credentials(client, deviceId), server: credentials(server, serverId) };
}
