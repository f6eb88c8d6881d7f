import { choice, derived, exactOptional, optional, section, whole } from '../../shape/index.js';
import { deviceId, filledLine, line, path, pattern } from '../values.js';

export const deviceSchema = derived(
  section(
    {
      devId: exactOptional(
        deviceId('DevId of the gateway. One of devId, devIdFile, devIdInterface and devIdPartition is needed.'),
      ),
      devIdFile: exactOptional(
        path('File that holds the DevId, or with `devIdPrefix` a serial number (/proc/device-tree/serial-number).'),
      ),
      devIdPrefix: optional(
        pattern(
          /^(?:[A-Za-z][A-Za-z0-9.+-]*:[\x21-\x7e]{0,100})?$/,
          'the beginning of a device identifier such as urn:dev:ops:00D09E-R1-',
          'Stands before what `devIdFile`, or `devIdPartition` as text, holds.',
        ),
        '',
      ),
      devIdPartition: exactOptional(
        section(
          {
            name: pattern(
              /^[\w.: -]{1,64}$/,
              'the name of a partition such as factory',
              'Name of the MTD partition (/proc/mtd), or label of the partition of a disk.',
            ),
            offset: whole(0, 0x7fff_ffff, 'Where it begins, in bytes.'),
            form: optional(
              choice(['mac', 'text'], 'Six octets of a MAC address, which make `MAC:001122AABBCC`, or text.'),
              'mac',
            ),
            length: optional(whole(1, 200, 'Octets of the text at most; it ends before a 00 or FF.'), 64),
          },
          'Where a factory partition holds the DevId.',
        ),
      ),
      devIdInterface: exactOptional(
        pattern(
          /^[^/\s]{1,15}$/,
          'the name of a network interface such as eth0',
          'Network interface whose MAC address makes the DevId: `MAC:001122AABBCC`.',
        ),
      ),
      manufacturer: filledLine('DevInfo Man.'),
      model: filledLine('DevInfo Mod.'),
      type: optional(filledLine('DevDetail DevTyp.'), 'gateway'),
      oem: exactOptional(filledLine('DevDetail OEM.', 'the manufacturer')),
      firmwareVersion: optional(line('DevDetail FwV: version of the router firmware.'), ''),
      softwareVersion: exactOptional(line('DevDetail SwV.', 'the version of dmgw')),
      hardwareVersion: optional(line('DevDetail HwV.'), ''),
      language: optional(
        pattern(/^[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*$/, 'a language tag such as en or pt-BR', 'DevInfo Lang.'),
        'en',
      ),
    },
    'Who the gateway is: DevInfo and DevDetail.',
  ),
  (device) => ({ ...device, oem: device.oem ?? device.manufacturer }),
);
