import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { minimal } from './example.fixture.js';
import { parseConfiguration, readSignatureKeys } from './index.js';

const one = generateKeyPairSync('ed25519');
const other = generateKeyPairSync('ed25519');
const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 });
const pemOf = ({ publicKey }: typeof one): string => publicKey.export({ type: 'spki', format: 'pem' }).toString();
const derOf = ({ publicKey }: typeof one): Buffer => publicKey.export({ type: 'spki', format: 'der' });

function read(...signatureKeys: string[]) {
  const parsed = parseConfiguration([{ file: 'F', value: { ...minimal(), retrieve: { signatureKeys } } }]);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.error.text);
  return readSignatureKeys(parsed.value.configuration);
}

describe('the keys of those who sign images', () => {
  let folder: string;
  before(() => (folder = mkdtempSync(join(tmpdir(), 'dmgw-keys-'))));
  after(() => rmSync(folder, { recursive: true }));
  const file = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };

  it('come from PEM files, with several each, and from base64 in two forms', () => {
    const der = derOf(one);
    const keys = read(
      file('two.pem', pemOf(one) + pemOf(other)),
      der.subarray(-32).toString('base64'),
      der.toString('base64'),
    );
    assert.ok(keys.ok, keys.ok ? '' : keys.error.text);
    assert.deepEqual(
      keys.value.map((key) => key.equals(one.publicKey)),
      [true, false, true, true],
    );
    assert.ok(keys.value[1]?.equals(other.publicKey));
  });

  it('are none by default', () => assert.deepEqual(read(), { ok: true, value: [] }));

  const wrong: readonly (readonly [name: string, item: () => string, code: string])[] = [
    ['a file that is missing', () => join(folder, 'none'), 'unreadable'],
    ['a file without a key', () => file('empty', 'hello'), 'not-a-key'],
    [
      'a private key',
      () => file('private', one.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()),
      'not-a-key',
    ],
    [
      'another kind of key',
      () => file('rsa', rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString()),
      'not-a-key',
    ],
    ['a damaged key', () => file('damaged', pemOf(one).replace('MCow', 'AAAA')), 'not-a-key'],
    ['base64 of something else', () => Buffer.alloc(44).toString('base64'), 'not-a-key'],
  ];
  for (const [name, item, code] of wrong) {
    it(`${name} is refused by its place: ${code}`, () => {
      const refused = read(derOf(one).toString('base64'), item());
      assert.ok(!refused.ok);
      assert.equal(refused.error.code, code);
      assert.match(refused.error.text, /^retrieve\.signatureKeys\[1\]: /);
    });
  }
});
