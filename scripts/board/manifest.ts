/**
 * What a firmware says of itself: manifest.json (every file with size and SHA-256, the addons with what they are linked against),
 * the list of components, and the texts of their licences.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NATIVE } from '../../firmware/native/index.js';
import { addonFile, filesBelow, NATIVE_FILE, REQUIRED_ADDONS, sha256Of, type AddonName } from './addons.js';
import {
  addonComponents,
  bundledComponents,
  cycloneDx,
  npmComponent,
  ownComponent,
  type Component,
} from './components.js';
import { readElf } from './elf.js';
import { LICENSES_FILE, licenseTexts } from './licenses.js';
import type { CrossBuild, Profile } from './profile.js';
import { VERSION } from './source.js';

interface FileEntry {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

interface AddonEntry extends FileEntry {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly needed: readonly string[];
  /** The oldest glibc that it loads on. */
  readonly glibc: string | undefined;
}

export interface Manifest {
  readonly name: 'dmgw';
  readonly version: string;
  readonly board: string;
  readonly sourceTime: string;
  readonly arch: string;
  readonly libc: string;
  readonly node: { readonly version: string; readonly abi: number; readonly source: string };
  readonly addons: readonly AddonEntry[];
  readonly components: readonly Component[];
  readonly files: readonly FileEntry[];
}

/**
 * Writes LICENSES, manifest.json and sbom.cdx.json into `app`, beside the bundle and the addons that are there.
 * @param nodeAbi of the board's Node.js
 * @param epochSeconds time of the sources
 */
export function describeApp(
  app: string,
  { name, build }: Pick<Profile<CrossBuild>, 'name' | 'build'>,
  nodeAbi: number,
  epochSeconds: number,
): Manifest {
  const carried = REQUIRED_ADDONS.map((addon) =>
    describeAddon(npmComponent(addon), app, join('node_modules', addonFile(addon))),
  );
  const own = describeAddon(ownComponent(NATIVE), app, NATIVE_FILE);
  const product = ownComponent('dmgw');
  const components = [
    ...bundledComponents(),
    { ...ownComponent(NATIVE), sha256: own.sha256 },
    ...carried.flatMap(({ name: addon, sha256 }) => addonComponents(addon as AddonName, sha256)),
  ];
  writeFileSync(join(app, LICENSES_FILE), licenseTexts([product, ...components]));
  const manifest: Manifest = {
    name: 'dmgw',
    version: VERSION,
    board: name,
    sourceTime: new Date(epochSeconds * 1000).toISOString(),
    arch: build.arch,
    libc: build.libc,
    node: { version: build.node.version, abi: nodeAbi, source: build.node.program },
    addons: [...carried, own],
    components,
    files: filesBelow(app).map((path) => describeFile(app, path)),
  };
  writeFileSync(join(app, 'manifest.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
  writeFileSync(join(app, 'sbom.cdx.json'), cycloneDx(product, components, epochSeconds));
  return manifest;
}

function describeFile(folder: string, path: string): FileEntry {
  const file = join(folder, path);
  return { path, bytes: statSync(file).size, sha256: sha256Of(file) };
}

/** @param path below `app` */
function describeAddon({ name, version, license }: Component, app: string, path: string): AddonEntry {
  const facts = readElf(readFileSync(join(app, path)));
  return { name, version, license, ...describeFile(app, path), needed: facts.needed, glibc: facts.glibc };
}
