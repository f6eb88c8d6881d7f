import { choice, list, optional, section } from '../../shape/index.js';
import { deviceAddress, deviceId, line, pattern } from '../values.js';

export const endDeviceSchema = section(
  {
    name: optional(line('Name for people.'), ''),
    deviceId: deviceId('DevId of the End Device.'),
    address: deviceAddress('Where its notifications are sent; must lie in `lan.prefixes`.'),
    encapsulation: optional(
      choice(['wsp', 'raw'], 'How Package#0 is wrapped: in a WAP push (wsp) or not at all (raw).'),
      'wsp',
    ),
    groups: optional(
      list(
        pattern(/^[\w.-]{1,64}$/, 'a name of letters, digits, . _ - (1 to 64)', 'Name of a group.'),
        { to: 32 },
        'Groups that a fanout can name as `group:<name>`.',
        'names',
      ),
      [],
    ),
    mode: optional(choice(['transparent', 'proxy', 'adaptation'], 'How the device is managed.'), 'transparent'),
    componentType: optional(choice(['EndDevice', 'DMGateway'], 'What it is.'), 'EndDevice'),
  },
  'An End Device that is known beforehand.',
);
