import { flag, optional, section } from '../../shape/index.js';
import { addresses, port } from '../values.js';

export const notificationSchema = section(
  {
    enabled: optional(flag('Listens for Package#0 that is addressed to the gateway.'), false),
    listen: optional(
      addresses(8, 'Addresses to listen on; 0.0.0.0 and :: are every address, that of the WAN too.'),
      [],
    ),
    port: optional(port('UDP port (2948 is wap-push).'), 2948),
  },
  'Notifications from the DM Servers.',
);
