import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { canonicalAddress, NOT_GLOBAL_PREFIXES, Prefixes } from './index.js';

function prefixes(...texts: string[]): Prefixes {
  const parsed = Prefixes.parse(texts);
  assert.ok(parsed.ok);
  return parsed.value;
}

describe('Prefixes.parse', () => {
  for (const text of ['10.0.0.0/8', '10.1.2.3', '0.0.0.0/0', '192.168.1.77/24', '::/0', 'fd00::/8', 'fe80::1']) {
    it(`takes ${text}`, () => assert.ok(Prefixes.parse([text]).ok));
  }
  for (const text of [
    '',
    'x',
    '10.0.0/8',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    'fd00::/129',
    '10.0.0.0/1e1',
    'lan',
    '::1%lo/128x',
  ]) {
    it(`refuses '${text}' by its name`, () => {
      const parsed = Prefixes.parse(['10.0.0.0/8', text]);
      assert.ok(!parsed.ok);
      assert.equal(parsed.error.code, 'bad-prefix');
      assert.ok(parsed.error.text.includes(`'${text}'`));
    });
  }
});

describe('Prefixes.contains', () => {
  const lan = prefixes('192.168.1.0/24', '10.9.8.7', 'fd00:1::/64');
  const cases: readonly (readonly [address: string, inside: boolean])[] = [
    ['192.168.1.0', true],
    ['192.168.1.255', true],
    ['192.168.2.0', false],
    ['10.9.8.7', true],
    ['10.9.8.8', false],
    ['::ffff:192.168.1.5', true],
    ['::FFFF:192.168.1.5', true],
    ['::ffff:c0a8:105', true],
    ['0:0:0:0:0:ffff:192.168.1.5', true],
    ['0:0:0:0:0:ffff:c0a8:105', true],
    ['0000:0000:0000:0000:0000:ffff:c0a8:0105', true],
    ['::ffff:192.168.2.5', false],
    ['[fd00:1::5]', true],
    ['fd00:1::5%eth0', true],
    ['FD00:1:0:0:0:0:0:5', true],
    ['fd00:2::5', false],
    ['192.168.1.5 ', false],
    ['192.168.001.5', false],
    ['router.lan', false],
    ['', false],
  ];
  for (const [address, inside] of cases) {
    it(`'${address}': ${inside}`, () => assert.equal(lan.contains(address), inside));
  }
  it('an IPv4 prefix does not hold IPv6 addresses, nor the other way', () => {
    assert.ok(!prefixes('0.0.0.0/0').contains('2001:db9::1'));
    assert.ok(!prefixes('2000::/3').contains('1.2.3.4'));
  });
});

describe('NOT_GLOBAL_PREFIXES', () => {
  const here = prefixes(...NOT_GLOBAL_PREFIXES);
  const local = [
    ['this network', '0.0.0.0'],
    ['loopback', '127.0.0.1'],
    ['loopback, not the first', '127.255.255.254'],
    ['private', '10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.0.1'],
    ['shared', '100.64.0.1', '100.127.255.255'],
    ['link-local', '169.254.169.254'],
    ['multicast and reserved', '224.0.0.251', '255.255.255.255'],
    ['unspecified and loopback in IPv6', '::', '::1'],
    ['mapped', '::ffff:127.0.0.1', '::ffff:a00:1', '::ffff:169.254.169.254'],
    ['translated', '64:ff9b::127.0.0.1', '64:ff9b::a01:203', '64:ff9b::c0a8:101', '64:ff9b::a9fe:a9fe', '64:ff9b:1::1'],
    ['unique local', 'fc00::1', 'fdff::1'],
    ['link-local and site-local in IPv6', 'fe80::1', 'febf::1', 'fec0::1'],
    ['multicast in IPv6', 'ff02::fb'],
    ['documentation', '192.0.2.1', '198.51.100.1', '203.0.113.1', '2001:db8::1'],
  ] as const;
  for (const [what, ...addresses] of local) {
    for (const address of addresses) it(`${what}: ${address}`, () => assert.ok(here.contains(address)));
  }
  for (const address of ['1.1.1.1', '172.15.0.1', '172.32.0.1', '100.128.0.1', '2606:4700::1', '64:ff9b::101:101']) {
    it(`not ${address}`, () => assert.ok(!here.contains(address)));
  }
});

describe('canonicalAddress', () => {
  it('has one spelling for an address', () => {
    for (const text of ['10.0.0.1', '::ffff:10.0.0.1', '::ffff:a00:1', '[::ffff:10.0.0.1]', '0:0:0:0:0:FFFF:a00:1']) {
      assert.equal(canonicalAddress(text), '10.0.0.1', text);
    }
    assert.equal(canonicalAddress('[fe80::1%eth0]'), 'fe80::1');
    assert.equal(canonicalAddress('FD00:01:0:0::0:5'), 'fd00:1::5');
    assert.equal(canonicalAddress('router.lan'), 'router.lan');
  });
});
