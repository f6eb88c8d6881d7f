import { TUNABLES, type Tunable } from '../config/index.js';

/** The settings of one section of the configuration. */
export interface TunableSection {
  readonly section: string;
  /** `name`: within the section. */
  readonly tunables: readonly (Tunable & { readonly name: string })[];
}

/** Every setting, by its section. */
export const TUNABLES_BY_SECTION: readonly TunableSection[] = sections();

function sections(): TunableSection[] {
  const all = TUNABLES.map((tunable) => {
    const [section = '', name = ''] = tunable.key.split('.');
    return { ...tunable, section, name };
  });
  return [...new Set(all.map(({ section }) => section))].map((section) => ({
    section,
    tunables: all.filter((one) => one.section === section),
  }));
}
