import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { addonComponents, bundledComponents, cycloneDx } from './components.js';

const PRODUCT = { name: 'dmgw', version: '1.2.3', license: 'Apache-2.0', purl: 'pkg:generic/dmgw@1.2.3' };

describe('the list of components', () => {
  it('has the packages that the build says are in the bundle, each once', () => {
    const inputs = ['firmware/main.ts', 'node_modules/valibot/dist/index.mjs', 'node_modules/valibot/dist/other.mjs'];
    const folder = mkdtempSync(join(tmpdir(), 'dmgw-components-'));
    try {
      const metafile = join(folder, 'metafile.json');
      const named = (names: string[]): unknown => ({ inputs: Object.fromEntries(names.map((name) => [name, {}])) });
      const beside = named(['node_modules/fast-check/lib/fast-check.js']);
      writeFileSync(metafile, JSON.stringify({ outputs: { 'build/a.cjs': named(inputs), 'build/b.js': beside } }));
      assert.deepEqual(
        bundledComponents(metafile).map(({ name, license }) => [name, license]),
        [['valibot', 'MIT']],
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('has none today: what is in the bundle is ours', () => assert.deepEqual(bundledComponents(), []));

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
