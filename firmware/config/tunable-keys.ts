/** Keys whose value a DM Server may change while the gateway runs, where the configuration makes it an administrator. */
export const TUNABLE_KEYS = [
  'session.intervalSeconds',
  'retrieve.maxBytesPerSecond',
  'retrieve.maxBytesPerSecondPerImage',
  'retrieve.windows',
  'store.quotaMiB',
  'fanout.repeat',
  'fanout.intervalSeconds',
  'fanout.lifetimeSeconds',
  'fanout.ratePerSecond',
] as const;

export type TunableKey = (typeof TUNABLE_KEYS)[number];
