/**
 * Board profiles: board/NAME/board.json, the keys of the configuration and a section `build` beside them.
 * Leaves to the build what is done with that section; the daemon ignores it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { parseConfiguration } from '../../firmware/config/index.js';
import { PROJECT_ROOT } from '../flow/project.js';

const text = (pattern: RegExp, help: string) => v.pipe(v.string(), v.regex(pattern), v.description(help));
const mebibytes = (help: string) => v.pipe(v.number(), v.integer(), v.minValue(16), v.description(help));

/** An npm package of exactly one version, a feed of OpenWrt, or what is in PATH. */
const NPM = 'npm:node[a-z0-9-]*@\\d+\\.\\d+\\.\\d+';

const common = {
  memoryMiB: mebibytes('Memory of the board.'),
  flashMiB: mebibytes('Storage of the board: store.quotaMiB and store.freeFloorMiB fit into it.'),
  nodeFlags: v.pipe(
    v.array(text(/^--[a-z0-9-]+(=\S+)?$/, 'A flag of Node.js.')),
    v.description('Flags of Node.js; those of V8 the program sets by itself, see firmware/flags.ts.'),
  ),
};

/** A board that its firmware is compiled for on another machine. */
const crossSchema = v.strictObject({
  system: v.pipe(v.picklist(['openwrt', 'debian']), v.description('What runs on the board.')),
  arch: v.pipe(v.picklist(['arm', 'arm64']), v.description('As process.arch says on the board.')),
  libc: v.pipe(v.picklist(['musl', 'glibc']), v.description('C library of the board: an addon is tied to it.')),
  cpuFlags: v.pipe(v.array(text(/^-m\S+$/, 'A flag.')), v.description('Flags of the C compiler for the processor.')),
  toolchain: text(/^[a-z0-9_-]+$/, 'Triplet in the names of the compiler and its tools.'),
  packageArch: text(/^[a-z0-9_+-]+$/, 'Architecture of the package, as `opkg print-architecture` shows on the board.'),
  node: v.strictObject({
    version: text(/^\d+\.\d+\.\d+$/, 'Node.js of the board; the addons are tied to the ABI of its major version.'),
    program: text(new RegExp(`^(?:feed:\\S+|${NPM})$`), 'Where the board has its Node.js from.'),
    headers: text(new RegExp(`^${NPM}$`), 'Where the headers are from that the addons are compiled with.'),
  }),
  ...common,
});

/** The machine that builds: nothing is compiled for it but by npm. */
const hostSchema = v.strictObject({
  system: v.literal('host'),
  libc: v.picklist(['musl', 'glibc']),
  node: v.strictObject({ version: text(/^\d+$/, 'Oldest major version.'), program: v.literal('path') }),
  ...common,
});

/** The section `build` of a board profile. */
export const buildSchema = v.pipe(
  v.variant('system', [crossSchema, hostSchema]),
  v.description('What the firmware of the board is built from.'),
);

export type CrossBuild = v.InferOutput<typeof crossSchema>;
export type HostBuild = v.InferOutput<typeof hostSchema>;

export interface Profile<Build = CrossBuild | HostBuild> {
  readonly name: string;
  readonly file: string;
  readonly build: Build;
  /** What the daemon is given with --board: all but `build` and `$schema`. */
  readonly configuration: Readonly<Record<string, unknown>>;
}

const BOARDS = join(PROJECT_ROOT, 'board');

/** Names of all boards, sorted. */
export function boardNames(): string[] {
  return readdirSync(BOARDS, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'openwrt')
    .map(({ name }) => name)
    .sort();
}

/** Reads and checks a profile. @throws with one line that names the file and what is wrong in it */
export function readProfile(name: string): Profile {
  if (!boardNames().includes(name)) {
    throw new Error(`no board ${JSON.stringify(name)}; there are: ${boardNames().join(', ')}`);
  }
  const file = join(BOARDS, name, 'board.json');
  return parseProfile(name, file, JSON.parse(readFileSync(file, 'utf8')));
}

/** As `readProfile`, of what the file says. */
export function parseProfile(name: string, file: string, value: unknown): Profile {
  const { build, ...configuration } = value as Record<string, unknown>;
  delete configuration.$schema;
  const loaded = parseConfiguration([{ file, value: configuration }]);
  if (!loaded.ok) throw new Error(loaded.error.text);
  const parsed = v.safeParse(buildSchema, build);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw new Error(`${file}: build.${v.getDotPath(issue) ?? ''}: ${issue.message}`);
  }
  const { board, store } = loaded.value.configuration;
  if (board.name !== name)
    throw new Error(`${file}: board.name: is '${board.name}'; expected '${name}', as its folder`);
  const { flashMiB } = parsed.output;
  if (store.quotaMiB + store.freeFloorMiB > flashMiB) {
    const wanted = `${store.quotaMiB} and store.freeFloorMiB ${store.freeFloorMiB}`;
    throw new Error(
      `${file}: store.quotaMiB: ${wanted} are more than the board has; expected build.flashMiB, ${flashMiB}`,
    );
  }
  return { name, file, build: parsed.output, configuration };
}

/** A board that is compiled for. @throws with one line when it is the machine that builds */
export function crossProfile(name: string): Profile<CrossBuild> {
  const profile = readProfile(name);
  const { build } = profile;
  if (build.system === 'host') throw new Error(`BOARD=${name} is this machine: it needs no firmware; run: make build`);
  return { ...profile, build };
}
