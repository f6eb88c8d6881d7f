/**
 * `make test-board BOARD=...`: what was built for a board runs under qemu-user, before it is flashed. The gateway and the
 * tests of the parts that use addons run in the board's Node.js; the lab around the gateway runs on this machine.
 */
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build as bundle } from 'tsup';
import { NATIVE } from '../../firmware/native/index.js';
import { makeImage } from '../flow/images.js';
import { PROJECT_ROOT } from '../flow/project.js';
import { NATIVE_FILE } from './addons.js';
import { fetchNode, fetchSysroot } from './fetch.js';
import type { Firmware } from './firmware.js';
import type { CrossBuild, Profile } from './profile.js';
import { run } from './run.js';
import { VERSION } from './source.js';

/** Tests of the rooms that load an addon: SQLite, libxml2, and our own. */
const UNIT_TESTS = [
  'firmware/store/store.test.ts',
  'firmware/store/checkpoint.test.ts',
  'firmware/store/rescue.test.ts',
  'firmware/store/read-cache.test.ts',
  'firmware/codec/xml.test.ts',
  'firmware/native/native.test.ts',
];

/** They start the sources once more, which takes a compiler of this machine. */
const ONLY_HERE: ReadonlySet<string> = new Set(['refuses a second instance, in this process or another: locked']);

const IMAGE_BYTES = 16 * 1024 * 1024;
const DEVICES = 3;
const KILLS = { all: 6, quick: 1 };
/** How much longer than on this machine things take under the emulator. */
const PATIENCE = 8;
/** Of one file, under the emulator: the longest takes a minute. What a failed test has left open would wait for ever. */
const UNIT_TESTS_WITHIN_MS = 600_000;

/** One part of the proof, and what it showed. @throws when it shows that something does not work on the board */
interface Part {
  readonly name: string;
  run(): string | Promise<string>;
}

/** @throws in one line where a board's firmware cannot run on this machine */
export function requireEmulated({ name, build }: Profile<CrossBuild>): void {
  if (build.system === 'openwrt') {
    throw new Error(
      `BOARD=${name} cannot run here: qemu-user needs musl and OpenWrt's own Node.js for it; run: make test-board BOARD=debian-${build.arch === 'arm' ? 'armhf' : 'arm64'}`,
    );
  }
}

export interface Emulation {
  /** Command of the emulator. */
  readonly emulator: string;
  /** Fewer kills: for a check of every change. */
  readonly quick: boolean;
  /** Takes what is shown, line by line. */
  readonly print: (line: string) => void;
}

/** Runs all parts. @throws where one shows that something does not work on the board */
export async function testBoard(
  { name, build }: Profile<CrossBuild>,
  { folder, app, manifest }: Firmware,
  { emulator, quick, print }: Emulation,
): Promise<void> {
  const node = emulatedNode(emulator, build, folder);
  const gateway = join(app, 'dmgw.cjs');
  const lab = {
    LAB_NODE: node,
    LAB_GATEWAY: gateway,
    LAB_PATIENCE: String(PATIENCE),
    NODE_FLAGS: build.nodeFlags.join(' '),
  };
  const parts: readonly Part[] = [
    { name: 'it starts', run: () => showVersion(node, gateway, manifest.node.abi, build.arch) },
    { name: 'unit tests', run: () => runUnitTests(node, app, folder) },
    { name: 'nine steps', run: () => playDemo(lab, folder) },
    { name: 'kills', run: () => runTorture(lab, quick ? KILLS.quick : KILLS.all) },
  ];
  print(`${name}: Node.js ${build.node.version} for ${build.arch} under ${emulator}`);
  for (const part of parts) {
    const startMs = performance.now();
    const shown = await part.run();
    print(`ok  ${part.name.padEnd(11)} ${shown} (${((performance.now() - startMs) / 1000).toFixed(0)} s)`);
  }
}

/** A program that is the board's Node.js, for whoever starts it. */
function emulatedNode(emulator: string, build: CrossBuild, folder: string): string {
  const words = [emulator, '-L', fetchSysroot(build.arch), join(fetchNode(build.node.program), 'bin/node')];
  const file = join(folder, 'node');
  writeFileSync(file, `#!/bin/sh\nexec ${words.map((word) => `'${word}'`).join(' ')} "$@"\n`);
  chmodSync(file, 0o755);
  return file;
}

function showVersion(node: string, gateway: string, abi: number, arch: string): string {
  const { addons, ...told } = JSON.parse(run(node, [gateway, 'version', '--json'])) as Record<string, string> & {
    addons: Record<string, string | null>;
  };
  if (addons[NATIVE] !== VERSION) throw new Error(`${NATIVE_FILE} does not load`);
  if (told.arch !== arch || told.nodeAbi !== String(abi)) {
    throw new Error(`it runs on ${told.arch ?? ''} with ABI ${told.nodeAbi ?? ''}; built for ${arch} with ABI ${abi}`);
  }
  return `dmgw ${told.version ?? ''} on Node.js ${told.node ?? ''}, ${arch}, ABI ${abi}`;
}

/** Each file in a process of its own, as the test runner does it: their hooks are for themselves. */
async function runUnitTests(node: string, app: string, folder: string): Promise<string> {
  // Beside the board's addons, which it finds as the gateway does; but not in what is shipped.
  const outDir = join(folder, 'unit-tests');
  rmSync(outDir, { recursive: true, force: true });
  mkdirSync(outDir);
  for (const name of ['node_modules', NATIVE_FILE]) symlinkSync(join(app, name), join(outDir, name));
  await bundle({
    entry: Object.fromEntries(UNIT_TESTS.map((test) => [basename(test, '.ts'), join(PROJECT_ROOT, test)])),
    outDir,
    config: false,
    silent: true,
    removeNodeProtocol: false, // `node:test` has no other name
    format: 'esm',
    target: 'node20',
    platform: 'node',
    external: ['better-sqlite3', 'libxmljs2', 'mdns'],
    outExtension: () => ({ js: '.mjs' }),
    banner: {
      js: `import{createRequire as boardRequire}from'node:module';const require=boardRequire(import.meta.url);`,
    },
  });
  let passed = 0;
  for (const test of UNIT_TESTS) {
    const name = basename(test, '.ts');
    const log = join(folder, `${name}.tap`);
    const code = exitCodeOf(node, ['--test-reporter=tap', join(outDir, `${name}.mjs`)], { LAB_NODE: node }, log);
    const printed = readFileSync(log, 'utf8');
    const failed = failedTests(printed);
    const wrong = failed.filter((title) => !ONLY_HERE.has(title));
    if (wrong.length > 0 || (code !== 0 && failed.length === 0)) {
      throw new Error(`${test}: ${wrong.join('; ') || `ended with exit code ${code}`}; see ${log}`);
    }
    const [, count] = /^# pass (\d+)$/m.exec(printed) ?? [];
    if (count === undefined) throw new Error(`${test}: did not come to its end; see ${log}`);
    passed += Number(count);
  }
  if (passed === 0) throw new Error('no unit test has run');
  return `${passed} tests of ${UNIT_TESTS.length} files passed`;
}

/** Titles of the tests and hooks that failed, at any depth, in what the test runner has printed; not of what only sums them up. */
export function failedTests(tap: string): string[] {
  return tap.split(/^(?= *(?:not )?ok \d+ - )/m).flatMap((part) => {
    const [, title] = /^ *not ok \d+ - (.*)/.exec(part) ?? [];
    return title === undefined || /^ *failureType: 'subtestsFailed'$/m.test(part) ? [] : [title];
  });
}

function exitCodeOf(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  logFile: string,
): number {
  try {
    run(program, args, { env, logFile, timeoutMs: UNIT_TESTS_WITHIN_MS });
    return 0;
  } catch {
    return 1;
  }
}

function playDemo(lab: Readonly<Record<string, string>>, folder: string): string {
  const image = join(folder, 'image-16MiB.bin');
  if (statSync(image, { throwIfNoEntry: false })?.size !== IMAGE_BYTES) makeImage(image, IMAGE_BYTES, 7);
  const report = join(folder, 'demo-report.json');
  mkdirSync(folder, { recursive: true });
  const printed = run(process.execPath, [join(PROJECT_ROOT, 'build/lab/demo.js')], {
    env: { ...lab, IMAGE: image, DEVICES: String(DEVICES), CUTS: '1', REPORT: report },
  });
  const wan = /over the WAN\s+(.*)/.exec(printed)?.[1] ?? '';
  return `16 MiB to ${DEVICES} devices, one cut, ${wan} over the WAN`;
}

function runTorture(lab: Readonly<Record<string, string>>, kills: number): string {
  const printed = run(process.execPath, [join(PROJECT_ROOT, 'build/js/scripts/torture/main.js')], {
    cwd: PROJECT_ROOT,
    env: { ...lab, ROUNDS: String(kills), SEED: '11' },
  });
  const asked = /asked for again\s+(.*)/.exec(printed)?.[1] ?? '';
  return `${kills} ${kills === 1 ? 'kill' : 'kills'}, every image right in the end, resumed ${asked}`;
}
