/**
 * The one schema of the configuration file and of a board profile: a file per section, named as its key, in which the help
 * of each key says what it is for. Leaves to `checks.ts` what keys of several sections mean for each other.
 */
import { choice, derived, exactOptional, flag, list, optional, section, type OutOf } from '../../shape/index.js';
import { foreignSection, line, namesOf, path } from '../values.js';
import { accountSchema } from './accounts.js';
import { deviceSchema } from './device.js';
import { endDeviceSchema } from './devices.js';
import { discoverySchema } from './discovery.js';
import { fanoutSchema } from './fanout.js';
import { lanSchema } from './lan.js';
import { logSchema } from './log.js';
import { notificationSchema } from './notification.js';
import { retainSchema } from './retain.js';
import { retrieveSchema } from './retrieve.js';
import { serveSchema } from './serve.js';
import { sessionSchema } from './session.js';
import { settingsSchema } from './settings.js';
import { storeSchema } from './store.js';

/** Every key of the configuration file and of a board profile. */
export const configurationSchema = derived(
  section(
    {
      $schema: exactOptional(line('For editors; not used.')),
      board: optional(
        section({ name: optional(line('Name of the board profile, shown by `dmgw status`.'), '') }, 'About the board.'),
        {},
      ),
      build: exactOptional(
        foreignSection(
          'What the firmware of the board is built from, for `make BOARD=...`; the daemon does not use it.',
        ),
      ),
      stateDir: path('Folder of the database: small, must survive a restart and a system upgrade.'),
      storeDir: path('Folder of the images: large, may be another partition.'),
      volatile: optional(
        flag('Permits stateDir and storeDir in memory (tmpfs, ramfs): all is lost at a reboot.'),
        false,
      ),
      requireMount: exactOptional(
        path('Mount point of a late disk, waited for before stateDir or storeDir below it is used; `/` for none.'),
      ),
      controlSocket: exactOptional(path('Unix socket for `dmgw status` and the like.', '`<stateDir>/dmgw.sock`')),
      controlAccess: optional(
        choice(
          ['owner', 'group'],
          'Who may use the control socket: the user that the daemon runs as (mode 0600), or its group too (0660).',
        ),
        'owner',
      ),
      device: deviceSchema,
      accounts: optional(list(accountSchema, { to: 16 }, 'The DM Servers that manage this gateway.', 'accounts'), []),
      session: optional(sessionSchema, {}),
      notification: optional(notificationSchema, {}),
      lan: lanSchema,
      retrieve: optional(retrieveSchema, {}),
      store: optional(storeSchema, {}),
      retain: optional(retainSchema, {}),
      serve: serveSchema,
      devices: optional(list(endDeviceSchema, { to: 10_000 }, 'End Devices that are known beforehand.', 'devices'), []),
      fanout: optional(fanoutSchema, {}),
      discovery: optional(discoverySchema, {}),
      settings: optional(settingsSchema, {}),
      log: optional(logSchema, {}),
      names: optional(
        namesOf('Names of management objects and nodes that differ from the built-in ones, to suit a DM Server.'),
        {},
      ),
    },
    'The configuration of dmgw.',
  ),
  (parsed) => ({
    ...withControlSocket(parsed),
    serve: { ...parsed.serve, publicHost: parsed.serve.publicHost ?? parsed.serve.listen[0] ?? '' },
  }),
);

/** It lies beside the database where nothing else is said. */
export function withControlSocket<P extends { readonly stateDir: string; readonly controlSocket?: string }>(
  parsed: P,
): P & { readonly controlSocket: string } {
  return { ...parsed, controlSocket: parsed.controlSocket ?? `${parsed.stateDir.replace(/\/$/, '')}/dmgw.sock` };
}

type DeepReadonly<T> = T extends readonly (infer I)[]
  ? readonly DeepReadonly<I>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;

/**
 * The whole configuration: checked, complete with defaults, frozen. Plain data: byte values are base64 text, prefixes
 * are text. `accountSettings` and `resolveDevId` make of it what the gateway works with.
 */
export type Configuration = DeepReadonly<OutOf<typeof configurationSchema>>;

export type AccountConfiguration = Configuration['accounts'][number];
export type EndDeviceConfiguration = Configuration['devices'][number];
export type DeviceConfiguration = Configuration['device'];
