import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { canonicalHost, HostNames } from './index.js';

describe('HostNames.parse', () => {
  for (const text of [
    'example.com',
    '*.example.com',
    'EXAMPLE.com.',
    'a_b.lan',
    'xn--bcher-kva.example',
    '10.0.0.1',
    '::1',
  ]) {
    it(`takes ${text}`, () => assert.ok(HostNames.parse([text]).ok));
  }
  for (const text of [
    '',
    '*',
    '*.',
    '.example.com',
    '*.10.0.0.1',
    'a b',
    'http://a',
    'a:80',
    'a/b',
    '-a',
    'bücher.example',
    '*.*.a',
  ]) {
    it(`refuses '${text}' by its name`, () => {
      const parsed = HostNames.parse(['example.com', text]);
      assert.ok(!parsed.ok);
      assert.ok(parsed.error.text.includes(`'${text}'`));
    });
  }
});

describe('HostNames.contains', () => {
  const cases: readonly (readonly [list: string, url: string, inside: boolean])[] = [
    ['example.com', 'http://example.com/', true],
    ['example.com', 'http://EXAMPLE.COM./', true],
    ['example.com', 'http://a.example.com/', false],
    ['example.com', 'http://badexample.com/', false],
    ['example.com', 'http://example.com.evil.test/', false],
    ['*.example.com', 'http://a.example.com/', true],
    ['*.example.com', 'http://a.b.example.com./', true],
    ['*.example.com', 'http://example.com/', false],
    ['*.example.com', 'http://badexample.com/', false],
    ['127.0.0.1', 'http://127.1:80/', true],
    ['127.0.0.1', 'http://[::ffff:127.0.0.1]/', true],
    ['127.0.0.1', 'http://127.0.0.2/', false],
    ['*.0.0.1', 'http://127.0.0.1/', false],
    ['::1', 'http://[0:0:0:0:0:0:0:1]/', true],
    ['xn--bcher-kva.example', 'http://bücher.example/', true],
  ];
  for (const [list, url, inside] of cases) {
    it(`${list} and ${url}: ${inside}`, () => {
      const hosts = HostNames.parse([list]);
      assert.ok(hosts.ok);
      assert.equal(hosts.value.contains(new URL(url).hostname), inside);
    });
  }
});

describe('canonicalHost', () => {
  it('has one spelling for a host', () => {
    assert.equal(canonicalHost('Router.LAN.'), 'router.lan');
    assert.equal(canonicalHost('[::FFFF:10.0.0.1]'), '10.0.0.1');
  });
});
