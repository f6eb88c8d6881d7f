import assert from 'node:assert/strict';
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { account, minimal } from './example.fixture.js';
import { checkSecrecy, readConfigurationFile } from './file.js';
import {
  loadConfiguration,
  loadNames,
  loadPlaces,
  parseConfiguration,
  renderValue,
  showConfiguration,
} from './index.js';

const lineOf = (value: unknown): string => {
  const parsed = parseConfiguration([{ file: 'F', value }]);
  return parsed.ok ? 'right' : parsed.error.text;
};

const with_ = (changes: Record<string, unknown>): unknown => ({ ...minimal(), ...changes });
const withAccount = (changes: Record<string, unknown>): unknown => with_({ accounts: [account(changes)] });
const device = { manufacturer: 'Example', model: 'R1' };
const one = { deviceId: 'IMEI:1', address: 'udp://192.168.1.57:2948' };

/** name, configuration, the exact line */
const WRONG: [string, unknown, string][] = [
  ['nothing at all', {}, 'F: stateDir: missing; expected an absolute path without .. such as /srv/dmgw'],
  [
    'a relative path',
    with_({ stateDir: 'state' }),
    'F: stateDir: "state" is not allowed; expected an absolute path without .. such as /srv/dmgw',
  ],
  [
    'a path with ..',
    with_({ storeDir: '/srv/../etc' }),
    'F: storeDir: "/srv/../etc" is not allowed; expected an absolute path without .. such as /srv/dmgw',
  ],
  [
    'a text for a number',
    with_({ serve: { listen: ['192.168.1.1'], port: '8180' } }),
    'F: serve.port: "8180" is not allowed; expected a whole number from 0 to 65535',
  ],
  [
    'a number out of its range',
    with_({ session: { maxMessageBytes: 100 } }),
    'F: session.maxMessageBytes: 100 is not allowed; expected a whole number from 4096 to 1048576',
  ],
  [
    'a fraction',
    with_({ retrieve: { concurrent: 1.5 } }),
    'F: retrieve.concurrent: 1.5 is not allowed; expected a whole number from 1 to 8',
  ],
  [
    'a text for a switch',
    with_({ volatile: 'true' }),
    'F: volatile: "true" is not allowed; expected true or false (without quotes)',
  ],
  ['null', with_({ volatile: null }), 'F: volatile: null is not allowed; expected true or false (without quotes)'],
  [
    'a word that is not offered',
    with_({ log: { level: 'loud' } }),
    'F: log.level: "loud" is not allowed; expected one of error, warn, info, debug',
  ],
  [
    'a word for another',
    with_({ discovery: { backend: 'mdns' } }),
    'F: discovery.backend: "mdns" is not allowed; expected one of auto, daemon, builtin, off',
  ],
  ['a list for names', with_({ names: [] }), 'F: names: a list of 0 is not allowed; expected an object of texts'],
  ['a list for a section', with_({ device: [] }), 'F: device: a list of 0 is not allowed; expected an object { ... }'],
  ['a text for a section', with_({ lan: 'eth0' }), 'F: lan: "eth0" is not allowed; expected an object { ... }'],
  [
    'a section for a list',
    with_({ accounts: {} }),
    'F: accounts: an object is not allowed; expected a list of at most 16 accounts',
  ],
  [
    'an empty list that must not be empty',
    with_({ lan: { prefixes: [] } }),
    'F: lan.prefixes: a list of 0 is not allowed; expected a list of 1 to 32 address prefixes',
  ],
  [
    'a wrong item',
    with_({ lan: { prefixes: ['192.168.1.0/24', '192.168.1.0/33'] } }),
    'F: lan.prefixes[1]: "192.168.1.0/33" is not allowed; expected an address prefix such as 192.168.1.0/24 or fd00::/8',
  ],
  [
    'a misspelt key, before what is missing because of it',
    with_({ device: { ...device, devId: 'IMEI:1', model: undefined, modle: 'R1' } }),
    'F: device.modle: unknown key, did you mean model?; expected one of devId, devIdFile, devIdPrefix, devIdPartition, devIdInterface, manufacturer, model, type, oem, firmwareVersion, softwareVersion, hardwareVersion, language',
  ],
  [
    'a key that is like no other',
    with_({ log: { level: 'info', colour: true } }),
    'F: log.colour: unknown key; expected one of level, timestamps, keepKiB',
  ],
  [
    'a key that every object has',
    with_({ log: JSON.parse('{"__proto__": 1}') as unknown }),
    'F: log.__proto__: unknown key; expected one of level, timestamps, keepKiB',
  ],
  [
    'a value that is too long to show',
    with_({ device: { ...device, devId: 'x'.repeat(300) } }),
    `F: device.devId: "${'x'.repeat(59)}... is not allowed; expected a device identifier such as MAC:001122AABBCC, IMEI:493005100592800 or urn:uuid:..., without spaces`,
  ],
  [
    'a MAC in the wrong form',
    with_({ device: { ...device, devId: 'MAC:00:11:22:aa:bb:cc' } }),
    'F: device.devId: "MAC:00:11:22:aa:bb:cc" is not allowed; expected a device identifier such as MAC:001122AABBCC, IMEI:493005100592800 or urn:uuid:..., without spaces',
  ],
  [
    'no DevId',
    with_({ device }),
    'F: device: no DevId; expected one of devId, devIdFile, devIdInterface, devIdPartition',
  ],
  [
    'two DevIds',
    with_({ device: { ...device, devId: 'IMEI:1', devIdInterface: 'eth0' } }),
    'F: device: devId and devIdInterface together; expected one of them',
  ],
  [
    'a URL that is none',
    withAccount({ url: 'dm.example.com' }),
    'F: accounts[0].url: "dm.example.com" is not allowed; expected a URL such as https://dm.example.com/dm, without user, password or #',
  ],
  [
    'a password in a URL, which is not repeated',
    withAccount({ url: 'https://me:hunter2@dm.example.com/?token=s3cret' }),
    'F: accounts[0].url: "https://dm.example.com/?..." is not allowed; expected a URL such as https://dm.example.com/dm, without user, password or #',
  ],
  [
    'http without leave',
    withAccount({ url: 'http://dm.example.com/' }),
    'F: accounts[0].url: http:// can be read by everybody on the way; expected https://, or accounts[0].allowInsecure set to true',
  ],
  [
    'basic over http without leave',
    withAccount({ url: 'HTTP://dm.example.com/', client: { scheme: 'basic', name: 'a', secret: 'b' } }),
    'F: accounts[0].url: http:// with basic sends passwords in the clear; expected https://, or accounts[0].allowInsecure set to true',
  ],
  [
    'a secret of a wrong type, which is not repeated',
    withAccount({ client: { secret: 12345 } }),
    'F: accounts[0].client.secret: this value is not allowed; expected text of 1 to 255 characters',
  ],
  [
    'no secret',
    withAccount({ server: { scheme: 'basic' } }),
    'F: accounts[0].server.secret: missing; expected text of 1 to 255 characters, because the scheme is basic',
  ],
  [
    'a ServerID that an ACL cannot hold',
    withAccount({ serverId: 'a+b' }),
    'F: accounts[0].serverId: "a+b" is not allowed; expected a ServerID of 1 to 255 characters, without space, & * + =',
  ],
  [
    'a nonce that is not base64',
    withAccount({ client: { secret: 'x', nonce: 'abc' } }),
    'F: accounts[0].client.nonce: this value is not allowed; expected base64 of at most 192 bytes',
  ],
  [
    'a ServerID twice',
    with_({ accounts: [account(), account()] }),
    'F: accounts[1].serverId: srv stands already in accounts[0].serverId; expected another one',
  ],
  [
    'administrators with long names',
    with_({
      accounts: Array.from({ length: 8 }, (_, n) =>
        account({ serverId: `${n}${'x'.repeat(250)}`, administrator: true }),
      ),
    }),
    'F: accounts: 2015 characters; expected ServerIDs of administrators with at most 2000 characters in all',
  ],
  [
    'a lock on a key that nobody can change',
    with_({ settings: { locked: ['serve.port'] } }),
    'F: settings.locked[0]: "serve.port" is not allowed; expected one of session.intervalSeconds, retrieve.maxBytesPerSecond, retrieve.maxBytesPerSecondPerImage, retrieve.windows, store.quotaMiB, fanout.repeat, fanout.intervalSeconds, fanout.lifetimeSeconds, fanout.ratePerSecond',
  ],
  [
    'a LAN that is the internet',
    with_({ lan: { prefixes: ['0.0.0.0/0'] } }),
    'F: lan.prefixes[0]: 0.0.0.0/0 is the whole internet; expected the prefix of the LAN',
  ],
  [
    'serving outside the LAN',
    with_({ serve: { listen: ['192.168.1.1', '203.0.113.5'] } }),
    'F: serve.listen[1]: 203.0.113.5 is not an address of the LAN; expected an address of the gateway inside lan.prefixes (192.168.1.0/24)',
  ],
  [
    'serving on every address',
    with_({ serve: { listen: ['0.0.0.0'] }, lan: { prefixes: ['0.0.0.0/8'] } }),
    'F: serve.listen[0]: 0.0.0.0 is not an address of the LAN; expected an address of the gateway inside lan.prefixes (0.0.0.0/8)',
  ],
  ['no place to serve on', with_({ serve: {} }), 'F: serve.listen: empty; expected an address, or serve.interfaces'],
  [
    'an address twice',
    with_({ serve: { listen: ['192.168.1.1', '192.168.1.1'] } }),
    'F: serve.listen[1]: 192.168.1.1 stands already in serve.listen[0]; expected another one',
  ],
  [
    'notifications that nobody listens for',
    with_({ notification: { enabled: true } }),
    'F: notification.listen: empty; expected at least one IP address, because notification.enabled is true',
  ],
  [
    'a device by name',
    with_({ devices: [{ ...one, address: 'udp://device.lan:2948' }] }),
    'F: devices[0].address: "udp://device.lan:2948" is not allowed; expected udp://192.168.1.57:2948 or http://192.168.1.57/..., with an IP address as host',
  ],
  [
    'a device without port',
    with_({ devices: [{ ...one, address: 'udp://192.168.1.57' }] }),
    'F: devices[0].address: "udp://192.168.1.57" is not allowed; expected udp://192.168.1.57:2948 or http://192.168.1.57/..., with an IP address as host',
  ],
  [
    'a device outside the LAN',
    with_({ devices: [one, { deviceId: 'IMEI:2', address: 'udp://192.168.2.57:2948' }] }),
    'F: devices[1].address: udp://192.168.2.57:2948 is not in the LAN; expected an address inside lan.prefixes (192.168.1.0/24)',
  ],
  [
    'a device twice',
    with_({ devices: [one, one] }),
    'F: devices[1].deviceId: IMEI:1 stands already in devices[0].deviceId; expected another one',
  ],
  [
    'retry delays the wrong way round',
    with_({ retrieve: { retryFirstSeconds: 700 } }),
    'F: retrieve.retryMaxSeconds: 600 is less than retrieve.retryFirstSeconds; expected 700 or more',
  ],
  [
    'a mount that nothing needs',
    with_({ requireMount: '/mnt/usb' }),
    'F: requireMount: neither storeDir nor stateDir is below /mnt/usb; expected storeDir, stateDir or a folder above one of them',
  ],
  [
    'a socket path that the system cannot hold',
    with_({ stateDir: `/${'s'.repeat(110)}` }),
    'F: controlSocket: the path has 121 bytes; expected at most 107',
  ],
  [
    'a name that is not text',
    with_({ names: { ImageInventory: 7 } }),
    'F: names.ImageInventory: 7 is not allowed; expected text of at most 255 characters',
  ],
];

describe('a wrong configuration is refused with one line', () => {
  for (const [name, value, line] of WRONG) it(name, () => assert.equal(lineOf(value), line));
});

describe('a right configuration', () => {
  const RIGHT: [string, unknown][] = [
    ['the shortest', minimal()],
    ['with an account', withAccount({})],
    ['http with leave', withAccount({ url: 'http://10.0.0.1:8080/dm', allowInsecure: true })],
    [
      'no secrets where the transport authenticates',
      withAccount({ client: { scheme: 'none' }, server: { scheme: 'none' } }),
    ],
    ['IPv6', with_({ lan: { prefixes: ['fd00::/8'] }, serve: { listen: ['fd00::1'], publicHost: 'fd00::1' } })],
    [
      'an IPv6 device',
      with_({
        lan: { prefixes: ['192.168.1.0/24', 'fd00::/8'] },
        devices: [{ ...one, address: 'udp://[fd00::2]:2948' }],
      }),
    ],
    ['a public host', with_({ serve: { listen: ['192.168.1.1'], publicHost: 'gw.lan' } })],
    ['names', with_({ names: { ImageInventory: './X/Images' } })],
  ];
  for (const [name, value] of RIGHT) it(`is taken: ${name}`, () => assert.equal(lineOf(value), 'right'));

  it('is complete, with what follows from other keys', () => {
    const parsed = parseConfiguration([{ file: 'F', value: withAccount({}) }]);
    assert.ok(parsed.ok);
    const { configuration } = parsed.value;
    assert.equal(configuration.controlSocket, '/var/lib/dmgw/dmgw.sock');
    assert.equal(configuration.serve.publicHost, '192.168.1.1');
    assert.equal(configuration.device.oem, 'Example');
    assert.equal(configuration.accounts[0]?.name, 'srv');
    assert.equal(configuration.accounts[0].server.name, 'srv');
    assert.equal(configuration.serve.port, 8180);
    assert.equal(configuration.notification.enabled, false);
  });

  it('is frozen to the bottom', () => {
    const parsed = parseConfiguration([{ file: 'F', value: minimal() }]);
    assert.ok(parsed.ok);
    const { lan } = parsed.value.configuration;
    assert.throws(() => (lan.prefixes as string[]).push('10.0.0.0/8'), TypeError);
  });
});

describe('a board profile below the file', () => {
  const board = { file: 'B', value: { ...minimal(), session: { intervalSeconds: 60, jitterSeconds: 1 } } };

  it('gives what the file does not say', () => {
    const parsed = parseConfiguration([{ file: 'F', value: { session: { jitterSeconds: 2 } } }, board]);
    assert.ok(parsed.ok);
    const { session } = parsed.value.configuration;
    assert.deepEqual([session.intervalSeconds, session.jitterSeconds, session.idleTimeoutSeconds], [60, 2, 30]);
  });

  it('has its lists replaced, not mixed', () => {
    const file = { file: 'F', value: { lan: { prefixes: ['10.0.0.0/8'] }, serve: { listen: ['10.0.0.1'] } } };
    const parsed = parseConfiguration([file, board]);
    assert.ok(parsed.ok);
    assert.deepEqual(parsed.value.configuration.serve.listen, ['10.0.0.1']);
  });

  const BLAME: [string, unknown, unknown, string][] = [
    ['a wrong value of its own', {}, { ...minimal(), volatile: 1 }, 'B: volatile:'],
    ['an unknown key of its own', {}, { ...minimal(), vlatile: true }, 'B: vlatile:'],
    ['a wrong value of the file', { volatile: 1 }, { ...minimal(), volatile: true }, 'F: volatile:'],
    ['what neither says', {}, {}, 'F: stateDir:'],
    ['what is missing in its list', {}, with_({ devices: [{ deviceId: 'IMEI:1' }] }), 'B: devices[0].address:'],
    [
      'what is missing in the list of the file',
      { devices: [{ deviceId: 'IMEI:1' }] },
      with_({ devices: [one] }),
      'F: devices[0].address:',
    ],
  ];
  for (const [name, file, profile, start] of BLAME) {
    it(`is named in the line for ${name}`, () => {
      const parsed = parseConfiguration([
        { file: 'F', value: file },
        { file: 'B', value: profile },
      ]);
      assert.ok(!parsed.ok);
      assert.equal(parsed.error.text.slice(0, start.length), start);
    });
  }

  it('is told apart by where each value comes from, secrets hidden', () => {
    const parsed = parseConfiguration([{ file: 'F', value: { accounts: [account()], volatile: true } }, board]);
    assert.ok(parsed.ok);
    const shown = new Map(
      showConfiguration(parsed.value.configuration, parsed.value.layers).map((one) => [
        one.key,
        `${renderValue(one)} ${one.origin}`,
      ]),
    );
    assert.equal(shown.get('volatile'), 'true F');
    assert.equal(shown.get('session.intervalSeconds'), '60 B');
    assert.equal(shown.get('session.idleTimeoutSeconds'), '30 default');
    assert.equal(shown.get('accounts[0].url'), '"https://dm.example.com/dm" F');
    assert.equal(shown.get('accounts[0].name'), '"srv" default');
    assert.equal(shown.get('accounts[0].client.secret'), '(hidden) F');
    assert.ok(![...shown.values()].join().includes('gateway-secret'));
  });
});

describe('the board profiles of this repository', () => {
  const boards = join(import.meta.dirname, '../../board');
  const names = readdirSync(boards, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? entry.name : [],
  );
  for (const name of names.filter((folder) => existsSync(join(boards, folder, 'board.json')))) {
    it(`are right: ${name}`, () => {
      const profile = readConfigurationFile(join(boards, name, 'board.json'));
      assert.ok(profile.ok, profile.ok ? '' : profile.error.text);
      // What differs from router to router stands in the file above the profile.
      const { device = {} } = profile.value.value as { device?: object };
      const named = Object.keys(device).some((key) => key.startsWith('devId'));
      const own = { file: 'F', value: { device: named ? {} : { devId: 'IMEI:1' } } };
      const parsed = parseConfiguration([own, { file: name, value: profile.value.value }]);
      assert.equal(parsed.ok ? '' : parsed.error.text, '');
    });
  }
});

describe('a configuration file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dmgw-config-'));
  const file = join(folder, 'dmgw.json');
  after(() => rmSync(folder, { recursive: true }));
  const uid = process.getuid?.() ?? 0;
  const write = (text: string | Uint8Array, mode = 0o600): void => {
    writeFileSync(file, text);
    chmodSync(file, mode);
  };
  const line = (asUid = uid): string => {
    const loaded = loadConfiguration({ file }, asUid);
    return loaded.ok ? 'right' : loaded.error.text.replaceAll(folder, '/D');
  };
  const secrets = JSON.stringify(withAccount({}));

  it('without secrets may be read by everybody', () => {
    write(JSON.stringify(minimal()), 0o644);
    assert.equal(line(), 'right');
  });

  for (const mode of [0o644, 0o640, 0o604, 0o620]) {
    it(`with secrets and mode ${mode.toString(8)} is refused`, () => {
      write(secrets, mode);
      const expected = 'expected 0600 (chmod 600 /D/dmgw.json)';
      assert.equal(line(), `/D/dmgw.json: holds secrets and has mode 0${mode.toString(8)}; ${expected}`);
    });
  }

  it('with secrets is taken when only its owner can read it', () => {
    write(secrets);
    assert.equal(line(), 'right');
  });

  it('with secrets is refused for its mode, whatever else is wrong in it', () => {
    for (const secret of ['x', ['x'], { a: 'x' }]) {
      write(JSON.stringify({ accounts: [{ client: { secret } }] }), 0o644);
      assert.match(line(), /holds secrets and has mode 0644/);
    }
  });

  it('with secrets that belongs to somebody else is refused', { skip: uid !== 0 && 'needs root' }, () => {
    write(secrets);
    chownSync(file, 12345, 0);
    assert.equal(
      line(1000),
      '/D/dmgw.json: holds secrets and belongs to user 12345; expected user 1000 or root (chown 1000 /D/dmgw.json)',
    );
    assert.equal(line(12345), 'right');
    assert.equal(line(0), 'right');
    chownSync(file, 0, 0);
    assert.equal(line(1000), 'right');
  });

  it('with secrets of any user is taken by root, but not one that others can read', () => {
    assert.ok(checkSecrecy(file, { mode: 0o600, ownerUid: 2948 }, 0).ok);
    assert.ok(!checkSecrecy(file, { mode: 0o640, ownerUid: 2948 }, 0).ok);
    assert.ok(!checkSecrecy(file, { mode: 0o600, ownerUid: 2948 }, 1000).ok);
  });

  it('that is missing is refused', () => {
    const loaded = loadConfiguration({ file: join(folder, 'none.json') }, uid);
    assert.ok(!loaded.ok);
    assert.equal(loaded.error.code, 'unreadable');
    assert.match(loaded.error.text, /none\.json: cannot be read \(ENOENT/);
  });

  it('that is a folder is refused', () => {
    const loaded = loadConfiguration({ file: folder }, uid);
    assert.equal(loaded.ok ? '' : loaded.error.text, `${folder}: is not a file; expected a JSON file`);
  });

  it('that is not JSON is refused with line and column', () => {
    write('{\n  "volatile": true,\n}\n');
    assert.equal(line(), '/D/dmgw.json: line 2, column 19: no comma may stand before }');
  });

  it('that is not UTF-8 is refused', () => {
    write(Uint8Array.of(0x7b, 0xff, 0x7d));
    assert.equal(line(), '/D/dmgw.json: is not UTF-8; expected JSON in UTF-8');
  });

  it('that holds something else than an object is refused', () => {
    write('[]');
    assert.equal(line(), '/D/dmgw.json: is not a configuration; expected an object { ... }');
  });

  it('says where things lie, and what names are overridden, whatever else is wrong in it', () => {
    write(JSON.stringify(with_({ volatile: true, unknown: 1, lan: 2, names: { Fanout: 'F' } })));
    const places = loadPlaces({ file });
    assert.ok(places.ok, places.ok ? '' : places.error.text);
    const { stateDir, storeDir } = minimal();
    assert.deepEqual(
      { ...places.value },
      { stateDir, storeDir, controlSocket: `${String(stateDir)}/dmgw.sock`, volatile: true },
    );
    assert.deepEqual(loadNames(file), { ok: true, value: { Fanout: 'F' } });
  });

  it('that does not say where things lie is refused for that', () => {
    write(JSON.stringify({ storeDir: '/srv/dmgw' }));
    const places = loadPlaces({ file });
    assert.match(places.ok ? '' : places.error.text, /stateDir: missing; expected an absolute path/);
    write(JSON.stringify({ names: 7 }));
    const names = loadNames(file);
    assert.match(names.ok ? '' : names.error.text, /names: 7 is not allowed; expected an object of texts/);
  });
});
