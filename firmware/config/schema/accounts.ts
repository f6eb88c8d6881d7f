import * as v from 'valibot';
import {
  choice,
  filledText,
  flag,
  hosts,
  httpUrl,
  interval,
  keyFile,
  nonce,
  path,
  pattern,
  secret,
  section,
} from '../values.js';

const firstNonce = (whose: string) =>
  v.optional(
    nonce(
      `First nonce of md5 and mac for the ${whose}'s digests, base64. Later ones are agreed on in sessions and kept.`,
    ),
    '',
  );

const scheme = (what: string) => v.optional(choice(['md5', 'mac', 'basic', 'none'], what), 'md5');

export const accountSchema = v.pipe(
  section(
    {
      serverId: pattern(
        /^[\x21-\x25\x27-\x29\x2c-\x3c\x3e-\x7e]{1,255}$/,
        'a ServerID of 1 to 255 characters, without space, & * + =',
        'ServerID of the DM Server: stands in ACLs and in notifications.',
      ),
      name: v.exactOptional(filledText('Name for people.', 'the serverId')),
      url: httpUrl('Where the DM Server holds sessions.'),
      allowInsecure: v.optional(
        flag('Permits http:// in `url`, where everybody on the way reads along, and basic without TLS.'),
        false,
      ),
      administrator: v.optional(
        flag('This server may change the settings in ./GwMO/Config, which hold for all.'),
        false,
      ),
      caFile: v.exactOptional(
        path('PEM file of the certificate authorities for this server; they replace the built-in ones.'),
      ),
      allowHosts: v.optional(
        hosts(16, 'Other hosts that this server may send its sessions to (RespURI, redirects).'),
        [],
      ),
      certFile: v.exactOptional(
        path('PEM file of the certificate, with its chain, that the gateway shows to this server.'),
      ),
      keyFile: v.exactOptional(keyFile()),
      intervalSeconds: v.exactOptional(
        interval(
          'From the end of a session with this server to the next one; 0: none by the clock.',
          '`session.intervalSeconds`',
        ),
      ),
      encoding: v.optional(
        choice(
          ['xml', 'wbxml'],
          'Encoding of the first message; then that in which the server answers, which is kept.',
        ),
        'xml',
      ),
      client: section(
        {
          scheme: scheme('How the gateway proves itself to the server.'),
          name: v.exactOptional(filledText('User name of the gateway.', 'the DevId')),
          secret: v.exactOptional(secret('Password of the gateway; needed unless the scheme is none.')),
          nonce: firstNonce('gateway'),
        },
        'How the gateway proves itself to the server.',
      ),
      server: section(
        {
          scheme: scheme('How the server proves itself to the gateway.'),
          name: v.exactOptional(filledText('User name of the server.', 'the serverId')),
          secret: v.exactOptional(secret('Password of the server; needed unless the scheme is none.')),
          nonce: firstNonce('server'),
        },
        'How the server proves itself to the gateway, in sessions and in notifications.',
      ),
    },
    'A DM Server that manages this gateway.',
  ),
  v.transform((account) => ({
    ...account,
    name: account.name ?? account.serverId,
    server: { ...account.server, name: account.server.name ?? account.serverId },
  })),
);
