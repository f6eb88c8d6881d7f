import type { AccountConfiguration, Configuration } from './schema/index.js';

/** An account of the configuration as the DM client wants it: nothing left to default, nonces as octets. */
export interface ConfiguredAccount {
  readonly serverId: string;
  readonly name: string;
  readonly url: string;
  readonly encoding: 'xml' | 'wbxml';
  readonly client: ConfiguredCredentials;
  readonly server: ConfiguredCredentials;
}

export interface ConfiguredCredentials {
  readonly scheme: 'basic' | 'md5' | 'mac' | 'none';
  readonly name: string;
  readonly secret: string;
  readonly nonce: Uint8Array;
}

/** @param devId the gateway's DevId: its user name where the account gives none */
export function accountSettings(configuration: Configuration, devId: string): ConfiguredAccount[] {
  return configuration.accounts.map(({ serverId, name, url, encoding, client, server }) => ({
    serverId,
    name,
    url,
    encoding,
    client: credentials(client, devId),
    server: credentials(server, serverId),
  }));
}

function credentials(
  { scheme, name, secret, nonce }: AccountConfiguration['client'],
  defaultName: string,
): ConfiguredCredentials {
  return {
    scheme,
    name: name ?? defaultName,
    secret: secret ?? '',
    nonce: new Uint8Array(Buffer.from(nonce, 'base64')),
  };
}
