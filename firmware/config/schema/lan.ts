import { list, prefix, section } from '../values.js';

export const lanSchema = section(
  {
    prefixes: list(
      prefix(),
      { from: 1, to: 32 },
      'The LAN: images are served on its addresses only, notifications are sent to its addresses only.',
      'address prefixes',
    ),
  },
  'The network of the End Devices.',
);
