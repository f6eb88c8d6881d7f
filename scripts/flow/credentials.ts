import { randomBytes } from 'node:crypto';

/** One side's proof towards the other, in the form that the configurations of gateway, server and device share. */
export interface Credentials {
  readonly scheme: 'md5' | 'basic';
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

/** Secrets and first nonces of a device and a DM Server, new each time. */
export function shareSecrets(deviceId: string, serverId: string): SharedAccount {
  const credentials = (name: string): Credentials => ({
    scheme: 'md5',
    name,
    secret: randomBytes(12).toString('base64url'),
    nonce: randomBytes(16).toString('base64'),
  });
  return { deviceId, client: credentials(deviceId), server: credentials(serverId) };
}
