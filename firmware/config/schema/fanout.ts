import { optional, section, whole } from '../../shape/index.js';
import { DAY_SECONDS } from '../values.js';

export const fanoutSchema = section(
  {
    repeat: optional(whole(1, 16, 'How often at most a device is notified that has not been seen to react.'), 4),
    intervalSeconds: optional(whole(1, DAY_SECONDS, 'Before the first repetition; doubles each time.'), 2),
    lifetimeSeconds: optional(whole(1, 30 * DAY_SECONDS, 'How long a sleeping device is waited for.'), DAY_SECONDS),
    ratePerSecond: optional(
      whole(-1, 10_000, 'New devices notified per second; 0: as the image server has room; -1: unlimited.'),
      0,
    ),
  },
  'Notification Fanout, where the DM Server says nothing else.',
);
