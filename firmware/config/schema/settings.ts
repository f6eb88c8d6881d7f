import { TUNABLE_KEYS } from '../tunable-keys.js';
import { choice, list, optional, section } from '../../shape/index.js';

export const settingsSchema = section(
  {
    locked: optional(
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
