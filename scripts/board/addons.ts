/**
 * Compiles the native addons for a board and puts what they need at run time beside the bundle; and the part in C of our own.
 * The sources are those that npm has installed here; the compiler is Debian's for another machine, or that of OpenWrt's SDK.
 */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NATIVE } from '../../firmware/native/index.js';
import { PROJECT_ROOT } from '../flow/project.js';
import { readElf, type ElfFacts } from './elf.js';
import type { CrossBuild } from './profile.js';
import { run } from './run.js';

/** An addon: the file of its build that is loaded, and what else of the package is used at run time. */
interface AddonParts {
  readonly file: string;
  readonly parts: readonly string[];
}

/** The gateway loads the two that it needs by their file, and asks their package.json for the version only. */
const ADDONS = {
  'better-sqlite3': { file: 'build/Release/better_sqlite3.node', parts: ['package.json'] },
  libxmljs2: { file: 'build/Release/xmljs.node', parts: ['package.json'] },
  mdns: { file: 'build/Release/dns_sd_bindings.node', parts: ['package.json', 'lib'] },
} as const satisfies Readonly<Record<string, AddonParts>>;

export type AddonName = keyof typeof ADDONS;

/** Those that every package has; `mdns` has a package of its own. */
export const REQUIRED_ADDONS: readonly AddonName[] = ['better-sqlite3', 'libxmljs2'];

/** The part in C (firmware/native), which lies beside the bundle. It is compiled for no ABI of Node.js. */
export const NATIVE_FILE = `${NATIVE}.node`;

export interface Toolchain {
  /** In front of `gcc` and its tools, with the folder where they are not in PATH. */
  readonly prefix: string;
  /** Of Node.js for the board: include/node. */
  readonly nodeFolder: string;
  /** Libraries and headers of the board, for `mdns`. */
  readonly sysroot?: string;
  /** OpenWrt's compiler asks for it. */
  readonly stagingDir?: string;
}

const NODE_MODULES = join(PROJECT_ROOT, 'node_modules');

/** It follows from what strip removes, too: the folder of the build. */
const NO_BUILD_ID = '-Wl,--build-id=none';

/** npm and its scripts export settings that node-gyp obeys more than its own arguments: the wrong headers, without a word. */
const WITHOUT_NPM_SETTINGS = Object.fromEntries(
  Object.keys(process.env)
    .filter((name) => /^npm_config_/i.test(name))
    .map((name) => [name, undefined]),
);

/**
 * Compiles an addon in `tree`, unless the same was compiled there before. The paths of this machine do not get into it.
 * @returns the file, not stripped
 * @throws with the end of the compiler's output; and when what it made is not for the board
 */
export function compileAddon(name: AddonName, build: CrossBuild, toolchain: Toolchain, tree: string): string {
  const folder = join(tree, 'node_modules', name);
  const file = join(folder, ADDONS[name].file);
  const flags = [...build.cpuFlags, `-ffile-prefix-map=${tree}=.`, `-ffile-prefix-map=${toolchain.nodeFolder}=node`];
  const stamp = join(folder, '.built');
  const key = JSON.stringify([
    ...['nan', name].map((one) => readFileSync(join(NODE_MODULES, one, 'package.json'), 'utf8')),
    build.arch,
    flags,
    toolchain,
    run(`${toolchain.prefix}gcc`, ['--version']),
  ]);
  if (existsSync(file) && existsSync(stamp) && readFileSync(stamp, 'utf8') === key) return file;
  copySources(name, tree);
  const { sysroot, stagingDir } = toolchain;
  const avahi = name === 'mdns' && sysroot !== undefined;
  const cflags = [...flags, ...(avahi ? [`-I${sysroot}/usr/include/avahi-compat-libdns_sd`] : [])].join(' ');
  // Debian has its libraries in a folder for each architecture.
  const libraries = [`-L${sysroot}/usr/lib/${build.toolchain}`, `-L${sysroot}/usr/lib`];
  const ldflags = [NO_BUILD_ID, ...(avahi ? libraries : [])].join(' ');
  run(
    process.execPath,
    [
      join(NODE_MODULES, 'node-gyp/bin/node-gyp.js'),
      ...['rebuild', '--release', `--arch=${build.arch}`, `--nodedir=${toolchain.nodeFolder}`, '--jobs=2'],
    ],
    {
      cwd: folder,
      logFile: join(tree, `${name}.log`),
      env: {
        ...WITHOUT_NPM_SETTINGS,
        LC_ALL: 'C',
        CC: `${toolchain.prefix}gcc`,
        CXX: `${toolchain.prefix}g++`,
        LINK: `${toolchain.prefix}g++`,
        AR: `${toolchain.prefix}ar`,
        CFLAGS: cflags,
        CXXFLAGS: cflags,
        LDFLAGS: ldflags,
        STAGING_DIR: stagingDir,
      },
    },
  );
  requireFit(name, readElf(readFileSync(file)), build, abiOf(toolchain.nodeFolder));
  writeFileSync(stamp, key);
  return file;
}

/**
 * Compiles the part in C, and puts it, stripped, into `app`. OPENWRT_CFLAGS, OPENWRT_LDFLAGS: those that OpenWrt's build has
 * for all packages, such as its hardening.
 * @throws with what the compiler says; and when what it made is not for the board
 */
export function buildNative(build: CrossBuild, toolchain: Toolchain, tree: string, app: string): void {
  const { prefix, nodeFolder, stagingDir } = toolchain;
  const { OPENWRT_CFLAGS = '', OPENWRT_LDFLAGS = '' } = process.env;
  const file = join(tree, NATIVE_FILE);
  run(join(PROJECT_ROOT, 'scripts/native.sh'), [file], {
    env: {
      LC_ALL: 'C',
      CC: `${prefix}gcc`,
      CFLAGS: [OPENWRT_CFLAGS, ...build.cpuFlags, `-ffile-prefix-map=${PROJECT_ROOT}=.`].join(' '),
      LDFLAGS: `${OPENWRT_LDFLAGS} ${NO_BUILD_ID}`,
      STAGING_DIR: stagingDir,
    },
  });
  requireFit(NATIVE_FILE, readElf(readFileSync(file)), build, abiOf(nodeFolder));
  run(`${prefix}strip`, ['--strip-unneeded', '-o', join(app, NATIVE_FILE), file]);
}

/** @throws in one line where an addon cannot be loaded on the board */
export function requireFit(
  name: string,
  facts: ElfFacts,
  { arch, libc }: Pick<CrossBuild, 'arch' | 'libc'>,
  nodeAbi: number,
): void {
  if (facts.arch !== arch) throw new Error(`${name} is for ${facts.arch}; the board is ${arch}`);
  if (facts.libc !== libc) {
    throw new Error(
      `${name} is linked against ${facts.libc} (${facts.needed.join(', ')}); the board has ${libc}, where it does not load`,
    );
  }
  if (facts.nodeAbi !== undefined && facts.nodeAbi !== nodeAbi) {
    throw new Error(`${name} is for Node.js with ABI ${facts.nodeAbi}; the board's has ${nodeAbi}`);
  }
  if (facts.removesCleanupHook) {
    const advice = 'compile it with those of 24.18 or before (nodejs/node#65446)';
    throw new Error(`${name} ends the process, as it has the headers of Node.js 24.19 or later: ${advice}`);
  }
}

/** NODE_MODULE_VERSION of a Node.js, by its headers. */
export function abiOf(nodeFolder: string): number {
  const header = readFileSync(join(nodeFolder, 'include/node/node_version.h'), 'utf8');
  const found = /^#define NODE_MODULE_VERSION (\d+)/m.exec(header)?.[1];
  if (found === undefined) throw new Error(`${nodeFolder}: its headers tell no NODE_MODULE_VERSION`);
  return Number(found);
}

/** Puts an addon, stripped, and what it needs into `app`/node_modules. */
export function stageAddon(name: AddonName, file: string, toolchain: Toolchain, app: string): void {
  const modules = join(app, 'node_modules');
  const { file: place, parts } = ADDONS[name];
  for (const part of parts) {
    cpSync(join(NODE_MODULES, name, part), join(modules, name, part), { recursive: true });
  }
  mkdirSync(join(modules, name, 'build/Release'), { recursive: true });
  run(`${toolchain.prefix}strip`, ['--strip-unneeded', '-o', join(modules, name, place), file]);
}

/** Where the file of an addon is below node_modules. */
export function addonFile(name: AddonName): string {
  return join(name, ADDONS[name].file);
}

/** The sources of an addon in a tree of their own: what was built for this machine stays where it is. */
function copySources(name: AddonName, tree: string): void {
  for (const one of [name, 'nan']) {
    const from = join(NODE_MODULES, one);
    if (!existsSync(from)) throw new Error(`${one} is not installed here`);
    const to = join(tree, 'node_modules', one);
    if (one !== name && existsSync(to)) continue;
    rmSync(to, { recursive: true, force: true });
    cpSync(from, to, { recursive: true, filter: (path) => path !== join(from, 'build') });
  }
}

/** SHA-256 of a file, in hexadecimal. */
export function sha256Of(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

/** All files below a folder, relative to it, sorted. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(folder, name)).isFile())
    .sort();
}
