/**
 * Who may import whom. The rooms stand in firmware/README.md; each room's face is its index.ts.
 * `foundations` may be imported by every room and import only each other.
 */
const foundations = ['outcome', 'clock', 'log', 'net', 'machine', 'files', 'native', 'late', 'shape'];

/** room -> the rooms it may import, beside the foundations */
const allowed = {
  outcome: [],
  clock: [],
  log: [],
  machine: [],
  net: [],
  files: [],
  native: [],
  late: [],
  shape: [],
  codec: [],
  store: [],
  tree: ['codec', 'store'],
  dm: ['tree', 'codec', 'store'],
  'http-server': [],
  image: ['codec', 'store', 'http-server'],
  discovery: [],
  device: ['store', 'discovery'],
  notify: ['store'],
  ops: [],
  compiled: [],
  config: [],
  settings: ['config', 'store'],
  mo: ['tree', 'image', 'notify', 'device', 'dm', 'store', 'settings'],
  operator: ['tree', 'image', 'notify', 'device', 'dm', 'mo', 'store', 'ops', 'config'],
  cli: ['config', 'ops', 'mo', 'dm', 'tree', 'store', 'image', 'compiled'],
};

const direction = Object.entries(allowed).map(([room, rooms]) => ({
  name: `${room}-imports-downward`,
  severity: 'error',
  comment: `firmware/${room} may import only: ${[...foundations, ...rooms].join(', ')}`,
  from: { path: `^firmware/${room}/` },
  to: { path: '^firmware/', pathNot: `^firmware/(${[room, ...foundations, ...rooms].join('|')})/` },
}));

/** The composition root may import every room but those that stand above it. */
const composition = {
  name: 'gateway-imports-downward',
  severity: 'error',
  comment: "firmware/gateway may import every room but cli and compiled, and the database's schema",
  from: { path: '^firmware/gateway/' },
  to: { path: '^firmware/((cli|compiled|conversations)/|[\\w-]+\\.ts$)', pathNot: '^firmware/schema\\.ts$' },
};

const faces = [...Object.keys(allowed), 'gateway'].map((room) => ({
  name: `${room}-by-its-face`,
  severity: 'error',
  comment: `from outside, import firmware/${room}/index.ts and nothing deeper; tests may use its fixtures too`,
  // The helper process is the bridge and nothing else.
  from: { pathNot: `^firmware/(${room}/|dmgw-mdns\\.ts$)` },
  to: { path: `^firmware/${room}/`, pathNot: `^firmware/${room}/(index|[\\w-]+\\.fixture)\\.ts$` },
}));

const addon = (name, file) => ({
  name: `${name}-behind-one-file`,
  severity: 'error',
  from: { path: '^firmware/', pathNot: `^${file}$` },
  to: { path: `node_modules/(@types/)?${name}` },
});

module.exports = {
  forbidden: [
    {
      name: 'no-circle',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'fixtures-for-tests',
      severity: 'error',
      from: { pathNot: '(\\.test|\\bfixture)\\.ts$|^scripts/(bench|fault|flow)/' },
      to: { path: '^firmware/.*\\.fixture\\.ts$' },
    },
    { name: 'firmware-knows-no-lab', severity: 'error', from: { path: '^firmware/' }, to: { path: '^scripts/' } },
    ...direction,
    composition,
    ...faces,
    addon('better-sqlite3', 'firmware/store/driver\\.ts'),
    addon('libxmljs2', 'firmware/codec/xml\\.ts'),
    addon('mdns', 'firmware/discovery/bridge\\.ts'),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    exclude: { path: 'node_modules/(?!(@types/)?(better-sqlite3|libxmljs2|mdns))' },
  },
};
