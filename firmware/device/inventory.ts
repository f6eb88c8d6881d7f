import type { Clock } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import type { Prefixes } from '../net/index.js';
import { failure, success, type Outcome } from '../outcome/index.js';
import { ReadCache, type Store } from '../store/index.js';
import { hostOf, macOf } from './address.js';
import { checkLeaf, DEVICE_LEAVES, type DeviceError, type DeviceLeaf } from './leaves.js';
import { nodeNameFor } from './node-name.js';
import { Sightings } from './sightings.js';

/** Who made the record: a DM Server (Add), the configuration file, discovery, or somebody at the gateway. */
export type DeviceSource = 'server' | 'config' | 'mdns' | 'operator';

/** One record. A leaf that was not added is null; what it then means is the default of management-objects.md. */
export interface Device extends Readonly<Record<DeviceLeaf, string | null>> {
  /** Identity: never used again, not touched by `rename`. */
  readonly id: number;
  /** Name <x> of the node. */
  readonly node: string;
  /** Who added it, as given to `create`; empty where nobody did. */
  readonly requester: string;
  readonly source: DeviceSource;
  /** Wall time in ms; null while the device was not seen, or the clock was not set. */
  readonly lastSeenMs: number | null;
  readonly reachable: boolean;
  /** Where discovery saw it last: used where nobody gave an Address. */
  readonly foundAddress: string | null;
}

/** A device of the configuration file: the same leaves, under the same rules, as a server may set. */
export type ConfiguredDevice = Readonly<
  { deviceId: string } & Partial<Record<Exclude<DeviceLeaf, 'deviceId'>, string>>
>;

export interface ConfiguredSummary {
  readonly added: number;
  readonly updated: number;
  readonly removed: number;
  /** DeviceIDs that a DM Server added before: its record stays, the configured one is not taken. */
  readonly shadowed: readonly string[];
}

export interface DeviceInventoryOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  /** Addresses outside are refused. */
  readonly lan: Prefixes;
  /**
   * Told of the node of a record that the gateway removes by itself, inside the transaction, while the record is still
   * there: what others keep of it goes too.
   */
  readonly onRemove?: (node: string) => void;
  /** Records at most; default 20,000. */
  readonly maxDevices?: number;
}

/** Twice the largest LAN that the gateway is made for. */
const MAX_DEVICES = 20_000;

const COLUMNS: Readonly<Record<DeviceLeaf, string>> = {
  deviceId: 'device_id',
  componentType: 'component_type',
  mode: 'mode',
  address: 'address',
  encapsulation: 'encapsulation',
  groups: 'groups',
  name: 'name',
};

/** In the table, a record that nobody's server has added is the operator's. */
const SOURCE = `CASE WHEN source = 'server' AND requester = '' THEN 'operator' ELSE source END AS source`;

const FIELDS = `id, node, requester, ${SOURCE}, last_seen_ms AS lastSeenMs, reachable, found_address AS foundAddress,
  ${DEVICE_LEAVES.map((leaf) => `${COLUMNS[leaf]} AS ${leaf}`).join(', ')}`;

/** A message asks for the leaves of a few devices. */
const NODES_AT_HAND = 16;

type Row = Omit<Device, 'reachable'> & { readonly reachable: number };

/**
 * DeviceInventory/<x> (management-objects.md). All methods are synchronous; those that write join the caller's
 * transaction, and a failure leaves nothing of its own behind. They throw StoreError where the disk fails.
 */
export class DeviceInventory {
  readonly #store: Store;
  readonly #sightings: Sightings;
  readonly #byNode: ReadCache<string, Row | undefined>;

  constructor(private readonly o: DeviceInventoryOptions) {
    this.#store = o.store;
    this.#byNode = new ReadCache(() => o.store.generation, NODES_AT_HAND);
    this.#sightings = new Sightings(o.store, o.clock, o.log);
  }

  /** Adds an empty record of source `server`. Fails with `node-exists` or `too-many`. */
  create(node: string, requester: string): Outcome<Device, DeviceError> {
    return this.#store.tentative(() => this.#insert(node, requester, 'server'));
  }

  byNode(node: string): Device | undefined {
    const row = this.#byNode.get(node, () =>
      this.#store.sql<Row>(`SELECT ${FIELDS} FROM device WHERE node = ?`).get(node),
    );
    return this.#device(row);
  }

  byId(id: number): Device | undefined {
    return this.#device(this.#store.sql<Row>(`SELECT ${FIELDS} FROM device WHERE id = ?`).get(id));
  }

  byDeviceId(deviceId: string): Device | undefined {
    return this.#device(this.#store.sql<Row>(`SELECT ${FIELDS} FROM device WHERE device_id = ?`).get(deviceId));
  }

  /** At most `limit` records in the order of their node names, beginning behind `after`. */
  nodes(after: string | undefined, limit: number): Device[] {
    const rows = this.#store
      .sql<Row>(`SELECT ${FIELDS} FROM device WHERE node > ? ORDER BY node LIMIT ?`)
      .all(after ?? '', limit);
    return rows.map((row) => this.#overlay(row));
  }

  count(): number {
    return this.#store.sql<{ n: number }>('SELECT sum(n) AS n FROM device_count').get()?.n ?? 0;
  }

  /**
   * Adds a device that somebody names at the gateway, under a node name of the gateway's own; it lasts, as one that a DM
   * Server has added. One that was only discovered becomes it.
   */
  addLocal({ deviceId, ...leaves }: ConfiguredDevice): Outcome<Device, DeviceError> {
    return this.#store.tentative<Outcome<Device, DeviceError>>(() => {
      const known = this.byDeviceId(deviceId);
      if (known && known.source !== 'mdns')
        return failure('device-id-taken', `node ${known.node} has this DeviceID (${known.source})`);
      const present = known ? success(known) : this.#insert(this.#freeNode(deviceId), '', 'server');
      if (!present.ok) return present;
      const { id } = present.value;
      if (known) this.#store.sql("UPDATE device SET source = 'server' WHERE id = ?").run(id);
      for (const [leaf, value] of Object.entries({ deviceId, ...leaves }) as [DeviceLeaf, string][]) {
        const set = this.#setLeaf(id, leaf, value);
        if (!set.ok) return set;
      }
      const added = this.byId(id);
      return added ? success(added) : noSuchDevice(id);
    });
  }

  /** Records in all, and those whose device answered last (as last written). */
  summary(): { readonly known: number; readonly reachable: number } {
    const row = this.#store
      .sql<{ known: number; reachable: number }>('SELECT count(*) AS known, total(reachable) AS reachable FROM device')
      .get();
    return { known: row?.known ?? 0, reachable: row?.reachable ?? 0 };
  }

  /**
   * Sets a leaf, or takes it away (`null`; refused with `required` for DeviceID). Who may do so, and whether by Add or by
   * Replace, is the tree's business. On a configured device it holds until the next `syncConfigured`.
   */
  setLeaf(id: number, leaf: DeviceLeaf, value: string | null): Outcome<undefined, DeviceError> {
    return this.#store.tentative(() => this.#setLeaf(id, leaf, value));
  }

  /** Removes records that no DM Server has removed: those that have departed, and those that no file names any more. */
  discard(records: readonly { readonly id: number; readonly node: string }[]): void {
    for (const { id, node } of records) {
      this.o.onRemove?.(node);
      this.remove(id);
    }
  }

  /** Fails with `no-such-device`. */
  remove(id: number): Outcome<undefined, DeviceError> {
    const { changes } = this.#store.sql('DELETE FROM device WHERE id = ?').run(id);
    return changes > 0 ? success() : noSuchDevice(id);
  }

  /** Gives the record another node name. Fails with `no-such-device` or `node-exists`. */
  rename(id: number, node: string): Outcome<undefined, DeviceError> {
    return this.#store.tentative(() => {
      const holder = this.byNode(node);
      if (holder && holder.id !== id) return nodeExists(node);
      const { changes } = this.#store.sql('UPDATE device SET node = ? WHERE id = ?').run(node, id);
      return changes > 0 ? success() : noSuchDevice(id);
    });
  }

  /**
   * Makes the records of source `config` equal to the configuration: adds, updates, removes. A record that a DM Server
   * added under the same DeviceID wins, because the server's access rights and fanouts stand on it; the configured one
   * comes back at the first call after the server removed its own. A discovered record becomes the configured one.
   * Rows that are already right are not written.
   * @returns what was done, or the first error; its text names the device, and then nothing was changed
   */
  syncConfigured(devices: readonly ConfiguredDevice[]): Outcome<ConfiguredSummary, DeviceError> {
    return this.#store.tentative<Outcome<ConfiguredSummary, DeviceError>>(() => {
      const wanted = new Set<string>();
      const shadowed: string[] = [];
      let added = 0;
      let updated = 0;
      for (const device of devices) {
        if (wanted.has(device.deviceId)) {
          return failure('device-id-taken', `device ${device.deviceId}: stands twice in the configuration`);
        }
        wanted.add(device.deviceId);
        const known = this.byDeviceId(device.deviceId);
        if (known?.source === 'server' || known?.source === 'operator') {
          shadowed.push(device.deviceId);
          continue;
        }
        const written = this.#writeConfigured(device, known);
        if (!written.ok) {
          return failure(written.error.code, `device ${device.deviceId}: ${written.error.text}`);
        }
        if (!known) added += 1;
        else if (written.value) updated += 1;
      }
      return success({ added, updated, removed: this.#removeConfiguredBut(wanted), shadowed });
    });
  }

  /**
   * Notes that a device was heard of, or failed to answer. Written in batches; readers see it at once.
   * @param reachable false when it did not answer; LastSeen then stays
   */
  seen(deviceId: string, reachable: boolean): void {
    const { clock } = this.o;
    const known = this.#store
      .sql<{ reachable: number; lastSeenMs: number | null }>(
        'SELECT reachable, last_seen_ms AS lastSeenMs FROM device WHERE device_id = ?',
      )
      .get(deviceId);
    if (!known) return;
    const before = { reachable: known.reachable === 1, lastSeenMs: known.lastSeenMs ?? undefined };
    this.#sightings.note(
      deviceId,
      reachable,
      reachable && clock.plausible() ? Math.trunc(clock.wallMs()) : undefined,
      before,
    );
  }

  /** Adds a record of source `mdns`, under a node name of the gateway's own. Fails with `too-many` or `invalid-value`. */
  addDiscovered(deviceId: string): Outcome<Device, DeviceError> {
    return this.#store.tentative(() => {
      const inserted = this.#insert(this.#freeNode(deviceId), '', 'mdns');
      if (!inserted.ok) return inserted;
      const set = this.#setLeaf(inserted.value.id, 'deviceId', deviceId);
      return set.ok ? success({ ...inserted.value, deviceId }) : set;
    });
  }

  /** Writes what is still in memory. Call before the store closes. @throws StoreError */
  flush(): void {
    this.#sightings.flush();
  }

  #insert(node: string, requester: string, source: Exclude<DeviceSource, 'operator'>): Outcome<Device, DeviceError> {
    const most = this.o.maxDevices ?? MAX_DEVICES;
    if (this.byNode(node)) return nodeExists(node);
    if (this.count() >= most) return failure('too-many', `the inventory holds ${most} devices, no more fit`);
    const { lastInsertRowid } = this.#store
      .sql('INSERT INTO device (node, requester, source) VALUES (?, ?, ?)')
      .run(node, requester, source);
    const device = this.byId(lastInsertRowid);
    if (!device) throw new Error('a row that was just inserted is missing');
    return success(device);
  }

  #setLeaf(id: number, leaf: DeviceLeaf, value: string | null): Outcome<undefined, DeviceError> {
    if (value === null && leaf === 'deviceId') return failure('required', 'a device has a DeviceID');
    const checked = value === null ? success() : checkLeaf(leaf, value, this.o.lan);
    if (!checked.ok) return checked;
    if (leaf === 'deviceId') {
      const holder = this.byDeviceId(value ?? '');
      if (holder && holder.id !== id) return failure('device-id-taken', `node ${holder.node} has this DeviceID`);
    }
    return this.#write(id, leaf, value) > 0 ? success() : noSuchDevice(id);
  }

  /** @returns rows written. What follows from a leaf is written with it: the host of an address, the MAC of a DevId. */
  #write(id: number, leaf: DeviceLeaf, value: string | null): number {
    if (leaf === 'address') {
      const host = hostOf(value ?? this.byId(id)?.foundAddress ?? null);
      return this.#store.sql('UPDATE device SET address = ?, host = ? WHERE id = ?').run(value, host, id).changes;
    }
    if (leaf === 'deviceId') {
      return this.#store
        .sql('UPDATE device SET device_id = ?, mac = coalesce(?, mac) WHERE id = ?')
        .run(value, macOf(value ?? ''), id).changes;
    }
    return this.#store.sql(`UPDATE device SET ${COLUMNS[leaf]} = ? WHERE id = ?`).run(value, id).changes;
  }

  /** @returns whether anything was written */
  #writeConfigured(wanted: ConfiguredDevice, known: Device | undefined): Outcome<boolean, DeviceError> {
    const present = known ? success(known) : this.#insert(this.#freeNode(wanted.deviceId), '', 'config');
    if (!present.ok) return present;
    const { id, source } = present.value;
    let written = source !== 'config';
    if (written) this.#store.sql("UPDATE device SET source = 'config' WHERE id = ?").run(id);
    for (const leaf of DEVICE_LEAVES) {
      const value = wanted[leaf] ?? null;
      if (value === present.value[leaf]) continue;
      const set = this.#setLeaf(id, leaf, value);
      if (!set.ok) return set;
      written = true;
    }
    return success(written);
  }

  #freeNode(deviceId: string): string {
    for (let attempt = 0; ; attempt += 1) {
      const node = nodeNameFor(deviceId, attempt);
      if (!this.byNode(node)) return node;
    }
  }

  #removeConfiguredBut(wanted: ReadonlySet<string>): number {
    const rows = this.#store
      .sql<{ id: number; node: string; device_id: string }>(
        "SELECT id, node, device_id FROM device WHERE source = 'config'",
      )
      .all();
    const gone = rows.filter(({ device_id }) => !wanted.has(device_id));
    this.discard(gone);
    return gone.length;
  }

  #device(row: Row | undefined): Device | undefined {
    return row && this.#overlay(row);
  }

  #overlay(row: Row): Device {
    const sighting = row.deviceId === null ? undefined : this.#sightings.of(row.deviceId);
    // Written out: V8 keeps something of each object that begins with a spread, and discovery looks at thousands.
    return {
      id: row.id,
      node: row.node,
      requester: row.requester,
      source: row.source,
      lastSeenMs: sighting?.lastSeenMs ?? row.lastSeenMs,
      reachable: sighting?.reachable ?? row.reachable === 1,
      foundAddress: row.foundAddress,
      deviceId: row.deviceId,
      componentType: row.componentType,
      mode: row.mode,
      address: row.address,
      encapsulation: row.encapsulation,
      groups: row.groups,
      name: row.name,
    };
  }
}

function noSuchDevice(id: number): Outcome<never, DeviceError> {
  return failure('no-such-device', `there is no device with id ${id}`);
}

function nodeExists(node: string): Outcome<never, DeviceError> {
  return failure('node-exists', `there is a device ${node} already`);
}
