import * as v from 'valibot';
import { choice, flag, section, whole } from '../values.js';

export const logSchema = section(
  {
    level: v.optional(choice(['error', 'warn', 'info', 'debug'], 'Least severe level that is written.'), 'info'),
    timestamps: v.optional(flag('Writes the time on each line; syslog adds its own.'), false),
    keepKiB: v.optional(whole(1, 4096, 'The latest lines are kept in memory, so much of them, for `dmgw logs`.'), 64),
  },
  'The log, on standard error.',
);
