import { optional, section, whole } from '../../shape/index.js';

export const storeSchema = section(
  {
    quotaMiB: optional(whole(0, 16_777_216, 'Room for images; 0: as much as the file system has.'), 0),
    freeFloorMiB: optional(whole(0, 1_048_576, 'Room that is left free in the file system of `storeDir`.'), 16),
    scrubDays: optional(
      whole(
        0,
        3650,
        'Stored images are read again so often, and retrieved again where they have changed on the disk; 0: never.',
      ),
      7,
    ),
    scrubKiBPerSecond: optional(
      whole(1, 1_048_576, 'How fast they are read; a sixteenth of that while images come in or go out.'),
      1024,
    ),
    databaseCacheKiB: optional(
      whole(64, 65_536, 'Pages of the database that are kept in memory, at most; they are read again otherwise.'),
      512,
    ),
  },
  'The room for images, and the database.',
);
