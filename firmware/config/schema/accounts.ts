import { choice, derived, exactOptional, flag, optional, section } from '../../shape/index.js';
import { filledLine, hosts, httpUrl, interval, keyFile, nonce, path, pattern, secret } from '../values.js';

/** What one side proves itself to the other with. */
const proofOf = (side: 'gateway' | 'server', other: 'gateway' | 'server', otherwise: string, when = '') =>
  section(
    {
      scheme: optional(
        choice(['md5', 'mac', 'basic', 'none'], `How the ${side} proves itself to the ${other}.`),
        'md5',
      ),
      name: exactOptional(filledLine(`User name of the ${side}.`, otherwise)),
      secret: exactOptional(secret(`Password of the ${side}; needed unless the scheme is none.`)),
      nonce: optional(
        nonce(
          `First nonce of md5 and mac for the ${side}'s digests, base64. Later ones are agreed on in sessions and kept.`,
        ),
        '',
      ),
    },
    `How the ${side} proves itself to the ${other}${when}.`,
  );

export const accountSchema = derived(
  section(
    {
      serverId: pattern(
        /^[\x21-\x25\x27-\x29\x2c-\x3c\x3e-\x7e]{1,255}$/,
        'a ServerID of 1 to 255 characters, without space, & * + =',
        'ServerID of the DM Server: stands in ACLs and in notifications.',
      ),
      name: exactOptional(filledLine('Name for people.', 'the serverId')),
      url: httpUrl('Where the DM Server holds sessions.'),
      allowInsecure: optional(
        flag('Permits http:// in `url`, where everybody on the way reads along, and basic without TLS.'),
        false,
      ),
      administrator: optional(flag('This server may change the settings in ./GwMO/Config, which hold for all.'), false),
      caFile: exactOptional(
        path('PEM file of the certificate authorities for this server; they replace the built-in ones.'),
      ),
      allowHosts: optional(
        hosts(16, 'Other hosts that this server may send its sessions to (RespURI, redirects).'),
        [],
      ),
      certFile: exactOptional(
        path('PEM file of the certificate, with its chain, that the gateway shows to this server.'),
      ),
      keyFile: exactOptional(keyFile()),
      intervalSeconds: exactOptional(
        interval(
          'From the end of a session with this server to the next one; 0: none by the clock.',
          '`session.intervalSeconds`',
        ),
      ),
      encoding: optional(
        choice(
          ['xml', 'wbxml'],
          'Encoding of the first message; then that in which the server answers, which is kept.',
        ),
        'xml',
      ),
      client: proofOf('gateway', 'server', 'the DevId'),
      server: proofOf('server', 'gateway', 'the serverId', ', in sessions and in notifications'),
    },
    'A DM Server that manages this gateway.',
  ),
  (account) => ({
    ...account,
    name: account.name ?? account.serverId,
    server: { ...account.server, name: account.server.name ?? account.serverId },
  }),
);
