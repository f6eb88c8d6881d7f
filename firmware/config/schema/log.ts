import { choice, flag, optional, section, whole } from '../../shape/index.js';

export const logSchema = section(
  {
    level: optional(choice(['error', 'warn', 'info', 'debug'], 'Least severe level that is written.'), 'info'),
    timestamps: optional(flag('Writes the time on each line; syslog adds its own.'), false),
    keepKiB: optional(whole(1, 4096, 'The latest lines are kept in memory, so much of them, for `dmgw logs`.'), 64),
  },
  'The log, on standard error.',
);
