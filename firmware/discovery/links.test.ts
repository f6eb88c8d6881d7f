import assert from 'node:assert/strict';
import type { NetworkInterfaceInfo } from 'node:os';
import { describe, it } from 'node:test';
import { ManualClock } from '../clock/index.js';
import { Prefixes } from '../net/index.js';
import { lanLinks, LinkWatch } from './links.js';

const info = (cidr: string, more: Partial<NetworkInterfaceInfo> = {}): NetworkInterfaceInfo => {
  const [address = ''] = cidr.split('/');
  const family = address.includes(':') ? 'IPv6' : 'IPv4';
  return { address, cidr, family, internal: false, mac: '', netmask: '', ...more } as NetworkInterfaceInfo;
};
const prefixes = (...texts: string[]): Prefixes => {
  const parsed = Prefixes.parse(texts);
  assert.ok(parsed.ok);
  return parsed.value;
};

const ROUTER = {
  lo: [info('127.0.0.1/8', { internal: true })],
  wan: [info('203.0.113.5/24'), info('fe80::9/64')],
  'br-lan': [info('10.0.0.1/8'), info('192.168.1.1/24'), info('fd00::1/64'), info('fe80::1/64')],
  'br-plant': [info('192.168.2.1/24')],
};

describe('the interfaces of the LAN', () => {
  const rows: readonly [string, string[], string[], string[]][] = [
    ['those with an address in it', [], ['192.168.0.0/16'], ['br-lan', 'br-plant']],
    ['none where no address is in it', [], ['172.16.0.0/12'], []],
    ['those that are named, whatever their addresses', ['wan'], ['192.168.0.0/16'], ['wan']],
  ];
  for (const [what, names, lan, expected] of rows) {
    it(`are ${what}`, () => {
      const found = lanLinks(ROUTER, { names, lan: prefixes(...lan), own: [] });
      assert.deepEqual(
        found.map(({ name }) => name),
        expected,
      );
    });
  }

  it('include loopback where the gateway serves there', () => {
    const choice = { names: [], lan: prefixes('127.5.0.0/17'), own: ['127.5.0.1'] };
    assert.deepEqual(
      lanLinks(ROUTER, choice).map(({ name }) => name),
      ['lo'],
    );
  });

  it('speak IPv4 from an address in the LAN, and IPv6 where the LAN has it and the link an address of its own', () => {
    const [both] = lanLinks(ROUTER, { names: ['br-lan'], lan: prefixes('192.168.0.0/16', 'fd00::/8'), own: [] });
    assert.deepEqual([both?.address4, both?.hasIPv6], ['192.168.1.1', true]);
    const [only4] = lanLinks(ROUTER, { names: ['br-lan'], lan: prefixes('192.168.0.0/16'), own: [] });
    assert.equal(only4?.hasIPv6, false);
    const [plant] = lanLinks(ROUTER, { names: ['br-plant'], lan: prefixes('fd00::/8'), own: [] });
    assert.equal(plant?.hasIPv6, false);
  });

  it('hear their own neighbours only', () => {
    const [link] = lanLinks(ROUTER, { names: ['br-plant'], lan: prefixes('192.168.0.0/16'), own: [] });
    const heard = ['192.168.2.9', '192.168.1.9', '8.8.8.8', 'fe80::5'].map((one) => link?.neighbours.contains(one));
    assert.deepEqual(heard, [true, false, false, true]);
  });

  it('are eight at most', () => {
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`eth${n}`, [info(`192.168.${n}.1/24`)]]));
    assert.equal(lanLinks(many, { names: [], lan: prefixes('192.168.0.0/16'), own: [] }).length, 8);
  });

  it('are told when they come, go or have other addresses, and not when nothing is new', () => {
    const clock = new ManualClock();
    let now: NodeJS.Dict<NetworkInterfaceInfo[]> = {};
    let told: string[] = [];
    const watch = new LinkWatch(
      () => now,
      { names: [], lan: prefixes('192.168.0.0/16', 'fd00::/8'), own: [] },
      clock,
      (fresh, gone) => told.push(...fresh.map(({ name }) => `+${name}`), ...gone.map((name) => `-${name}`)),
    );
    watch.start();
    const steps: readonly [NodeJS.Dict<NetworkInterfaceInfo[]>, string[]][] = [
      [{ eth1: [info('192.168.1.1/24')] }, ['+eth1']],
      [{ eth1: [info('192.168.1.1/24')] }, []],
      [{ eth1: [info('192.168.1.1/25')] }, ['+eth1']],
      [{ eth1: [info('192.168.1.2/25')] }, ['+eth1']],
      [{ eth1: [info('192.168.1.2/25'), info('fe80::1/64')] }, ['+eth1']],
      [{ eth1: [info('192.168.1.2/25'), info('fe80::1/64')], eth2: [info('192.168.2.1/24')] }, ['+eth2']],
      [{ eth2: [info('192.168.2.1/24')] }, ['-eth1']],
    ];
    for (const [interfaces, expected] of steps) {
      told = [];
      now = interfaces;
      clock.advance(5_000);
      assert.deepEqual(told, expected);
    }
    watch.stop();
    now = {};
    clock.advance(60_000);
    assert.deepEqual(told, ['-eth1']);
  });
});
