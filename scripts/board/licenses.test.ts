import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { PROJECT_ROOT } from '../flow/project.js';
import { addonComponents, bundledComponents, ownComponent } from './components.js';
import { licenseTexts } from './licenses.js';

describe('the notices of a firmware', () => {
  const components = [
    ...['dmgw', 'dmgw-native'].map(ownComponent),
    ...bundledComponents(),
    ...addonComponents('better-sqlite3', 'a'),
    ...addonComponents('libxmljs2', 'b'),
  ];
  const texts = licenseTexts(components);

  it('name each component once, and whose it is', () => {
    for (const { name, version, license } of components) {
      assert.equal(texts.split(`\n${name} ${version} (${license})\n`).length, 2, name);
    }
    for (const holder of [
      ...['Joshua Wise', 'NAN contributors'],
      ...['1998-2012 Daniel Veillard', 'Bjorn Reese', 'Gary Pennington', 'Christopher Swenson'],
    ]) {
      assert.ok(texts.includes(holder), holder);
    }
    assert.match(texts, /The author disclaims copyright[^]+May you share freely, never taking more than you give\.\n/);
  });

  it('have the licence of the project once, for all its parts', () => {
    const own = readFileSync(join(PROJECT_ROOT, 'LICENSE'), 'utf8').trim();
    assert.equal(texts.split(own).length, 2);
  });

  it('have no code of the sources whose heads they quote', () => {
    assert.doesNotMatch(texts, /^#(?:define|include|ifdef|ifndef)|\/\*|\*\/|^typedef/m);
  });

  it('are not written where one is missing', () => {
    const component = { name: 'node-gyp/bin', version: '1', license: 'MIT', purl: 'pkg:npm/node-gyp/bin@1' };
    assert.throws(() => licenseTexts([component]), /bin has no text of its licence$/);
  });
});
