/**
 * The configuration as OpenWrt has it: which option of /etc/config/dmgw is which key of the daemon, and the file that a
 * package brings. Both follow from the daemon's schema and the board's profile; board/openwrt/dmgw/files/uci.sh reads them.
 */
import { configurationSchema } from '../../firmware/config/index.js';
import { shapeOf, type Key, type Shape } from '../../firmware/shape/index.js';

/** One key: `session interval_seconds session.intervalSeconds number`. */
export interface UciKey {
  readonly section: string;
  readonly option: string;
  /** `[]` stands for the place in a list whose items are sections. */
  readonly key: string;
  readonly kind: 'text' | 'number' | 'flag' | 'list';
}

/** For editors, for the build, and of the board: not to be set by UCI. */
const NOT_IN_UCI: ReadonlySet<string> = new Set(['$schema', 'build', 'board', 'names']);

/** Sections for the items of a list; `device` is the gateway itself. */
const ITEM_SECTIONS: Readonly<Record<string, string>> = { devices: 'end_device' };

/**
 * What a package has in /etc/config/dmgw and not in its profile: of the sources of the DevId only one may be set, and the
 * owner can set another instead; the others are what the scripts open the firewall by, which read UCI alone.
 */
const OF_UCI: ReadonlySet<string> = new Set([
  'device.devId',
  'device.devIdFile',
  'device.devIdInterface',
  'device.devIdPartition',
  'notification.enabled',
  'notification.port',
  'serve.port',
]);

/** A key of them, or within one of them. */
const isOfUci = (key: string): boolean => OF_UCI.has(key.split('.', 2).join('.'));

/** The profile without what its package has in /etc/config/dmgw. */
export function installedProfile(configuration: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(configuration).map(([section, value]): [string, unknown] => {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return [section, value];
      const kept = Object.entries(value).filter(([name]) => !isOfUci(`${section}.${name}`));
      return [section, Object.fromEntries(kept)];
    }),
  );
}

/** A list of sections is none of these: each of its items is a section of UCI. */
const KINDS: Readonly<Record<Exclude<Shape['kind'], 'section'>, UciKey['kind'] | undefined>> = {
  text: 'text',
  choice: 'text',
  number: 'number',
  flag: 'flag',
  list: 'list',
  record: undefined,
};

/** Every key that UCI can set, in the order of the schema. */
function uciKeys(): UciKey[] {
  return Object.entries<Key>(configurationSchema.entries).flatMap(([name, entry]) => {
    if (NOT_IN_UCI.has(name)) return [];
    const isSection = shapeOf(entry).kind === 'section';
    return keysOf(entry, name, isSection ? snake(name) : 'main', isSection ? '' : snake(name));
  });
}

/** The file uci-keys: one line a key. */
export function uciKeyTable(): string {
  return uciKeys()
    .map(({ section, option, key, kind }) => `${section} ${option} ${key} ${kind}\n`)
    .join('');
}

function keysOf(entry: Key, key: string, section: string, option: string): UciKey[] {
  const shape = shapeOf(entry);
  if (shape.kind === 'section') {
    return Object.entries(shape.entries).flatMap(([name, inner]) =>
      keysOf(inner, `${key}.${name}`, section, option === '' ? snake(name) : `${option}_${snake(name)}`),
    );
  }
  if (shape.kind === 'list' && shape.item.kind === 'section') {
    const name = key.split('.').at(-1) ?? '';
    return keysOf(shape.item, `${key}[]`, ITEM_SECTIONS[name] ?? snake(name).replace(/s$/, ''), '');
  }
  const kind = KINDS[shape.kind];
  if (kind === undefined) throw new Error(`${key}: a shape that UCI has no form for`);
  return [{ section, option, key, kind }];
}

/** `quotaMiB` is `quota_mib`, `devIdFile` is `dev_id_file`. */
function snake(name: string): string {
  return name
    .replace(/([MK])iB/g, '$1ib')
    .replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    .replace(/^_/, '');
}

const ACCOUNT = `
# A DM Server; one section for each.
#config account
#	option server_id 'dm.example.com'
#	option url 'https://dm.example.com/dm'
#	option client_secret 'what the gateway proves itself with'
#	option server_secret 'what the server proves itself with'
`;

/** The file /etc/config/dmgw of a package: disabled, with what the board's profile says, mostly as comments. */
export function uciDefaults(board: string, configuration: Readonly<Record<string, unknown>>): string {
  const bySection = new Map<string, string[]>([['main', []]]);
  for (const { section, option, key, kind } of uciKeys()) {
    if (key.includes('[]')) continue;
    const lines = bySection.get(section) ?? [];
    bySection.set(section, lines);
    const value = valueAt(configuration, key);
    const word = kind === 'list' ? 'list' : 'option';
    for (const one of Array.isArray(value) ? value : value === undefined ? [] : [value]) {
      lines.push(
        `\t${isOfUci(key) ? '' : '#'}${word} ${option} '${typeof one === 'boolean' ? Number(one) : String(one)}'\n`,
      );
    }
  }
  const sections = [...bySection].filter(([section, lines]) => section === 'main' || lines.length > 0);
  const texts = sections.map(([section, lines]) => {
    const enabled = section === 'main' ? "\toption enabled '0'\n" : '';
    return `\nconfig ${section} '${section}'\n${enabled}${lines.join('')}`;
  });
  return `# The DM Gateway. What is not set is as the profile of board ${board} has it; those values stand here as comments.
# Options are the keys of the configuration in the README: session.intervalSeconds is interval_seconds in section session.
# Where section lan has no prefixes, they are those of the networks in its list 'network' (lan).
${texts.join('')}${ACCOUNT}`;
}

function valueAt(value: unknown, key: string): unknown {
  return key
    .split('.')
    .reduce<unknown>(
      (at, part) => (typeof at === 'object' && at !== null ? (at as Record<string, unknown>)[part] : undefined),
      value,
    );
}
