import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describeThrown, failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import type { AccountConfiguration, Configuration } from './schema.js';

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
  readonly scheme: 'basic' | 'md5' | 'none';
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

export type AuthorityErrorCode = 'unreadable' | 'not-a-certificate';

/**
 * Reads every `caFile` of the configuration: path -> PEM. Fails naming the key, when a file cannot be read or holds no
 * certificate.
 */
export function readAuthorities(
  configuration: Configuration,
): Outcome<ReadonlyMap<string, string>, CodedError<AuthorityErrorCode>> {
  const files = [
    ...configuration.accounts.map(({ caFile }, index) => ({ key: `accounts[${index}].caFile`, caFile })),
    { key: 'retrieve.caFile', caFile: configuration.retrieve.caFile },
  ];
  const authorities = new Map<string, string>();
  for (const { key, caFile } of files) {
    if (caFile === undefined || authorities.has(caFile)) continue;
    try {
      authorities.set(caFile, readFileSync(caFile, 'utf8'));
    } catch (thrown) {
      return failure('unreadable', `${key}: ${caFile} cannot be read (${describeThrown(thrown)})`, thrown);
    }
    try {
      new X509Certificate(authorities.get(caFile) ?? '');
    } catch (thrown) {
      return failure('not-a-certificate', `${key}: ${caFile} holds no certificate; expected PEM`, thrown);
    }
  }
  return success(authorities);
}
