/** Put in place by the build (tsup.config.ts); not there when the sources run as they are. */
declare const DMGW_VERSION: string | undefined;
declare const DMGW_BUILD_TIME_MS: number | undefined;

/** Version of dmgw, as in package.json. */
export const VERSION = typeof DMGW_VERSION === 'undefined' ? '0.0.0-dev' : DMGW_VERSION;

/** Wall time of the build in ms since 1970: an earlier wall clock is not plausible. */
export const BUILD_TIME_MS = typeof DMGW_BUILD_TIME_MS === 'undefined' ? Date.UTC(2026, 0, 1) : DMGW_BUILD_TIME_MS;
