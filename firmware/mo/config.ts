import { TUNABLES_BY_SECTION, type SettingErrorCode, type Settings, type TunableKey } from '../settings/index.js';
import { success } from '../outcome/index.js';
import {
  treeFailure,
  type Mount,
  type NodeDefinition,
  type NodePath,
  type Operation,
  type Provider,
  type TreeErrorCode,
  type TreeOutcome,
} from '../tree/index.js';
import { administered, Definer, permanent, unversioned } from './define.js';
import { fixedProvider } from './fixed.js';
import type { Names } from './names.js';

/** Windows, one a line, are the longest. */
const MAX_LINES = { maxBytes: 4096 };

/** The nodes of the object, for the tree and for the description of the device. */
export function configDefinition(names: Names): NodeDefinition {
  const define = new Definer('Config', names);
  // The configuration may change what a server has set.
  return unversioned(
    permanent(
      define.root(
        'Settings that may change while the gateway runs: names and units as in its configuration',
        TUNABLES_BY_SECTION.map(({ section, tunables }) =>
          define.interior(
            section,
            'G',
            `Section ${section} of the configuration`,
            tunables.map(({ name, kind, help }) =>
              kind === 'number'
                ? define.leaf(name, 'int', 'GR', help)
                : define.leaf(name, 'chr', 'GR', `${help} One a line.`, MAX_LINES),
            ),
          ),
        ),
      ),
    ),
  );
}

/**
 * ./GwMO/Config: what may be tuned at run time.
 * @param administrators ServerIDs of those who may
 */
export function config(names: Names, settings: Settings, administrators: readonly string[]): Mount {
  return {
    place: names.place('Config'),
    definition: configDefinition(names),
    provider: new ConfigProvider(settings, administrators),
  };
}

class ConfigProvider implements Provider {
  readonly #keys: ReadonlyMap<string, TunableKey>;
  readonly #fixed: Provider;

  constructor(
    private readonly settings: Settings,
    private readonly administrators: readonly string[],
  ) {
    const tunables = TUNABLES_BY_SECTION.flatMap(({ section, tunables: inner }) =>
      inner.map(({ name, key }) => [`${section}/${name}`, key] as const),
    );
    this.#keys = new Map(tunables);
    this.#fixed = fixedProvider(
      Object.fromEntries(tunables.map(([path, key]) => [path, (): string => settings.text(key)])),
    );
  }

  locate(path: NodePath): string | undefined {
    return this.#fixed.locate(path);
  }

  children(): readonly string[] {
    return [];
  }

  read(path: NodePath): ReturnType<Provider['read']> {
    return this.#fixed.read(path);
  }

  stage(operation: Operation): TreeOutcome {
    const key = this.#keys.get(operation.path.join('/'));
    if (operation.kind !== 'replace' || !key) return treeFailure('not-allowed', 'there is no such setting');
    const set = this.settings.set(key, String(operation.value), operation.by.serverId);
    return set.ok ? success() : treeFailure(TREE_ERROR[set.error.code], set.error.text);
  }

  exec(): TreeOutcome<never> {
    return treeFailure('not-allowed', 'the settings have no operations');
  }

  initialAcl(path: NodePath): string | undefined {
    return path.length === 0 ? administered(this.administrators) : undefined;
  }
}

const TREE_ERROR: Readonly<Record<SettingErrorCode, TreeErrorCode>> = {
  locked: 'forbidden',
  'bad-value': 'bad-value',
};
