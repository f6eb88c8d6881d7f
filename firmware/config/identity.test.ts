import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { account, minimal } from './example.fixture.js';
import { accountSettings, parseConfiguration, resolveDevId } from './index.js';

const folder = mkdtempSync(join(tmpdir(), 'dmgw-identity-'));
after(() => rmSync(folder, { recursive: true }));

describe('the DevId', () => {
  const devIdFile = join(folder, 'devid');
  const fromFile = (text: string): string => {
    writeFileSync(devIdFile, text);
    const resolved = resolveDevId({ devIdFile });
    return resolved.ok ? resolved.value : resolved.error.code;
  };
  const fromMac = (address: string): string => {
    mkdirSync(join(folder, 'eth0'), { recursive: true });
    writeFileSync(join(folder, 'eth0', 'address'), address);
    const resolved = resolveDevId({ devIdInterface: 'eth0' }, { interfaces: folder });
    return resolved.ok ? resolved.value : resolved.error.code;
  };

  it('is taken as configured', () => {
    assert.deepEqual(resolveDevId({ devId: 'IMEI:1' }), { ok: true, value: 'IMEI:1' });
  });

  const FILES: [string, string][] = [
    ['IMEI:493005100592800\n', 'IMEI:493005100592800'],
    ['  urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6\r\n', 'urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6'],
    ['', 'malformed'],
    ['IMEI:1\nIMEI:2\n', 'malformed'],
    ['MAC:0011', 'malformed'],
  ];
  for (const [text, told] of FILES) {
    it(`of a file that holds ${JSON.stringify(text)}: ${told}`, () => assert.equal(fromFile(text), told));
  }

  const MACS: [string, string][] = [
    ['00:11:22:aa:bb:cc\n', 'MAC:001122AABBCC'],
    ['00:00:00:00:00:00\n', 'malformed'],
    ['\n', 'malformed'],
    ['80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:1a:35:42\n', 'malformed'],
  ];
  for (const [address, told] of MACS) {
    it(`of an interface with ${JSON.stringify(address)}: ${told}`, () => assert.equal(fromMac(address), told));
  }

  it('of a serial number, which the device tree ends with a NUL, behind its prefix', () => {
    writeFileSync(devIdFile, 'SN0012345\0');
    const devIdPrefix = 'urn:dev:ops:00D09E-R1-';
    assert.deepEqual(resolveDevId({ devIdFile, devIdPrefix }), { ok: true, value: 'urn:dev:ops:00D09E-R1-SN0012345' });
    const bare = resolveDevId({ devIdFile });
    assert.equal(bare.ok ? '' : bare.error.code, 'malformed');
  });

  it('of a factory partition, on flash or on a disk', () => {
    const octets = Buffer.alloc(64, 0xff);
    octets.set([0x00, 0x11, 0x22, 0xaa, 0xbb, 0xcc], 4);
    octets.write('SN-7', 16, 'latin1');
    writeFileSync(join(folder, 'mtd2'), octets);
    writeFileSync(join(folder, 'label'), octets);
    const mtd = join(folder, 'mtd');
    writeFileSync(mtd, 'dev:    size   erasesize  name\nmtd2: 00010000 00010000 "factory"\n');
    const places = { mtd, devices: folder, labels: folder };
    const from = (name: string, offset: number, form: 'mac' | 'text', devIdPrefix = ''): string => {
      const resolved = resolveDevId({ devIdPartition: { name, offset, form, length: 32 }, devIdPrefix }, places);
      return resolved.ok ? resolved.value : resolved.error.code;
    };
    assert.equal(from('factory', 4, 'mac'), 'MAC:001122AABBCC');
    assert.equal(from('label', 4, 'mac'), 'MAC:001122AABBCC');
    assert.equal(from('factory', 16, 'text', 'urn:x:'), 'urn:x:SN-7');
    assert.equal(from('factory', 32, 'mac'), 'malformed', 'erased flash');
    assert.equal(from('factory', 60, 'mac'), 'malformed', 'beyond the end');
    assert.equal(from('factory', 32, 'text', 'urn:x:'), 'malformed');
    assert.equal(from('art', 0, 'mac'), 'unreadable');
  });

  it('of an interface that is not there (yet) is told so', () => {
    const resolved = resolveDevId({ devIdInterface: 'wan9' }, { interfaces: folder });
    assert.ok(!resolved.ok);
    assert.equal(resolved.error.code, 'unreadable');
    assert.match(resolved.error.text, /^device\.devIdInterface: .*wan9\/address cannot be read/);
  });
});

describe('the accounts', () => {
  const configured = (value: Record<string, unknown>) => {
    const parsed = parseConfiguration([{ file: 'F', value: { ...minimal(), ...value } }]);
    assert.ok(parsed.ok, parsed.ok ? '' : parsed.error.text);
    return parsed.value.configuration;
  };

  it('have the DevId as user name where they give none, and nonces as octets', () => {
    const client = { secret: 'a', nonce: 'AQID' };
    const [settings] = accountSettings(configured({ accounts: [account({ client })] }), 'IMEI:1');
    assert.deepEqual(settings?.client, { scheme: 'md5', name: 'IMEI:1', secret: 'a', nonce: Uint8Array.of(1, 2, 3) });
    assert.deepEqual(settings.server, {
      scheme: 'md5',
      name: 'srv',
      secret: 'server-secret',
      nonce: new Uint8Array(0),
    });
  });
});
