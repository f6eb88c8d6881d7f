import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { minimal } from './example.fixture.js';
import { parseConfiguration, showConfiguration } from './index.js';

const retrieving = (retrieve: Record<string, unknown>): { file: string; value: unknown }[] => [
  { file: 'F', value: { ...minimal(), retrieve } },
];
const lineOf = (retrieve: Record<string, unknown>): string => {
  const parsed = parseConfiguration(retrieving(retrieve));
  return parsed.ok ? 'right' : parsed.error.text;
};

const basic = { origin: 'https://images.example.com', name: 'gw', secret: 'hunter2' };
const proxy = { url: 'http://10.0.0.2:3128', name: 'gw', secret: 'hunter2' };
const withCredential = (changes: Record<string, unknown>): Record<string, unknown> => ({
  credentials: [{ ...basic, ...changes }],
});

/** name, section retrieve, the exact line */
const WRONG: [string, Record<string, unknown>, string][] = [
  [
    'a URL for a host',
    { allowHosts: ['https://images.example.com/'] },
    'F: retrieve.allowHosts[0]: "https://images.example.com/" is not allowed; expected a host such as images.example.com, *.example.com or 192.168.1.9',
  ],
  [
    'an address for a prefix',
    { denyPrefixes: ['10.0.0.0/8', 'images.example.com'] },
    'F: retrieve.denyPrefixes[1]: "images.example.com" is not allowed; expected an address prefix such as 192.168.1.0/24 or fd00::/8',
  ],
  [
    'a credential for a path',
    withCredential({ origin: 'https://images.example.com/x' }),
    'F: retrieve.credentials[0].origin: "https://images.example.com/x" is not allowed; expected scheme, host and port such as https://images.example.com or https://images.example.com:8443',
  ],
  [
    'a credential in the clear',
    withCredential({ origin: 'http://images.example.com' }),
    'F: retrieve.credentials[0].origin: http:// sends the credential in the clear; expected https://, or retrieve.credentials[0].allowInsecure set to true',
  ],
  [
    'basic without a name',
    { credentials: [{ origin: basic.origin, secret: 'hunter2' }] },
    'F: retrieve.credentials[0].name: missing; expected a user name, because the scheme is basic',
  ],
  [
    'a token that is none, which is not repeated',
    withCredential({ scheme: 'bearer', secret: 'hunter 2' }),
    'F: retrieve.credentials[0].secret: this value is no token; expected letters, digits and . _ ~ + / - =',
  ],
  [
    'an origin twice',
    { credentials: [basic, basic] },
    'F: retrieve.credentials[1].origin: https://images.example.com stands already in retrieve.credentials[0].origin; expected another one',
  ],
  [
    'a proxy over TLS',
    { proxy: { url: 'https://10.0.0.2:3128' } },
    'F: retrieve.proxy.url: https://10.0.0.2:3128 is not spoken to over TLS; expected http://, https URLs are tunnelled',
  ],
  [
    'a proxy with a path',
    { proxy: { url: 'http://10.0.0.2:3128/x' } },
    'F: retrieve.proxy.url: "http://10.0.0.2:3128/x" is not allowed; expected scheme, host and port such as https://images.example.com or https://images.example.com:8443',
  ],
  [
    'a credential for no proxy',
    { proxy: { name: 'gw', secret: 'hunter2' } },
    'F: retrieve.proxy.url: missing; expected it beside retrieve.proxy.name',
  ],
  [
    'a proxy with half a credential',
    { proxy: { url: 'http://10.0.0.2:3128', name: 'gw' } },
    'F: retrieve.proxy.secret: missing; expected it beside retrieve.proxy.name',
  ],
  [
    'a window that is none',
    { windows: ['22:00-06:00', 'at night'] },
    'F: retrieve.windows[1]: "at night" is not allowed; expected a window such as 22:00-06:00, Sat,Sun 00:00-24:00 or Mon-Fri 01:30-05:00',
  ],
  [
    'a key that is none',
    { signatureKeys: ['key.pem'] },
    'F: retrieve.signatureKeys[0]: "key.pem" is not allowed; expected the path of a PEM file, or a public key of Ed25519 in base64',
  ],
  [
    'signatures that nobody may make',
    { requireSignature: true },
    'F: retrieve.signatureKeys: empty; expected at least one key, because retrieve.requireSignature is true',
  ],
  [
    'a time zone by its name',
    { timeZone: 'Europe/Berlin' },
    'F: retrieve.timeZone: "Europe/Berlin" is not allowed; expected a time zone as POSIX writes it, with its rules, such as UTC0 or CET-1CEST,M3.5.0,M10.5.0/3',
  ],
];

describe('a wrong section retrieve is refused with one line', () => {
  for (const [name, retrieve, line] of WRONG) it(name, () => assert.equal(lineOf(retrieve), line));
});

describe('a right section retrieve', () => {
  const RIGHT: [string, Record<string, unknown>][] = [
    ['hosts', { allowHosts: ['images.example.com', '*.cdn.example', '192.168.1.9', '::1'] }],
    ['a credential', withCredential({})],
    ['a credential with a port', withCredential({ origin: 'https://images.example.com:8443' })],
    ['a credential in the clear, with leave', withCredential({ origin: 'http://10.0.0.1', allowInsecure: true })],
    ['a proxy', { proxy: { url: proxy.url, exceptHosts: ['*.lan', '10.0.0.9'] } }],
    ['a proxy with a credential', { proxy }],
    ['windows', { windows: ['Mon-Fri 22:00-06:00'], timeZone: 'CET-1CEST,M3.5.0,M10.5.0/3' }],
    ['a metered link', { meteredFile: '/var/run/metered', meteredMinPriority: -1 }],
    ['keys', { signatureKeys: ['/etc/dmgw/key.pem', `${'A'.repeat(43)}=`], requireSignature: true }],
    ['a token', withCredential({ scheme: 'bearer', secret: 'abc.def-_~+/==' })],
  ];
  for (const [name, retrieve] of RIGHT) it(`is taken: ${name}`, () => assert.equal(lineOf(retrieve), 'right'));

  it('hides its secrets', () => {
    const parsed = parseConfiguration(retrieving({ ...withCredential({}), proxy: { ...proxy, secret: 'hunter3' } }));
    assert.ok(parsed.ok);
    const shown = JSON.stringify(showConfiguration(parsed.value.configuration, parsed.value.layers));
    assert.ok(!/hunter[23]/.test(shown));
    assert.equal(shown.split('(hidden)').length, 3);
  });
});
