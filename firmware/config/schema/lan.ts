import { section } from '../../shape/index.js';
import { prefixes } from '../values.js';

export const lanSchema = section(
  {
    prefixes: prefixes(
      'The LAN: images are served on its addresses only, notifications are sent to its addresses only.',
      1,
    ),
  },
  'The network of the End Devices.',
);
