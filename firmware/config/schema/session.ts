import { optional, section, whole } from '../../shape/index.js';
import { DAY_SECONDS, interval, longestRetry } from '../values.js';

export const sessionSchema = section(
  {
    maxMessageBytes: optional(whole(4096, 1_048_576, 'Longest message that the gateway takes (MaxMsgSize).'), 65_536),
    maxObjectMiB: optional(
      whole(1, 4096, 'Longest value that the gateway takes in several messages (MaxObjSize), as it is transported.'),
      1024,
    ),
    startDelaySeconds: optional(whole(0, 3600, 'From the start to the first session.'), 5),
    intervalSeconds: optional(
      interval('From the end of a session to the next one; 0: none by the clock.'),
      DAY_SECONDS,
    ),
    jitterSeconds: optional(
      whole(0, DAY_SECONDS, 'Random delay of at most so long, added to the start and to the interval.'),
      60,
    ),
    idleTimeoutSeconds: optional(whole(1, 600, 'Silence of a server that ends a session.'), 30),
    retryFirstSeconds: optional(whole(1, 3600, 'At most so long before a failed session is tried again.'), 30),
    retryMaxSeconds: optional(longestRetry(), 3600),
    alertDelaySeconds: optional(
      whole(0, 3600, 'At most so long (random) before a session that delivers alerts; several share one.'),
      5,
    ),
  },
  'Sessions with the DM Servers.',
);
