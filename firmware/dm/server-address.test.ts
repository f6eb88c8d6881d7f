import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ServerAddress } from './server-address.js';

describe('a place that a server names', () => {
  const rows: readonly (readonly [account: string, to: string, expected: string | undefined])[] = [
    ['https://dm.example/dm', 'next?s=7', 'https://dm.example/next?s=7'],
    ['https://dm.example/dm', 'https://allowed.example/', 'https://allowed.example/'],
    ['https://dm.example/dm', 'https://allowed.example:8443/', 'https://allowed.example:8443/'],
    ['https://dm.example/dm', 'https://other.example/', undefined],
    ['https://dm.example/dm', 'http://dm.example/dm', undefined],
    ['https://dm.example/dm', 'http://allowed.example/', undefined],
    ['http://dm.example/dm', 'http://allowed.example/', 'http://allowed.example/'],
    ['http://dm.example/dm', 'https://allowed.example/', 'https://allowed.example/'],
    ['http://dm.example/dm', 'ftp://allowed.example/', undefined],
    ['http://dm.example/dm', 'http://user@dm.example/dm', undefined],
    ['http://dm.example/dm', 'http://', undefined],
  ];
  for (const [account, to, expected] of rows) {
    it(`${to}, from ${account}: ${expected ?? 'refused'}`, () => {
      const address = new ServerAddress(account, (host) => host === 'allowed.example');
      assert.equal(address.move(to), expected !== undefined);
      assert.equal(address.url, expected ?? account);
    });
  }
});
