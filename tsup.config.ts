import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync } from 'node:fs';
import { rollup } from 'rollup';
import { minify } from 'terser';
import { defineConfig, type Options } from 'tsup';

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };

/** Packages with native addons: they stay outside the bundle, beside it in node_modules. The code that uses one loads it then. */
const OUTSIDE = ['better-sqlite3', 'libxmljs2', 'mdns'];

const common: Options = {
  // A field that a constructor sets needs no declaration: 1 KB, and a definition for each object.
  esbuildOptions: (options) => {
    delete options.tsconfig;
    options.tsconfigRaw = { compilerOptions: { useDefineForClassFields: false } };
  },
  target: 'node20',
  platform: 'node',
  minify: true,
  splitting: false,
  clean: false,
  // Everything but the addons goes into the bundle: nothing is installed on a router.
  noExternal: [new RegExp(`^(?!(?:${OUTSIDE.join('|')})$)`)],
  external: OUTSIDE,
};

/** What comes from CommonJS packages needs `require`; an ES module has none of its own. */
const REQUIRE = `import{createRequire as dmgwRequire}from'node:module';const require=dmgwRequire(import.meta.url);`;

/** Loading an ES module takes Node.js a sixth of its bare start longer, and memory for each module of its own. */
const forRouter: Options = {
  outDir: 'build',
  format: 'cjs',
  outExtension: () => ({ js: '.cjs' }),
  define: {
    DMGW_VERSION: JSON.stringify(version),
    DMGW_BUILD_TIME_MS: String(buildTimeMs()),
    'import.meta.filename': '__filename',
    'import.meta.dirname': '__dirname',
  },
};

const forLab: Options = { format: 'esm', minify: false, outExtension: () => ({ js: '.js' }), banner: { js: REQUIRE } };

export default defineConfig([
  {
    ...common,
    ...forRouter,
    format: 'esm', // until the plugin has it
    entry: { 'dmgw-main': 'firmware/main.ts' },
    metafile: true, // which packages are in it: for the list of components (SBOM)
    plugins: [{ name: 'one-function', renderChunk: async (code) => ({ code: await oneFunction(code), map: null }) }],
  },
  {
    ...common,
    ...forRouter,
    entry: { dmgw: 'firmware/start.ts', 'dmgw-mdns': 'firmware/dmgw-mdns.ts' },
    banner: {
      js: `#!/usr/bin/env node\n"use strict";`,
    },
    plugins: [{ name: 'shortest', renderChunk: async (code) => ({ code: await shortest(code), map: null }) }],
    onSuccess: () => {
      chmodSync('build/dmgw.cjs', 0o755);
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
    ...forLab,
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
      lan: 'scripts/bench/lan/main.ts',
    },
    outDir: 'build/bench',
    ...forLab,
  },
]);

/**
 * A minified ES module as one function, see firmware/compiled. esbuild has each file import anew what Node.js has; rollup
 * imports it once, and terser finds more that can be written shorter: 2 % together.
 */
async function oneFunction(module: string): Promise<string> {
  const given = {
    name: 'given',
    resolveId: (id: string) => (id === '<given>' || id === 'module' ? id : { id, external: true }),
    // What Node.js makes a `require` with has it load much more, and the function is given one.
    load: (id: string) => (id === 'module' ? 'export const createRequire = () => require' : module),
  };
  const bundle = await rollup({ input: '<given>', plugins: [given] });
  const { output } = await bundle.generate({ format: 'cjs', interop: 'default', generatedCode: 'es2015' });
  // A function that is given to nobody would be left out.
  const program = `dmgw=function(require,__filename,__dirname,dmgwCompiled){${await shortest(output[0].code)}}`;
  return `(${(await shortest(program)).replace(/^dmgw=|;$/g, '')})\n`;
}

/** SQL in a string or template, which is indented for people. */
const SQL = /(["`])(?:\\n| )*(?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|WITH) [^"`]*\1/g;

/** What esbuild has made, shorter still. */
async function shortest(program: string): Promise<string> {
  const { code } = await minify(program, {
    ecma: 2020,
    toplevel: true,
    compress: {
      passes: 2,
      hoist_funs: true,
      // A function moved into its caller would be made anew by each call.
      reduce_funcs: false,
      inline: false,
      // Nobody calls a member of an object literal with `new`.
      unsafe_methods: true,
      // String(x) is ''+x here: no object that would rather be a number is made a text, nor a symbol, unless one is thrown.
      unsafe: true,
      // Nothing happens because a property is read.
      pure_getters: true,
      unsafe_proto: true,
      // What is required and not used need not be loaded.
      pure_funcs: ['require'],
    },
  });
  if (!code) throw new Error('terser made nothing of the bundle');
  return code.replace(SQL, (text) => {
    // In one line, a comment would take what follows with it.
    if (/--|\/\*/.test(text)) throw new Error(`SQL with a comment: ${text}`);
    const line = text.replace(/(?:\\n)+ +/g, ' ');
    // A text in it, or what is put into it, stays as it is.
    return /'|\$\{/.test(line) ? line : line.replace(/ ?([=(),<>]+) ?/g, '$1');
  });
}

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
