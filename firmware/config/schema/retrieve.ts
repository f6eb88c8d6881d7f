import { choice, exactOptional, flag, list, optional, section, whole } from '../../shape/index.js';
import {
  hosts,
  longestRetry,
  origin,
  path,
  pattern,
  prefixes,
  secret,
  signatureKey,
  timeZone,
  weeklyWindow,
} from '../values.js';

const userName = (help: string) =>
  pattern(/^[^:\u0000-\u001f\u007f]{1,255}$/, 'text of 1 to 255 characters on one line, without colon', help);

const credentialSchema = section(
  {
    origin: origin('The server that is shown the credential; no other is, also behind a redirect.'),
    scheme: optional(choice(['basic', 'bearer'], 'User name and password, or a token.'), 'basic'),
    name: exactOptional(userName('User name; needed for basic.')),
    secret: secret('Password or token.'),
    allowInsecure: optional(
      flag('Permits http:// in `origin`, where everybody on the way reads the credential.'),
      false,
    ),
  },
  'What a download server is shown.',
);

const proxySchema = section(
  {
    url: exactOptional(origin('An HTTP proxy that images come through, such as http://10.0.0.2:3128.')),
    name: exactOptional(userName('User name for the proxy (basic).')),
    secret: exactOptional(secret('Password for the proxy.')),
    exceptHosts: optional(hosts(64, 'Hosts that are reached without the proxy.'), []),
  },
  'What images come through. It finds the addresses of names in the place of the gateway, which cannot check them then.',
);

export const retrieveSchema = section(
  {
    allowPrefixes: optional(
      prefixes('Where ImageURI may lead although the addresses are not global (loopback, private, the LAN).'),
      [],
    ),
    denyPrefixes: optional(
      prefixes('Where ImageURI must not lead although the addresses are global; stronger than `allowPrefixes`.'),
      [],
    ),
    allowHosts: optional(
      hosts(64, 'The only hosts that ImageURI, a download descriptor and a redirect may name; empty: every host.'),
      [],
    ),
    credentials: optional(
      list(credentialSchema, { to: 16 }, 'What download servers are shown, each its own.', 'credentials'),
      [],
    ),
    proxy: optional(proxySchema, {}),
    signatureKeys: optional(
      list(
        signatureKey(),
        { to: 16 },
        'Public Ed25519 keys of those who may sign images (Signature): PEM files, or keys in base64.',
        'keys',
      ),
      [],
    ),
    requireSignature: optional(flag('Refuses images without Signature.'), false),
    allowHttpsToHttp: optional(flag('Follows a redirect from https:// to http://.'), false),
    caFile: exactOptional(
      path('PEM file of the certificate authorities for download servers; they replace the built-in ones.'),
    ),
    concurrent: optional(whole(1, 8, 'Retrievals at the same time.'), 2),
    fsyncVolumeMiB: optional(
      whole(
        1,
        256,
        'An interrupted retrieval fetches at most so much again: half of it is flushed to the disk while the other half comes in. More is faster where a flush costs much, and wears the flash less; less loses less.',
      ),
      16,
    ),
    idleTimeoutSeconds: optional(whole(1, 3600, 'Silence of a download server that counts as a failure.'), 60),
    minBytesPerSecond: optional(
      whole(0, 1_000_000, 'Fewer bytes than this on average over `idleTimeoutSeconds` count as silence.'),
      64,
    ),
    maxBytesPerSecond: optional(
      whole(0, 1_000_000_000, 'Rate of all retrievals together; 0: as fast as the network is.'),
      0,
    ),
    maxBytesPerSecondPerImage: optional(whole(0, 1_000_000_000, 'Rate of each retrieval; 0: no cap of its own.'), 0),
    windows: optional(
      list(
        weeklyWindow(),
        { to: 32 },
        'When images may come in, by the wall clock of `timeZone`; a window over midnight belongs to the day on which it begins. Outside of them retrievals wait. Empty: always.',
        'windows',
      ),
      [],
    ),
    timeZone: optional(
      timeZone('Where the gateway is, for `windows`: OpenWrt has the same text in `system.@system[0].timezone`.'),
      'UTC0',
    ),
    meteredFile: exactOptional(
      path(
        'A file by which other software says that the link is metered: retrievals wait while it is there, unless it holds 0, no, false, off or unmetered. Looked at every 5 s; keep it in memory.',
      ),
    ),
    meteredMinPriority: exactOptional(
      whole(
        -2_147_483_648,
        2_147_483_647,
        'Images with this Priority or a higher one come in over a metered link too; without it none.',
      ),
    ),
    retryFirstSeconds: optional(whole(1, 3600, 'At most so long before a failed retrieval is tried again.'), 5),
    retryMaxSeconds: optional(longestRetry(), 600),
    maxTriesWithoutProgress: optional(
      whole(1, 1000, 'Tries in a row that bring no byte before the retrieval fails.'),
      20,
    ),
  },
  'Retrieval of images (ImageURI).',
);
