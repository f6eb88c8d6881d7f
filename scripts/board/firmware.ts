/**
 * `make firmware BOARD=...`: the bundle and the addons for a board in build/board/NAME/, with a manifest and a list of
 * components. OPENWRT_SDK: folder of OpenWrt's SDK, which boards with OpenWrt need. The same sources give the same bytes.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { NATIVE } from '../../firmware/native/index.js';
import { PROJECT_ROOT } from '../flow/project.js';
import {
  abiOf,
  addonFile,
  buildNative,
  compileAddon,
  REQUIRED_ADDONS,
  sha256Of,
  stageAddon,
  type Toolchain,
} from './addons.js';
import { writeArchive } from './archive.js';
import { addonComponents } from './components.js';
import { fetchNode, fetchSysroot, needCompiler } from './fetch.js';
import { LICENSES_FILE, licenseTexts } from './licenses.js';
import { describeApp, type Manifest } from './manifest.js';
import type { CrossBuild, Profile } from './profile.js';
import { sourceEpochSeconds, VERSION } from './source.js';
import { installedProfile, uciDefaults, uciKeyTable } from './uci.js';

export interface Firmware {
  readonly folder: string;
  /** What is installed as /usr/lib/dmgw. */
  readonly app: string;
  /** The addon for the system's DNS-SD, as `app`; undefined where it cannot be built. */
  readonly mdns: string | undefined;
  readonly manifest: Manifest;
  /** All of it but `mdns` in one file. */
  readonly archive: string;
}

/** What starts the program, the program, and the helper that speaks with the system's mDNS daemon. */
const BUNDLES = ['dmgw.cjs', 'dmgw-main.cjs', 'dmgw-mdns.cjs'];

/** Where a board's firmware is built. */
export function firmwareFolder(name: string): string {
  return join(PROJECT_ROOT, 'build/board', name);
}

/**
 * @param folder for all that it makes; what was compiled there before is used again
 * @param tell what it does, in one line
 * @throws in one line, or with the end of a compiler's output
 */
export function buildFirmware(
  { name, build, configuration }: Profile<CrossBuild>,
  folder: string,
  tell: (line: string) => void,
): Firmware {
  const app = join(folder, 'app');
  const tree = join(folder, 'tree');
  const mdnsApp = join(folder, 'mdns');
  // Where it is missing, nothing is begun, and what was built before stays.
  const toolchain = toolchainOf(name, build, tell);
  const abi = abiOf(toolchain.nodeFolder);
  for (const one of [app, mdnsApp]) rmSync(one, { recursive: true, force: true });
  mkdirSync(app, { recursive: true });
  mkdirSync(tree, { recursive: true });

  for (const program of BUNDLES) copyFileSync(join(PROJECT_ROOT, 'build', program), join(app, program));
  writeFileSync(join(app, 'package.json'), `${JSON.stringify({ name: 'dmgw', version: VERSION, type: 'module' })}\n`);
  for (const addon of REQUIRED_ADDONS) {
    tell(`${addon} for ${build.toolchain}, Node.js ABI ${abi}`);
    stageAddon(addon, compileAddon(addon, build, toolchain, tree), toolchain, app);
  }
  tell(`${NATIVE} for ${build.toolchain}`);
  buildNative(build, toolchain, tree, app);
  const mdns = buildMdns(() => compileAddon('mdns', build, toolchain, tree), toolchain, mdnsApp, tell);

  writeBoardFiles(folder, { name, build, configuration });
  const epochSeconds = sourceEpochSeconds();
  const manifest = describeApp(app, { name, build }, abi, epochSeconds);
  const archive = join(folder, `dmgw-${VERSION}-${name}.tar.gz`);
  writeArchive(archive, app, { epochSeconds });
  return { folder, app, mdns, manifest, archive };
}

/** What a package takes from the board's profile, see board/openwrt/install.sh. */
export function writeBoardFiles(
  folder: string,
  { name, build, configuration }: Pick<Profile, 'name' | 'build' | 'configuration'>,
): void {
  const put = (file: string, content: string): void => writeFileSync(join(folder, file), content);
  put('board.json', `${JSON.stringify(installedProfile(configuration), undefined, 2)}\n`);
  put('node-flags', `${build.nodeFlags.join(' ')}\n`);
  put('uci-keys', uciKeyTable());
  put('dmgw.config', uciDefaults(name, configuration));
}

/**
 * `mdns` is optional, and does not build everywhere: then there is no package of it.
 * @param compile its addon
 * @returns `app`, with all that the package has; undefined where there is none
 */
export function buildMdns(
  compile: () => string,
  toolchain: Toolchain,
  app: string,
  tell: (line: string) => void,
): string | undefined {
  try {
    stageAddon('mdns', compile(), toolchain, app);
    // Its package has nothing else that is not also the daemon's.
    const texts = licenseTexts(addonComponents('mdns', sha256Of(join(app, 'node_modules', addonFile('mdns')))));
    writeFileSync(join(app, 'node_modules/mdns', LICENSES_FILE), texts);
    return app;
  } catch (thrown) {
    rmSync(app, { recursive: true, force: true });
    tell(`without mdns, which is optional: ${thrown instanceof Error ? (thrown.message.split('\n')[0] ?? '') : ''}`);
    return undefined;
  }
}

function toolchainOf(name: string, build: CrossBuild, tell: (line: string) => void): Toolchain {
  if (build.system === 'openwrt') return openwrtToolchain(name, build);
  needCompiler(build.toolchain);
  tell(`headers and program of ${build.node.program.replace('npm:', '')}, libraries of Debian`);
  return {
    prefix: `${build.toolchain}-`,
    nodeFolder: fetchNode(build.node.headers),
    sysroot: fetchSysroot(build.arch),
  };
}

/** OpenWrt's own compiler, from its SDK: staging_dir/toolchain-ARCH_gcc-VERSION_musl.../bin. */
export function openwrtToolchain(name: string, build: CrossBuild): Toolchain {
  const sdk = process.env.OPENWRT_SDK ?? '';
  const asked = `BOARD=${name} needs OpenWrt's toolchain (${build.libc}): OPENWRT_SDK=folder of the SDK for ${build.packageArch}`;
  if (sdk === '') throw new Error(asked);
  const stagingDir = resolve(sdk, 'staging_dir');
  const folders = existsSync(stagingDir) ? readdirSync(stagingDir) : [];
  const toolchain = folders.find((one) => existsSync(join(stagingDir, one, 'bin', `${build.toolchain}-gcc`)));
  if (toolchain === undefined) {
    throw new Error(`${asked}; there is no ${build.toolchain}-gcc in ${stagingDir}/toolchain-*/bin`);
  }
  const withHeader = (file: string): string | undefined =>
    folders.find((one) => existsSync(join(stagingDir, one, 'usr/include', file)));
  const target = withHeader('node/node_version.h');
  const withAvahi = withHeader('avahi-compat-libdns_sd/dns_sd.h');
  return {
    prefix: join(stagingDir, toolchain, 'bin', `${build.toolchain}-`),
    // The feed's own headers where its Node.js was built in this SDK: its ABI is what counts.
    nodeFolder: target === undefined ? fetchNode(build.node.headers) : join(stagingDir, target, 'usr'),
    stagingDir,
    ...(withAvahi !== undefined && { sysroot: join(stagingDir, withAvahi) }),
  };
}
