import * as v from 'valibot';
import { TUNABLE_KEYS } from '../tunable-keys.js';
import { choice, list, section } from '../values.js';

export const settingsSchema = section(
  {
    locked: v.optional(
      list(
        choice(TUNABLE_KEYS, 'A key of this configuration.'),
        { to: TUNABLE_KEYS.length },
        'Keys that keep the value of this file: no DM Server can change them in ./GwMO/Config.',
        'keys',
      ),
      [],
    ),
  },
  'What an administrating DM Server may change while the gateway runs.',
);
