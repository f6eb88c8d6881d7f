import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { addonComponents, bundledComponents, cycloneDx } from './components.js';

const PRODUCT = { name: 'dmgw', version: '1.2.3', license: 'Apache-2.0', purl: 'pkg:generic/dmgw@1.2.3' };

describe('the list of components', () => {
  it('has what is in the bundle, and nothing of the tests or of the build', () => {
    const names = bundledComponents().map(({ name }) => name);
    assert.ok(names.includes('valibot'), names.join());
    for (const other of ['esbuild', 'tsup', 'fast-check', 'better-sqlite3']) assert.ok(!names.includes(other), other);
  });

  it('has the C libraries that the addons carry, by the version in their headers', () => {
    const found = [...addonComponents('better-sqlite3', 'a'), ...addonComponents('libxmljs2', 'b')];
    const purls = found.map(({ purl }) => purl);
    assert.ok(
      purls.some((purl) => /^pkg:generic\/sqlite@3\.\d+\.\d+$/.test(purl)),
      purls.join(),
    );
    assert.ok(purls.includes('pkg:generic/libxml2@2.9.9'), purls.join());
    assert.ok(found.every(({ license }) => license !== ''));
  });

  it('is the same for the same components, and another for others', () => {
    const components = addonComponents('libxmljs2', 'c'.repeat(64));
    const text = cycloneDx(PRODUCT, components, 0);
    assert.equal(cycloneDx(PRODUCT, components, 0), text);
    const list = JSON.parse(text) as Record<string, unknown> & { components: unknown[] };
    assert.deepEqual([list.bomFormat, list.specVersion, list.version], ['CycloneDX', '1.5', 1]);
    assert.match(
      String(list.serialNumber),
      /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
    assert.deepEqual(list.components[0], {
      type: 'library',
      'bom-ref': 'pkg:npm/libxmljs2@0.35.0',
      name: 'libxmljs2',
      version: '0.35.0',
      licenses: [{ license: { id: 'MIT' } }],
      purl: 'pkg:npm/libxmljs2@0.35.0',
      hashes: [{ alg: 'SHA-256', content: 'c'.repeat(64) }],
    });
    const other = JSON.parse(cycloneDx(PRODUCT, components.slice(1), 0)) as { serialNumber: string };
    assert.notEqual(other.serialNumber, list.serialNumber);
  });
});
