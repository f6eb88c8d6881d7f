import { exactOptional, flag, optional, section, whole } from '../../shape/index.js';
import { addresses, keyFile, networkInterfaces, path, pattern, port, prefixes } from '../values.js';

export const serveSchema = section(
  {
    listen: optional(
      addresses(
        16,
        'Addresses on which images are served; each must lie in `lan.prefixes`, and be there at the start.',
      ),
      [],
    ),
    interfaces: optional(
      networkInterfaces(
        'Images are served on their addresses in `lan.prefixes` too, also on those that come later; the DM Server is told when LocalImageURI changes with them.',
      ),
      [],
    ),
    port: optional(port('TCP port.'), 8180),
    allowPrefixes: optional(
      prefixes(
        'The only addresses that images are served to; the connections of others are closed. Empty: every address.',
      ),
      [],
    ),
    publicHost: exactOptional(
      pattern(
        /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})(?:\.[A-Za-z0-9][A-Za-z0-9-]{0,62}){0,15}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$/,
        'a host name or an IP address',
        'Host in LocalImageURI.',
        'the first address of `serve.listen`, else of `serve.interfaces`',
      ),
    ),
    tokenHours: optional(
      whole(
        0,
        8760,
        'LocalImageURI carries a token that is good in `lan.prefixes` only, and expires after so long; the DM Server is told of the next one after half of it. 0: no token.',
      ),
      0,
    ),
    certFile: exactOptional(
      path(
        'PEM file of the certificate, with its chain, of the image server: images are served by https. Read anew when it changes.',
      ),
    ),
    keyFile: exactOptional(keyFile()),
    cutThrough: optional(
      flag(
        'Images whose Digest and size are known are served while they come in: LocalImageURI is assigned with their first durable bytes, and a device that reads ahead waits for more.',
      ),
      false,
    ),
    maxConnections: optional(whole(1, 4096, 'Connections at the same time; more are refused.'), 64),
    maxConnectionsPerAddress: optional(whole(1, 4096, 'Of them, from one address.'), 8),
    idleTimeoutSeconds: optional(whole(1, 3600, 'Silence of an End Device that ends its connection.'), 60),
    minBytesPerSecond: optional(
      whole(1, 1_048_576, 'An End Device that takes an image more slowly than this is disconnected.'),
      1024,
    ),
    minRateSeconds: optional(whole(10, 3600, '`minBytesPerSecond` is an average over so long.'), 60),
  },
  'The image server in the LAN (LocalImageURI).',
);
