import { optional, section, whole } from '../../shape/index.js';

export const retainSchema = section(
  {
    days: optional(
      whole(
        0,
        3650,
        'What ended so many days ago is removed: images of which nothing came, and fanouts; 0: never. Counted by the clock, once it is set.',
      ),
      30,
    ),
    failedImages: optional(
      whole(0, 1024, 'Images that failed, were cancelled or evicted, at most; then the oldest goes.'),
      64,
    ),
    finishedFanouts: optional(whole(0, 256, 'Fanouts that ended, at most; then the oldest goes.'), 64),
  },
  'How long the gateway keeps what has ended.',
);
