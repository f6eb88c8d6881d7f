import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Credentials, type Credential } from './index.js';

const bearer = (origin: string, secret = 'token'): Credential => ({ origin, scheme: 'bearer', secret });

describe('Credentials', () => {
  const made = Credentials.of([
    { origin: 'https://a.example', scheme: 'basic', name: 'gw', secret: 'päss:word' },
    bearer('https://b.example:8443'),
  ]);
  assert.ok(made.ok);
  const basic = `Basic ${Buffer.from('gw:päss:word').toString('base64')}`;
  const cases: readonly (readonly [url: string, shown: string | undefined])[] = [
    ['https://a.example/x?y', basic],
    ['https://A.EXAMPLE:443/', basic],
    ['http://a.example/', undefined],
    ['https://a.example:8443/', undefined],
    ['https://a.example.evil.test/', undefined],
    ['https://x.a.example/', undefined],
    ['https://a.example@evil.test/', undefined],
    ['https://b.example:8443/', 'Bearer token'],
    ['https://b.example/', undefined],
  ];
  for (const [url, shown] of cases) {
    it(`${url}: ${shown === undefined ? 'nothing' : 'its own'}`, () =>
      assert.equal(made.value.for(new URL(url)), shown));
  }

  it('refuses what cannot be sent, without saying it', () => {
    const wrong: readonly Credential[] = [
      bearer('https://a.example/path'),
      bearer('ftp://a.example'),
      bearer('a.example'),
      bearer('https://a.example', 'secret\r\nX: y'),
      bearer('https://a.example', 'secret word'),
      { origin: 'https://a.example', scheme: 'basic', name: 'a:b', secret: 'secret' },
    ];
    for (const credential of wrong) {
      const refused = Credentials.of([credential]);
      assert.ok(!refused.ok, JSON.stringify(credential));
      assert.ok(!refused.error.text.includes('secret'));
    }
  });
});
