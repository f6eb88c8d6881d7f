/**
 * What `make` does with a board: `main.ts COMMAND BOARD`. Exit code: 0 done, 1 failed (one line says why), 2 wrong words.
 */
import { readFileSync, rmSync, statSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { formatBytes } from '../../firmware/ops/index.js';
import { PROJECT_ROOT } from '../flow/project.js';
import { sha256Of } from './addons.js';
import { findEmulator } from './fetch.js';
import { buildFirmware, firmwareFolder, type Firmware } from './firmware.js';
import { writePackages } from './package.js';
import { crossProfile, readProfile } from './profile.js';
import { measureHere, measurePackage, renderFigures, verdictOf } from './size.js';
import { sourceEpochSeconds } from './source.js';
import { requireEmulated, testBoard } from './test-board.js';

/** Words that change what a command does. */
interface Wishes {
  readonly json: boolean;
  readonly quick: boolean;
}

const COMMANDS: Readonly<Record<string, (board: string, wishes: Wishes) => number | Promise<number>>> = {
  firmware: (board) => {
    showFirmware(buildFirmware(crossProfile(board), firmwareFolder(board), tell));
    return 0;
  },
  reproducible: (board) => {
    const profile = crossProfile(board);
    const first = buildFirmware(profile, firmwareFolder(board), tell);
    // From nothing, elsewhere, under a longer name: no path of the first build is one of the second.
    const second = buildFirmware(profile, join(PROJECT_ROOT, 'build/board-again', `${board}-${Date.now()}`), tell);
    for (const { archive } of [first, second]) print(`${sha256Of(archive)}  ${relative(PROJECT_ROOT, archive)}`);
    if (readFileSync(first.archive).equals(readFileSync(second.archive))) {
      rmSync(second.folder, { recursive: true });
      return done('two builds, the same bytes');
    }
    const other = new Map(second.manifest.files.map(({ path, sha256 }) => [path, sha256]));
    const differing = first.manifest.files.filter(({ path, sha256 }) => other.get(path) !== sha256);
    tell(`two builds differ in ${differing.map(({ path }) => path).join(', ') || 'the archive itself'}`);
    return 1;
  },
  package: (board) => {
    const packages = buildPackages(board);
    for (const file of packages) {
      print(`${relative(PROJECT_ROOT, file)}  ${formatBytes(statSync(file).size)}  sha256 ${sha256Of(file)}`);
    }
    if (!packages.some((file) => file.endsWith('.apk')))
      tell('no .apk: it takes the tool `apk` (version 3) of OpenWrt');
    return 0;
  },
  size: async (board, { json }) => {
    const { build } = readProfile(board);
    const figures =
      build.system === 'host'
        ? await measureHere(build.nodeFlags)
        : measurePackage(join(firmwareFolder(board), 'app'), buildPackages(board)[0] ?? '');
    if (json) print(JSON.stringify(figures.map((figure) => ({ ...figure, verdict: verdictOf(figure) }))));
    else for (const line of renderFigures(figures)) print(line);
    return figures.some((figure) => verdictOf(figure) === 'worse') ? 1 : 0;
  },
  test: async (board, { quick }) => {
    const profile = crossProfile(board);
    requireEmulated(profile);
    const emulator = findEmulator(profile.build.arch);
    if (emulator === undefined) return done(`SKIPPED: ${board} was not tested, for want of qemu-user-static`);
    await testBoard(profile, buildFirmware(profile, firmwareFolder(board), tell), { emulator, quick, print });
    return 0;
  },
};

/** @returns the files; the daemon's .ipk is the first */
function buildPackages(board: string): string[] {
  const profile = crossProfile(board);
  const { folder, manifest } = buildFirmware(profile, firmwareFolder(board), tell);
  return writePackages({
    folder,
    build: profile.build,
    nodeAbi: manifest.node.abi,
    epochSeconds: sourceEpochSeconds(),
  });
}

function showFirmware({ app, archive, manifest, mdns }: Firmware): void {
  const { node, libc, addons, files } = manifest;
  print(
    `board     ${manifest.board}: ${manifest.arch}, ${libc}, Node.js ${node.version} (ABI ${node.abi}) from ${node.source}`,
  );
  for (const { path, bytes } of files.filter((file) => file.path === 'dmgw-main.cjs'))
    print(`bundle    ${path}, ${formatBytes(bytes)}`);
  for (const { name, version, bytes, glibc } of addons) {
    print(
      `addon     ${name} ${version}, ${formatBytes(bytes)} stripped${glibc === undefined ? '' : `, glibc ${glibc} or later`}`,
    );
  }
  print(`mdns      ${mdns === undefined ? 'not built' : relative(PROJECT_ROOT, mdns)}`);
  print(`files     ${relative(PROJECT_ROOT, app)}, with manifest.json and sbom.cdx.json`);
  print(`archive   ${relative(PROJECT_ROOT, archive)}, ${formatBytes(readFileSync(archive).length)}`);
  print(`sha256    ${sha256Of(archive)}  ${basename(archive)}`);
}

function tell(line: string): void {
  process.stderr.write(`board: ${line}\n`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function done(line: string): number {
  print(line);
  return 0;
}

const given = process.argv.slice(2);
const [command = '', board = '', ...rest] = given.filter((word) => word !== '--json' && word !== '--quick');
const chosen = COMMANDS[command];
if (!chosen || board === '' || rest.length > 0) {
  tell(`usage: main.ts ${Object.keys(COMMANDS).join('|')} BOARD [--json|--quick]`);
  process.exitCode = 2;
} else {
  try {
    process.exitCode = await chosen(board, { json: given.includes('--json'), quick: given.includes('--quick') });
  } catch (thrown) {
    tell(thrown instanceof Error ? thrown.message : String(thrown));
    process.exitCode = 1;
  }
}
