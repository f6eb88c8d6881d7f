import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync } from 'node:fs';
import { defineConfig, type Options } from 'tsup';

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };

/** Native addons: they stay outside the bundle, beside it in node_modules. */
const ADDONS = ['better-sqlite3', 'libxmljs2', 'mdns'];

type EsbuildPlugin = NonNullable<Options['esbuildPlugins']>[number];

/**
 * Loads an addon when the code that uses it first runs, not when the bundle starts: `dmgw version` and `dmgw status` need
 * none, and say so in one line where an addon is missing.
 */
const lazyAddons: EsbuildPlugin = {
  name: 'lazy-addons',
  setup(build) {
    const filter = new RegExp(`^(?:${ADDONS.join('|')})$`);
    build.onResolve({ filter }, ({ path, kind, namespace }) =>
      namespace === 'addon' || kind === 'dynamic-import' ? { path, external: true } : { path, namespace: 'addon' },
    );
    build.onLoad({ filter, namespace: 'addon' }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)});`,
      loader: 'js',
    }));
  },
};

const common: Options = {
  format: 'esm',
  target: 'node20',
  platform: 'node',
  minify: true,
  splitting: false,
  clean: false,
  // Everything but the addons goes into the bundle: nothing is installed on a router.
  noExternal: [/.*/],
  esbuildPlugins: [lazyAddons],
  define: { DMGW_VERSION: JSON.stringify(version), DMGW_BUILD_TIME_MS: String(buildTimeMs()) },
  outExtension: () => ({ js: '.js' }),
};

/** The daemon needs `require` for its addons; an ES module has none of its own. */
const REQUIRE = `import{createRequire as dmgwRequire}from'node:module';const require=dmgwRequire(import.meta.url);`;

export default defineConfig([
  {
    ...common,
    entry: { dmgw: 'firmware/main.ts', 'dmgw-mdns': 'firmware/dmgw-mdns.ts' },
    outDir: 'build',
    metafile: true, // which packages are in it: for the list of components (SBOM)
    banner: { js: `#!/usr/bin/env node\n${REQUIRE}` },
    onSuccess: () => {
      chmodSync('build/dmgw.js', 0o755);
      return Promise.resolve();
    },
  },
  {
    ...common,
    entry: {
      'dm-server': 'scripts/lab/dm-server/main.ts',
      'download-server': 'scripts/lab/download-server/main.ts',
      'end-device': 'scripts/lab/end-device/main.ts',
      demo: 'scripts/demo/main.ts',
    },
    outDir: 'build/lab',
    minify: false,
    banner: { js: REQUIRE },
  },
  {
    ...common,
    entry: {
      dm: 'scripts/bench/dm/main.ts',
      'dm-worker': 'scripts/bench/dm/worker.ts',
      'large-object': 'scripts/bench/large-object/main.ts',
      fanout: 'scripts/bench/fanout/main.ts',
      'fanout-worker': 'scripts/bench/fanout/worker.ts',
      serve: 'scripts/bench/serve/main.ts',
      download: 'scripts/bench/download/main.ts',
    },
    outDir: 'build/bench',
    minify: false,
    banner: { js: REQUIRE },
  },
]);

/** The same sources give the same bytes: the time is that of the last commit, not of the build. */
function buildTimeMs(): number {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined) return Number(given) * 1000;
  try {
    const told = execFileSync('git', ['log', '-1', '--format=%ct'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return Number(told.trim()) * 1000;
  } catch {
    return Date.now(); // not a clone
  }
}
