import { choice, exactOptional, flag, optional, section, whole } from '../../shape/index.js';
import { networkInterfaces, path } from '../values.js';

export const discoverySchema = section(
  {
    backend: optional(
      choice(
        ['auto', 'daemon', 'builtin', 'off'],
        "How End Devices are found by mDNS: in the process (builtin); through the system's daemon, Avahi or mDNSResponder, with the package mdns (daemon); through the daemon where it works, else in the process (auto); or not at all (off).",
      ),
      'auto',
    ),
    interfaces: optional(
      networkInterfaces('Where devices are looked for; empty: on every interface with an address in `lan.prefixes`.'),
      [],
    ),
    announce: optional(flag('Announces the gateway in the LAN as `_dmgw._tcp`.'), true),
    maxDevices: optional(whole(0, 15_000, 'Devices found that are remembered.'), 10_000),
    takeoverGraceSeconds: optional(
      whole(0, 3600, 'How long a device must be silent at its address before another one may have its DeviceID.'),
      60,
    ),
    forgetAfterDays: optional(whole(1, 3650, 'A device found that was not seen for so long is removed.'), 30),
    leaseFile: exactOptional(
      path('Lease file of dnsmasq (OpenWrt: /tmp/dhcp.leases): devices are followed to their new addresses.'),
    ),
  },
  'Discovery of End Devices.',
);
