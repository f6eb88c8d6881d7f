/**
 * Packages of a board's firmware: .ipk for opkg, and .apk where the tool `apk` of OpenWrt is in PATH. The files are laid
 * by board/openwrt/install.sh, as OpenWrt's own build does.
 */
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT_ROOT } from '../flow/project.js';
import { filesBelow, requireFit } from './addons.js';
import { writeArchive } from './archive.js';
import { readElf } from './elf.js';
import type { CrossBuild } from './profile.js';
import { run } from './run.js';
import { VERSION } from './source.js';

const RELEASE = 1;
const MAINTAINER = 'The dmgw maintainers <dmgw@localhost>';
/** Number of its user and group, free in OpenWrt's list of those of packages. */
const USER_ID = 2948;

/** What `make firmware` has left for a package. */
export interface Built {
  /** With app/, board.json, node-flags, uci-keys, dmgw.config; and mdns/ where it was built. */
  readonly folder: string;
  readonly build: Pick<CrossBuild, 'arch' | 'libc' | 'packageArch' | 'system'>;
  /** ABI of Node.js that the addons are for. */
  readonly nodeAbi: number;
  readonly epochSeconds: number;
}

interface Contents {
  readonly name: string;
  readonly title: string;
  readonly license: string;
  readonly depends: readonly string[];
  readonly conffiles: readonly string[];
  readonly requireUser?: string;
  /** Files that are made once it is installed, and go with it. */
  readonly made: readonly string[];
  /** The files below /. */
  readonly root: string;
}

/** Each script begins so: OpenWrt's functions do the work. */
const WITH_FUNCTIONS = `[ -s "\${IPKG_INSTROOT}/lib/functions.sh" ] || exit 0
. "\${IPKG_INSTROOT}/lib/functions.sh"
`;

/** opkg's scripts: the functions make the user, run what is in uci-defaults, enable and start, or stop and disable. */
function ipkScripts({ made }: Contents): Record<string, string> {
  return {
    postinst: `#!/bin/sh
[ "\${IPKG_NO_SCRIPT}" = "1" ] && exit 0
${WITH_FUNCTIONS}default_postinst "$0" "$@"
`,
    prerm: `#!/bin/sh
${WITH_FUNCTIONS}default_prerm "$0" "$@"
${removalOf(made)}`,
  };
}

/** Those of apk, which calls them by other names. */
function apkScripts({ name, made, requireUser }: Contents): Record<string, string> {
  const head = `#!/bin/sh
${WITH_FUNCTIONS}export root="\${IPKG_INSTROOT}" pkgname=${name}
`;
  return {
    'post-install': `${head}${requireUser === undefined ? '' : 'add_group_and_user\n'}default_postinst\n`,
    'pre-deinstall': `${head}default_prerm\n${removalOf(made)}`,
  };
}

function removalOf(files: readonly string[]): string {
  return files.map((file) => `rm -f "\${IPKG_INSTROOT}${file}"\n`).join('');
}

/** @returns the packages that were written, the daemon's first @throws where an addon does not fit the board */
export function writePackages(built: Built): string[] {
  const { folder, build } = built;
  const libraries = build.system === 'openwrt' ? ['libstdcpp6', 'libatomic1'] : [];
  const root = join(folder, 'root');
  rmSync(root, { recursive: true, force: true });
  run(join(PROJECT_ROOT, 'board/openwrt/install.sh'), [folder, root]);
  const packages = [
    ...writePackage(built, {
      name: 'dmgw',
      title: 'OMA DM Gateway: fetches a firmware image once for all devices of the LAN',
      license: 'Apache-2.0 MIT blessing',
      depends: ['libc', 'node', ...libraries],
      conffiles: ['/etc/config/dmgw'],
      requireUser: `dmgw=${USER_ID}:dmgw=${USER_ID}`,
      made: ['/usr/lib/dmgw/dmgw-main.cjs.compiled'],
      root,
    }),
  ];
  const mdns = join(folder, 'mdns');
  if (!statSync(mdns, { throwIfNoEntry: false })) return packages;
  const mdnsRoot = join(folder, 'mdns-root');
  rmSync(mdnsRoot, { recursive: true, force: true });
  mkdirSync(join(mdnsRoot, 'usr/lib/dmgw'), { recursive: true });
  run('cp', ['-R', join(mdns, 'node_modules'), join(mdnsRoot, 'usr/lib/dmgw/')]);
  run('chmod', ['-R', 'u=rwX,go=rX', mdnsRoot]);
  const name = 'dmgw-mdns';
  const title = "dmgw: discovery through the system's mDNS daemon";
  const depends = ['dmgw', 'libavahi-compat-libdnssd', 'avahi-dbus-daemon'];
  const none = { conffiles: [], made: [] };
  return [...packages, ...writePackage(built, { name, title, license: 'MIT', depends, ...none, root: mdnsRoot })];
}

function writePackage(built: Built, contents: Contents): string[] {
  requireFits(contents.root, built);
  return [writeIpk(built, contents), ...writeApk(built, contents)];
}

/** Whatever way a file has come into a package: an addon of another board, or of another C library, does not leave here. */
function requireFits(root: string, { build, nodeAbi }: Built): void {
  for (const file of filesBelow(root).filter((name) => name.endsWith('.node'))) {
    requireFit(file, readElf(readFileSync(join(root, file))), build, nodeAbi);
  }
}

/** A package of opkg: an archive of three, as OpenWrt's ipkg-build makes it. */
function writeIpk({ folder, build, epochSeconds }: Built, contents: Contents): string {
  const { name, root, conffiles, depends, license, title, requireUser } = contents;
  const draft = join(folder, 'ipk');
  const control = join(draft, 'control');
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(control, { recursive: true });
  const installed = filesBelow(root).reduce((sum, file) => sum + statSync(join(root, file)).size, 0);
  const fields = [
    `Package: ${name}`,
    `Version: ${VERSION}-r${RELEASE}`,
    `Depends: ${depends.join(', ')}`,
    'Source: dmgw/board/openwrt',
    `SourceName: ${name}`,
    `License: ${license}`,
    'Section: net',
    ...(requireUser === undefined ? [] : [`Require-User: ${requireUser}`]),
    `SourceDateEpoch: ${epochSeconds}`,
    `Maintainer: ${MAINTAINER}`,
    `Architecture: ${build.packageArch}`,
    `Installed-Size: ${installed}`,
    `Description:  ${title}`,
  ];
  writeFileSync(join(control, 'control'), `${fields.join('\n')}\n`);
  if (conffiles.length > 0) writeFileSync(join(control, 'conffiles'), `${conffiles.join('\n')}\n`);
  for (const [script, text] of Object.entries(ipkScripts(contents))) {
    writeFileSync(join(control, script), text);
    chmodSync(join(control, script), 0o755);
  }
  writeFileSync(join(draft, 'debian-binary'), '2.0\n');
  writeArchive(join(draft, 'control.tar.gz'), control, { epochSeconds });
  writeArchive(join(draft, 'data.tar.gz'), root, { epochSeconds });
  const file = join(folder, `${name}_${VERSION}-r${RELEASE}_${build.packageArch}.ipk`);
  writeArchive(file, draft, { epochSeconds, members: ['./debian-binary', './data.tar.gz', './control.tar.gz'] });
  return file;
}

/** A package of apk, version 3, where its tool is there: Debian has none. */
function writeApk({ folder, build, epochSeconds }: Built, contents: Contents): string[] {
  try {
    run('apk', ['mkpkg', '--help']);
  } catch {
    return [];
  }
  const { name, root, depends, license, title, conffiles } = contents;
  const lists = join(root, 'lib/apk/packages');
  mkdirSync(lists, { recursive: true });
  if (conffiles.length > 0) writeFileSync(join(lists, `${name}.conffiles`), `${conffiles.join('\n')}\n`);
  const info = {
    name,
    version: `${VERSION}-r${RELEASE}`,
    description: title,
    arch: build.packageArch,
    license,
    origin: 'dmgw',
    maintainer: MAINTAINER,
    depends: depends.join(' '),
  };
  const file = join(folder, `${name}-${VERSION}-r${RELEASE}.apk`);
  const words = Object.entries(info).flatMap(([key, value]) => ['--info', `${key}:${value}`]);
  const scripts = Object.entries(apkScripts(contents)).flatMap(([script, text]) => {
    const path = join(folder, script);
    writeFileSync(path, text, { mode: 0o755 });
    return ['--script', `${script}:${path}`];
  });
  run('apk', ['mkpkg', ...words, ...scripts, '--files', root, '--output', file], {
    env: { SOURCE_DATE_EPOCH: String(epochSeconds) },
  });
  return [file];
}
