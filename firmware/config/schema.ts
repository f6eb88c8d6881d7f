import * as v from 'valibot';
import { TUNABLE_KEYS } from './tunable-keys.js';
import {
  address,
  choice,
  deviceAddress,
  deviceId,
  filledText,
  flag,
  foreignSection,
  host,
  httpUrl,
  list,
  namesOf,
  nonce,
  origin,
  path,
  pattern,
  prefix,
  secret,
  section,
  signatureKey,
  text,
  timeZone,
  weeklyWindow,
  whole,
} from './values.js';

const DAY_SECONDS = 86_400;

/** Longest interval, in seconds: two weeks, because a timer of Node.js holds 24 days. */
const MAX_INTERVAL_SECONDS = 14 * DAY_SECONDS;

const firstNonce = (whose: string) =>
  v.optional(
    nonce(
      `First nonce of md5 and mac for the ${whose}'s digests, base64. Later ones are agreed on in sessions and kept.`,
    ),
    '',
  );

const scheme = (what: string) => v.optional(choice(['md5', 'mac', 'basic', 'none'], what), 'md5');

const accountSchema = v.pipe(
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
        list(
          host(),
          { to: 16 },
          'Other hosts that this server may send its sessions to (RespURI, redirects).',
          'hosts',
        ),
        [],
      ),
      certFile: v.exactOptional(
        path('PEM file of the certificate, with its chain, that the gateway shows to this server.'),
      ),
      keyFile: v.exactOptional(path('PEM file of the private key of `certFile`; mode 0600.')),
      intervalSeconds: v.exactOptional(
        whole(
          0,
          MAX_INTERVAL_SECONDS,
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

const endDeviceSchema = section(
  {
    name: v.optional(text('Name for people.'), ''),
    deviceId: deviceId('DevId of the End Device.'),
    address: deviceAddress('Where its notifications are sent; must lie in `lan.prefixes`.'),
    encapsulation: v.optional(
      choice(['wsp', 'raw'], 'How Package#0 is wrapped: in a WAP push (wsp) or not at all (raw).'),
      'wsp',
    ),
    groups: v.optional(
      list(
        pattern(/^[\w.-]{1,64}$/, 'a name of letters, digits, . _ - (1 to 64)', 'Name of a group.'),
        { to: 32 },
        'Groups that a fanout can name as `group:<name>`.',
        'names',
      ),
      [],
    ),
    mode: v.optional(choice(['transparent', 'proxy', 'adaptation'], 'How the device is managed.'), 'transparent'),
    componentType: v.optional(choice(['EndDevice', 'DMGateway'], 'What it is.'), 'EndDevice'),
  },
  'An End Device that is known beforehand.',
);

const deviceSchema = v.pipe(
  section(
    {
      devId: v.exactOptional(
        deviceId('DevId of the gateway. One of devId, devIdFile, devIdInterface and devIdPartition is needed.'),
      ),
      devIdFile: v.exactOptional(
        path('File that holds the DevId, or with `devIdPrefix` a serial number (/proc/device-tree/serial-number).'),
      ),
      devIdPrefix: v.optional(
        pattern(
          /^(?:[A-Za-z][A-Za-z0-9.+-]*:[\x21-\x7e]{0,100})?$/,
          'the beginning of a device identifier such as urn:dev:ops:00D09E-R1-',
          'Stands before what `devIdFile`, or `devIdPartition` as text, holds.',
        ),
        '',
      ),
      devIdPartition: v.exactOptional(
        section(
          {
            name: pattern(
              /^[\w.: -]{1,64}$/,
              'the name of a partition such as factory',
              'Name of the MTD partition (/proc/mtd), or label of the partition of a disk.',
            ),
            offset: whole(0, 0x7fff_ffff, 'Where it begins, in bytes.'),
            form: v.optional(
              choice(['mac', 'text'], 'Six octets of a MAC address, which make `MAC:001122AABBCC`, or text.'),
              'mac',
            ),
            length: v.optional(whole(1, 200, 'Octets of the text at most; it ends before a 00 or FF.'), 64),
          },
          'Where a factory partition holds the DevId.',
        ),
      ),
      devIdInterface: v.exactOptional(
        pattern(
          /^[^/\s]{1,15}$/,
          'the name of a network interface such as eth0',
          'Network interface whose MAC address makes the DevId: `MAC:001122AABBCC`.',
        ),
      ),
      manufacturer: filledText('DevInfo Man.'),
      model: filledText('DevInfo Mod.'),
      type: v.optional(filledText('DevDetail DevTyp.'), 'gateway'),
      oem: v.exactOptional(filledText('DevDetail OEM.', 'the manufacturer')),
      firmwareVersion: v.optional(text('DevDetail FwV: version of the router firmware.'), ''),
      softwareVersion: v.exactOptional(text('DevDetail SwV.', 'the version of dmgw')),
      hardwareVersion: v.optional(text('DevDetail HwV.'), ''),
      language: v.optional(
        pattern(/^[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*$/, 'a language tag such as en or pt-BR', 'DevInfo Lang.'),
        'en',
      ),
    },
    'Who the gateway is: DevInfo and DevDetail.',
  ),
  v.transform((device) => ({ ...device, oem: device.oem ?? device.manufacturer })),
);

const sessionSchema = section(
  {
    maxMessageBytes: v.optional(whole(4096, 1_048_576, 'Longest message that the gateway takes (MaxMsgSize).'), 65_536),
    maxObjectMiB: v.optional(
      whole(1, 4096, 'Longest value that the gateway takes in several messages (MaxObjSize), as it is transported.'),
      1024,
    ),
    startDelaySeconds: v.optional(whole(0, 3600, 'From the start to the first session.'), 5),
    intervalSeconds: v.optional(
      whole(0, MAX_INTERVAL_SECONDS, 'From the end of a session to the next one; 0: none by the clock.'),
      DAY_SECONDS,
    ),
    jitterSeconds: v.optional(
      whole(0, DAY_SECONDS, 'Random delay of at most so long, added to the start and to the interval.'),
      60,
    ),
    idleTimeoutSeconds: v.optional(whole(1, 600, 'Silence of a server that ends a session.'), 30),
    retryFirstSeconds: v.optional(whole(1, 3600, 'At most so long before a failed session is tried again.'), 30),
    retryMaxSeconds: v.optional(
      whole(1, DAY_SECONDS, 'The delay doubles with each failure up to this; each is random up to its bound.'),
      3600,
    ),
    alertDelaySeconds: v.optional(
      whole(0, 3600, 'At most so long (random) before a session that delivers alerts; several share one.'),
      5,
    ),
  },
  'Sessions with the DM Servers.',
);

const port = (help: string) => whole(0, 65_535, `${help} 0: any free one, for tests.`);

const notificationSchema = section(
  {
    enabled: v.optional(flag('Listens for Package#0 that is addressed to the gateway.'), false),
    listen: v.optional(
      list(
        address(),
        { to: 8 },
        'Addresses to listen on; 0.0.0.0 and :: are every address, that of the WAN too.',
        'IP addresses',
      ),
      [],
    ),
    port: v.optional(port('UDP port (2948 is wap-push).'), 2948),
  },
  'Notifications from the DM Servers.',
);

const lanSchema = section(
  {
    prefixes: list(
      prefix(),
      { from: 1, to: 32 },
      'The LAN: images are served on its addresses only, notifications are sent to its addresses only.',
      'address prefixes',
    ),
  },
  'The network of the End Devices.',
);

const credentialSchema = section(
  {
    origin: origin('The server that is shown the credential; no other is, also behind a redirect.'),
    scheme: v.optional(choice(['basic', 'bearer'], 'User name and password, or a token.'), 'basic'),
    name: v.exactOptional(
      pattern(
        /^[^:\u0000-\u001f\u007f]{1,255}$/,
        'text of 1 to 255 characters on one line, without colon',
        'User name; needed for basic.',
      ),
    ),
    secret: secret('Password or token.'),
    allowInsecure: v.optional(
      flag('Permits http:// in `origin`, where everybody on the way reads the credential.'),
      false,
    ),
  },
  'What a download server is shown.',
);

const proxySchema = section(
  {
    url: v.exactOptional(origin('An HTTP proxy that images come through, such as http://10.0.0.2:3128.')),
    name: v.exactOptional(
      pattern(
        /^[^:\u0000-\u001f\u007f]{1,255}$/,
        'text of 1 to 255 characters on one line, without colon',
        'User name for the proxy (basic).',
      ),
    ),
    secret: v.exactOptional(secret('Password for the proxy.')),
    exceptHosts: v.optional(list(host(), { to: 64 }, 'Hosts that are reached without the proxy.', 'hosts'), []),
  },
  'What images come through. It finds the addresses of names in the place of the gateway, which cannot check them then.',
);

const retrieveSchema = section(
  {
    allowPrefixes: v.optional(
      list(
        prefix(),
        { to: 32 },
        'Where ImageURI may lead although the addresses are not global (loopback, private, the LAN).',
        'address prefixes',
      ),
      [],
    ),
    denyPrefixes: v.optional(
      list(
        prefix(),
        { to: 32 },
        'Where ImageURI must not lead although the addresses are global; stronger than `allowPrefixes`.',
        'address prefixes',
      ),
      [],
    ),
    allowHosts: v.optional(
      list(
        host(),
        { to: 64 },
        'The only hosts that ImageURI, a download descriptor and a redirect may name; empty: every host.',
        'hosts',
      ),
      [],
    ),
    credentials: v.optional(
      list(credentialSchema, { to: 16 }, 'What download servers are shown, each its own.', 'credentials'),
      [],
    ),
    proxy: v.optional(proxySchema, {}),
    signatureKeys: v.optional(
      list(
        signatureKey(),
        { to: 16 },
        'Public Ed25519 keys of those who may sign images (Signature): PEM files, or keys in base64.',
        'keys',
      ),
      [],
    ),
    requireSignature: v.optional(flag('Refuses images without Signature.'), false),
    allowHttpsToHttp: v.optional(flag('Follows a redirect from https:// to http://.'), false),
    caFile: v.exactOptional(
      path('PEM file of the certificate authorities for download servers; they replace the built-in ones.'),
    ),
    concurrent: v.optional(whole(1, 8, 'Retrievals at the same time.'), 2),
    fsyncVolumeMiB: v.optional(
      whole(
        1,
        256,
        'An interrupted retrieval fetches at most so much again: half of it is flushed to the disk while the other half comes in. More is faster where a flush costs much, and wears the flash less; less loses less.',
      ),
      16,
    ),
    idleTimeoutSeconds: v.optional(whole(1, 3600, 'Silence of a download server that counts as a failure.'), 60),
    minBytesPerSecond: v.optional(
      whole(0, 1_000_000, 'Fewer bytes than this on average over `idleTimeoutSeconds` count as silence.'),
      64,
    ),
    maxBytesPerSecond: v.optional(
      whole(0, 1_000_000_000, 'Rate of all retrievals together; 0: as fast as the network is.'),
      0,
    ),
    maxBytesPerSecondPerImage: v.optional(whole(0, 1_000_000_000, 'Rate of each retrieval; 0: no cap of its own.'), 0),
    windows: v.optional(
      list(
        weeklyWindow(),
        { to: 32 },
        'When images may come in, by the wall clock of `timeZone`; a window over midnight belongs to the day on which it begins. Outside of them retrievals wait. Empty: always.',
        'windows',
      ),
      [],
    ),
    timeZone: v.optional(
      timeZone('Where the gateway is, for `windows`: OpenWrt has the same text in `system.@system[0].timezone`.'),
      'UTC0',
    ),
    meteredFile: v.exactOptional(
      path(
        'A file by which other software says that the link is metered: retrievals wait while it is there, unless it holds 0, no, false, off or unmetered. Looked at every 5 s; keep it in memory.',
      ),
    ),
    meteredMinPriority: v.exactOptional(
      whole(
        -2_147_483_648,
        2_147_483_647,
        'Images with this Priority or a higher one come in over a metered link too; without it none.',
      ),
    ),
    retryFirstSeconds: v.optional(whole(1, 3600, 'At most so long before a failed retrieval is tried again.'), 5),
    retryMaxSeconds: v.optional(
      whole(1, DAY_SECONDS, 'The delay doubles with each failure up to this; each is random up to its bound.'),
      600,
    ),
    maxTriesWithoutProgress: v.optional(
      whole(1, 1000, 'Tries in a row that bring no byte before the retrieval fails.'),
      20,
    ),
  },
  'Retrieval of images (ImageURI).',
);

const storeSchema = section(
  {
    quotaMiB: v.optional(whole(0, 16_777_216, 'Room for images; 0: as much as the file system has.'), 0),
    freeFloorMiB: v.optional(whole(0, 1_048_576, 'Room that is left free in the file system of `storeDir`.'), 16),
    scrubDays: v.optional(
      whole(
        0,
        3650,
        'Stored images are read again so often, and retrieved again where they have changed on the disk; 0: never.',
      ),
      7,
    ),
    scrubKiBPerSecond: v.optional(
      whole(1, 1_048_576, 'How fast they are read; a sixteenth of that while images come in or go out.'),
      1024,
    ),
    databaseCacheKiB: v.optional(
      whole(64, 65_536, 'Pages of the database that are kept in memory, at most; they are read again otherwise.'),
      512,
    ),
  },
  'The room for images, and the database.',
);

const serveSchema = section(
  {
    listen: v.optional(
      list(
        address(),
        { to: 16 },
        'Addresses on which images are served; each must lie in `lan.prefixes`, and be there at the start.',
        'IP addresses',
      ),
      [],
    ),
    interfaces: v.optional(
      list(
        pattern(/^[^/\s]{1,15}$/, 'the name of a network interface such as br-lan', 'A network interface.'),
        { to: 8 },
        'Images are served on their addresses in `lan.prefixes` too, also on those that come later; the DM Server is told when LocalImageURI changes with them.',
        'names of interfaces',
      ),
      [],
    ),
    port: v.optional(port('TCP port.'), 8180),
    allowPrefixes: v.optional(
      list(
        prefix(),
        { to: 32 },
        'The only addresses that images are served to; the connections of others are closed. Empty: every address.',
        'address prefixes',
      ),
      [],
    ),
    publicHost: v.exactOptional(
      pattern(
        /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})(?:\.[A-Za-z0-9][A-Za-z0-9-]{0,62}){0,15}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$/,
        'a host name or an IP address',
        'Host in LocalImageURI.',
        'the first address of `serve.listen`, else of `serve.interfaces`',
      ),
    ),
    tokenHours: v.optional(
      whole(
        0,
        8760,
        'LocalImageURI carries a token that is good in `lan.prefixes` only, and expires after so long; the DM Server is told of the next one after half of it. 0: no token.',
      ),
      0,
    ),
    certFile: v.exactOptional(
      path(
        'PEM file of the certificate, with its chain, of the image server: images are served by https. Read anew when it changes.',
      ),
    ),
    keyFile: v.exactOptional(path('PEM file of the private key of `certFile`; mode 0600.')),
    cutThrough: v.optional(
      flag(
        'Images whose Digest and size are known are served while they come in: LocalImageURI is assigned with their first durable bytes, and a device that reads ahead waits for more.',
      ),
      false,
    ),
    maxConnections: v.optional(whole(1, 4096, 'Connections at the same time; more are refused.'), 64),
    maxConnectionsPerAddress: v.optional(whole(1, 4096, 'Of them, from one address.'), 8),
    idleTimeoutSeconds: v.optional(whole(1, 3600, 'Silence of an End Device that ends its connection.'), 60),
    minBytesPerSecond: v.optional(
      whole(1, 1_048_576, 'An End Device that takes an image more slowly than this is disconnected.'),
      1024,
    ),
    minRateSeconds: v.optional(whole(10, 3600, '`minBytesPerSecond` is an average over so long.'), 60),
  },
  'The image server in the LAN (LocalImageURI).',
);

const fanoutSchema = section(
  {
    repeat: v.optional(whole(1, 16, 'How often at most a device is notified that has not been seen to react.'), 4),
    intervalSeconds: v.optional(whole(1, DAY_SECONDS, 'Before the first repetition; doubles each time.'), 2),
    lifetimeSeconds: v.optional(whole(1, 30 * DAY_SECONDS, 'How long a sleeping device is waited for.'), DAY_SECONDS),
    ratePerSecond: v.optional(
      whole(-1, 10_000, 'New devices notified per second; 0: as the image server has room; -1: unlimited.'),
      0,
    ),
  },
  'Notification Fanout, where the DM Server says nothing else.',
);

const discoverySchema = section(
  {
    backend: v.optional(
      choice(
        ['auto', 'daemon', 'builtin', 'off'],
        "How End Devices are found by mDNS: in the process (builtin); through the system's daemon, Avahi or mDNSResponder, with the package mdns (daemon); through the daemon where it works, else in the process (auto); or not at all (off).",
      ),
      'auto',
    ),
    interfaces: v.optional(
      list(
        pattern(/^[^/\s]{1,15}$/, 'the name of a network interface such as br-lan', 'A network interface.'),
        { to: 8 },
        'Where devices are looked for; empty: on every interface with an address in `lan.prefixes`.',
        'names of interfaces',
      ),
      [],
    ),
    announce: v.optional(flag('Announces the gateway in the LAN as `_dmgw._tcp`.'), true),
    maxDevices: v.optional(whole(0, 15_000, 'Devices found that are remembered.'), 10_000),
    takeoverGraceSeconds: v.optional(
      whole(0, 3600, 'How long a device must be silent at its address before another one may have its DeviceID.'),
      60,
    ),
    forgetAfterDays: v.optional(whole(1, 3650, 'A device found that was not seen for so long is removed.'), 30),
    leaseFile: v.exactOptional(
      path('Lease file of dnsmasq (OpenWrt: /tmp/dhcp.leases): devices are followed to their new addresses.'),
    ),
  },
  'Discovery of End Devices.',
);

const retainSchema = section(
  {
    days: v.optional(
      whole(
        0,
        3650,
        'What ended so many days ago is removed: images of which nothing came, and fanouts; 0: never. Counted by the clock, once it is set.',
      ),
      30,
    ),
    failedImages: v.optional(
      whole(0, 1024, 'Images that failed, were cancelled or evicted, at most; then the oldest goes.'),
      64,
    ),
    finishedFanouts: v.optional(whole(0, 256, 'Fanouts that ended, at most; then the oldest goes.'), 64),
  },
  'How long the gateway keeps what has ended.',
);

const settingsSchema = section(
  {
    locked: v.optional(
      list(
        choice(TUNABLE_KEYS, 'A key of this configuration.'),
        { to: TUNABLE_KEYS.length },
        'Keys that keep the value of this file: no DM Server can change them in ./GwMO/Config.',
        'keys',
      ),
      [],
    ),
  },
  'What an administrating DM Server may change while the gateway runs.',
);

/** Every key of the configuration file and of a board profile. */
export const configurationSchema = v.pipe(
  section(
    {
      $schema: v.exactOptional(text('For editors; not used.')),
      board: v.optional(
        section(
          { name: v.optional(text('Name of the board profile, shown by `dmgw status`.'), '') },
          'About the board.',
        ),
        {},
      ),
      build: v.exactOptional(
        foreignSection(
          'What the firmware of the board is built from, for `make BOARD=...`; the daemon does not use it.',
        ),
      ),
      stateDir: path('Folder of the database: small, must survive a restart and a system upgrade.'),
      storeDir: path('Folder of the images: large, may be another partition.'),
      volatile: v.optional(
        flag('Permits stateDir and storeDir in memory (tmpfs, ramfs): all is lost at a reboot.'),
        false,
      ),
      requireMount: v.exactOptional(
        path('Mount point of a late disk, waited for before stateDir or storeDir below it is used; `/` for none.'),
      ),
      controlSocket: v.exactOptional(path('Unix socket for `dmgw status` and the like.', '`<stateDir>/dmgw.sock`')),
      controlAccess: v.optional(
        choice(
          ['owner', 'group'],
          'Who may use the control socket: the user that the daemon runs as (mode 0600), or its group too (0660).',
        ),
        'owner',
      ),
      device: deviceSchema,
      accounts: v.optional(list(accountSchema, { to: 16 }, 'The DM Servers that manage this gateway.', 'accounts'), []),
      session: v.optional(sessionSchema, {}),
      notification: v.optional(notificationSchema, {}),
      lan: lanSchema,
      retrieve: v.optional(retrieveSchema, {}),
      store: v.optional(storeSchema, {}),
      retain: v.optional(retainSchema, {}),
      serve: serveSchema,
      devices: v.optional(
        list(endDeviceSchema, { to: 10_000 }, 'End Devices that are known beforehand.', 'devices'),
        [],
      ),
      fanout: v.optional(fanoutSchema, {}),
      discovery: v.optional(discoverySchema, {}),
      settings: v.optional(settingsSchema, {}),
      log: v.optional(
        section(
          {
            level: v.optional(
              choice(['error', 'warn', 'info', 'debug'], 'Least severe level that is written.'),
              'info',
            ),
            timestamps: v.optional(flag('Writes the time on each line; syslog adds its own.'), false),
            keepKiB: v.optional(
              whole(1, 4096, 'The latest lines are kept in memory, so much of them, for `dmgw logs`.'),
              64,
            ),
          },
          'The log, on standard error.',
        ),
        {},
      ),
      names: v.optional(
        namesOf('Names of management objects and nodes that differ from the built-in ones, to suit a DM Server.'),
        {},
      ),
    },
    'The configuration of dmgw.',
  ),
  v.transform((parsed) => ({
    ...withControlSocket(parsed),
    serve: { ...parsed.serve, publicHost: parsed.serve.publicHost ?? parsed.serve.listen[0] ?? '' },
  })),
);

/** It lies beside the database where nothing else is said. */
export function withControlSocket<P extends { readonly stateDir: string; readonly controlSocket?: string }>(
  parsed: P,
): P & { readonly controlSocket: string } {
  return { ...parsed, controlSocket: parsed.controlSocket ?? `${parsed.stateDir.replace(/\/$/, '')}/dmgw.sock` };
}

type DeepReadonly<T> = T extends readonly (infer I)[]
  ? readonly DeepReadonly<I>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;

/**
 * The whole configuration: checked, complete with defaults, frozen. Plain data: byte values are base64 text, prefixes
 * are text. `accountSettings` and `resolveDevId` make of it what the gateway works with.
 */
export type Configuration = DeepReadonly<v.InferOutput<typeof configurationSchema>>;

export type AccountConfiguration = Configuration['accounts'][number];
export type EndDeviceConfiguration = Configuration['devices'][number];
export type DeviceConfiguration = Configuration['device'];
