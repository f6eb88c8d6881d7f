import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Prefixes, wanAddresses } from './index.js';

describe('wanAddresses', () => {
  const mayReach = wanAddresses({
    lan: Prefixes.of(['5.6.7.0/24', 'fd00:1::/64']),
    allow: Prefixes.of(['10.1.0.0/16', '8.8.0.0/16', '5.6.7.9']),
    deny: Prefixes.of(['10.1.1.0/24', '8.8.4.0/24', '2606:4700::/32']),
  });
  const cases: readonly (readonly [address: string, reached: boolean, why: string])[] = [
    ['1.1.1.1', true, 'global'],
    ['2620:fe::fe', true, 'global'],
    ['10.2.0.1', false, 'private'],
    ['10.1.0.1', true, 'private and allowed'],
    ['10.1.1.1', false, 'allowed and denied'],
    ['8.8.8.8', true, 'global'],
    ['8.8.4.4', false, 'global and denied'],
    ['::ffff:8.8.4.4', false, 'denied, in another spelling'],
    ['64:ff9b::808:404', false, 'denied, behind a translator'],
    ['64:ff9b::808:808', true, 'global, behind a translator'],
    ['64:ff9b::a02:1', false, 'private, behind a translator'],
    ['64:ff9b::a01:1', true, 'private and allowed, behind a translator'],
    ['5.6.7.8', false, 'the LAN'],
    ['64:ff9b::506:708', false, 'the LAN, behind a translator'],
    ['5.6.7.9', true, 'the LAN, allowed'],
    ['fd00:1::5', false, 'the LAN'],
    ['2606:4700::1111', false, 'denied'],
    ['127.0.0.1', false, 'this host'],
    ['::127.0.0.1', false, 'this host, wrapped'],
    ['2002:7f00:1::', false, 'this host, by a tunnel'],
  ];
  for (const [address, reached, why] of cases) {
    it(`${address} (${why}): ${reached}`, () => assert.equal(mayReach(address), reached));
  }
});
