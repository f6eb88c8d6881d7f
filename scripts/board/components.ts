/**
 * What a firmware is made of: every package in the bundle, the addons and what they carry, each with version and licence.
 * Written as a list of components in CycloneDX 1.5 (SBOM).
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT_ROOT } from '../flow/project.js';
import type { AddonName } from './addons.js';
import { VERSION } from './source.js';

export interface Component {
  readonly name: string;
  readonly version: string;
  /** As SPDX names it. */
  readonly license: string;
  /** Package URL (purl). */
  readonly purl: string;
  /** SHA-256 of its file, where it is one file. */
  readonly sha256?: string | undefined;
}

const NODE_MODULES = join(PROJECT_ROOT, 'node_modules');

/** The npm packages in build/dmgw-main.cjs, as its build noted them. @throws when it has not been built */
export function bundledComponents(metafile = join(PROJECT_ROOT, 'build/metafile-esm.json')): Component[] {
  const { outputs } = JSON.parse(readFileSync(metafile, 'utf8')) as {
    outputs: Record<string, { inputs: Record<string, unknown> }>;
  };
  const inputs = Object.entries(outputs)
    .filter(([name]) => name.endsWith('.cjs'))
    .flatMap(([, output]) => Object.keys(output.inputs));
  const names = inputs.flatMap((input) => {
    const found = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1];
    return found === undefined ? [] : [found];
  });
  return [...new Set(names)].sort().map((name) => npmComponent(name));
}

/** An addon, and what it carries within: a C library, and what of NAN is compiled into it. */
export function addonComponents(name: AddonName, sha256: string): Component[] {
  const carried = name === 'better-sqlite3' ? [sqlite()] : [npmComponent('nan')];
  if (name === 'libxmljs2') carried.push(libxml2());
  return [{ ...npmComponent(name), sha256 }, ...carried];
}

export function npmComponent(name: string): Component {
  const told = JSON.parse(readFileSync(join(NODE_MODULES, name, 'package.json'), 'utf8')) as {
    version: string;
    license?: string;
    /** Older packages have it so. */
    licenses?: readonly { type: string }[];
  };
  const { version, license = told.licenses?.[0]?.type ?? 'NOASSERTION' } = told;
  return { name, version, license, purl: `pkg:npm/${name.replace('@', '%40')}@${version}` };
}

/** The project itself, or a part of it that is a file of its own. */
export function ownComponent(name: string): Component {
  return { name, version: VERSION, license: 'Apache-2.0', purl: `pkg:generic/${name}@${VERSION}` };
}

function sqlite(): Component {
  const version = definedIn('better-sqlite3/deps/sqlite3/sqlite3.h', 'SQLITE_VERSION');
  return { name: 'sqlite', version, license: 'blessing', purl: `pkg:generic/sqlite@${version}` };
}

function libxml2(): Component {
  const folder = join(NODE_MODULES, 'libxmljs2/vendor');
  const header = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('xmlversion.h'))
    .sort()[0];
  const version = definedIn(join('libxmljs2/vendor', header ?? ''), 'LIBXML_DOTTED_VERSION');
  return { name: 'libxml2', version, license: 'MIT', purl: `pkg:generic/libxml2@${version}` };
}

function definedIn(header: string, name: string): string {
  const file = join(NODE_MODULES, header);
  const found = existsSync(file) && new RegExp(`#define ${name}\\s+"([^"]+)"`).exec(readFileSync(file, 'utf8'))?.[1];
  if (!found) throw new Error(`${file} does not say its ${name}`);
  return found;
}

/** @param epochSeconds of the sources: the same sources give the same list */
export function cycloneDx(product: Component, components: readonly Component[], epochSeconds: number): string {
  const described = components.map(({ name, version, license, purl, sha256 }) => ({
    type: 'library',
    'bom-ref': purl,
    name,
    version,
    licenses: [{ license: { id: license } }],
    purl,
    ...(sha256 !== undefined && { hashes: [{ alg: 'SHA-256', content: sha256 }] }),
  }));
  const list = {
    $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    serialNumber: `urn:uuid:${uuidOf(JSON.stringify([product, described]))}`,
    version: 1,
    metadata: {
      timestamp: new Date(epochSeconds * 1000).toISOString(),
      component: {
        type: 'application',
        'bom-ref': product.purl,
        name: product.name,
        version: product.version,
        licenses: [{ license: { id: product.license } }],
        purl: product.purl,
      },
    },
    components: described,
    dependencies: [{ ref: product.purl, dependsOn: components.map(({ purl }) => purl) }],
  };
  return `${JSON.stringify(list, undefined, 2)}\n`;
}

/** A UUID (RFC 9562 §5.8, version 8) that follows from the content. */
function uuidOf(content: string): string {
  const digest = createHash('sha256').update(content).digest();
  digest[6] = ((digest[6] ?? 0) & 0x0f) | 0x80;
  digest[8] = ((digest[8] ?? 0) & 0x3f) | 0x80;
  const hex = digest.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}
