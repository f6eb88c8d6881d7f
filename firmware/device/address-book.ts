import { canonicalHost } from '../net/index.js';
import type { Store } from '../store/index.js';
import { readEndpoint, type Endpoint } from './address.js';

/** Where and how a device takes its Package#0. */
export type DeviceAddress = Endpoint & {
  readonly encapsulation: 'wsp' | 'raw';
  /** It announces the SessionID that it acted on last: a reaction can be seen. */
  readonly showsSession: boolean;
};

/** Rows in memory while a group is read. */
const PAGE = 256;

const GROUP_PREFIX = 'group:';

/** The inventory as notify/ and image/ ask it: DeviceID to address, address to DeviceID, a group to its members. */
export class AddressBook {
  constructor(private readonly store: Store) {}

  /**
   * The addresses of these devices as their records have them; whether one may be sent to is checked by the sender, at the
   * moment of sending.
   * @returns undefined for a device without an address; nothing for one that is not known
   */
  resolve(deviceIds: readonly string[]): ReadonlyMap<string, DeviceAddress | undefined> {
    const rows = this.store
      .sql(
        `SELECT device_id, coalesce(address, found_address), encapsulation, shows_session
         FROM device WHERE device_id IN (SELECT value FROM json_each(?))`,
      )
      .lists(JSON.stringify(deviceIds)) as [string, string | null, string | null, number][];
    return new Map(
      rows.map(([id, address, encapsulation, shows]) => {
        const endpoint = address === null ? undefined : readEndpoint(address);
        return [id, endpoint && addressOf(endpoint, encapsulation === 'raw' ? 'raw' : 'wsp', shows === 1)];
      }),
    );
  }

  /**
   * The DeviceID of the device with this IP address. Undefined when none has it, or several: behind one address
   * translator, nobody can say which of them it was.
   */
  deviceAt(address: string): string | undefined {
    const [device, another] = this.devicesAt(address);
    return another === undefined ? device : undefined;
  }

  /** The DeviceIDs of the devices with this IP address, two of them at most. */
  devicesAt(address: string): readonly string[] {
    return this.store
      .sql<{ device_id: string }>('SELECT device_id FROM device WHERE host = ? AND device_id IS NOT NULL LIMIT 2')
      .all(canonicalHost(address))
      .map((row) => row.device_id);
  }

  /**
   * The DeviceIDs that one line of a fanout's Targets means: `*` all End Devices in transparent mode, `group:<name>` all
   * members of the group whatever their mode, anything else the DeviceID itself, known or not. Read page by page.
   */
  *expand(target: string): Generator<string, void, undefined> {
    if (target === '*') {
      yield* this.#pages(
        `SELECT id, device_id FROM device WHERE id > ? AND device_id IS NOT NULL AND coalesce(mode, 'transparent') = 'transparent'
           AND coalesce(component_type, 'EndDevice') = 'EndDevice' ORDER BY id LIMIT ${PAGE}`,
        [],
      );
    } else if (target.startsWith(GROUP_PREFIX)) {
      const group = target.slice(GROUP_PREFIX.length);
      if (group.includes('/')) return;
      yield* this.#pages(
        `SELECT id, device_id FROM device WHERE id > ? AND device_id IS NOT NULL
           AND instr('/' || groups || '/', '/' || ? || '/') > 0 ORDER BY id LIMIT ${PAGE}`,
        [group],
      );
    } else yield target;
  }

  *#pages(sql: string, values: readonly string[]): Generator<string, void, undefined> {
    const statement = this.store.sql<{ id: number; device_id: string }>(sql);
    for (let after = 0; ;) {
      const rows = statement.all(after, ...values);
      for (const row of rows) yield row.device_id;
      const last = rows.at(-1);
      if (!last || rows.length < PAGE) return;
      after = last.id;
    }
  }
}

/** Written out: V8 keeps something of each object that begins with a spread, and a fanout makes thousands. */
function addressOf(
  endpoint: Endpoint,
  encapsulation: DeviceAddress['encapsulation'],
  showsSession: boolean,
): DeviceAddress {
  const { host, port } = endpoint;
  return endpoint.transport === 'udp'
    ? { transport: 'udp', host, port, encapsulation, showsSession }
    : { transport: 'http', host, port, url: endpoint.url, encapsulation, showsSession };
}
