/**
 * The settings that may change while the gateway runs: what the configuration says, and what a DM Server has set instead.
 * Leaves to `config/` what each value may be, and to the composition root to apply it.
 */
export { settingSchema } from './schema.js';
export { Settings, type SettingError, type SettingErrorCode } from './settings.js';
export { TUNABLES_BY_SECTION } from './sections.js';
export type { TunableKey } from '../config/index.js';
