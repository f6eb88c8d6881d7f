import type { Clock } from '../clock/index.js';
import type { Prefixes } from '../net/index.js';
import type { Store } from '../store/index.js';
import { hostOf } from './address.js';
import type { Announcement } from './announcement.js';
import type { Device, DeviceInventory } from './inventory.js';
import { checkLeaf, DEVICE_LEAVES } from './leaves.js';

/** Addresses remembered of one device. */
const MAX_HISTORY = 8;

/** Discovered records at one IP address: an address translator, or one host that plays several devices. */
const MAX_PER_ADDRESS = 4;

export interface DiscoveredOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly inventory: DeviceInventory;
  readonly lan: Prefixes;
  /** Records of source `mdns` at most. */
  readonly maxDiscovered: number;
}

/** The records of discovered devices. All methods join the caller's transaction; they throw StoreError. */
export class DiscoveredDevices {
  constructor(private readonly o: DiscoveredOptions) {}

  /**
   * Whether one more fits.
   * @param pending those that are about to be added
   * @param atAddress those of them at the same address
   */
  admits(address: string, pending: number, atAddress: number): boolean {
    const { store, maxDiscovered } = this.o;
    const neighbours = store
      .sql<{ n: number }>("SELECT count(*) AS n FROM device WHERE host = ? AND source = 'mdns'")
      .get(hostOf(address));
    if ((neighbours?.n ?? 0) + atAddress >= MAX_PER_ADDRESS) return false;
    return this.count() + pending < maxDiscovered || this.#fleeting() !== undefined;
  }

  count(): number {
    return this.o.store.sql<{ n: number }>("SELECT n FROM device_count WHERE source = 'mdns'").get()?.n ?? 0;
  }

  /** Addresses of a device, the latest first. */
  history(id: number): readonly { readonly address: string; readonly lastMs: number | null }[] {
    return this.o.store
      .sql<{ address: string; lastMs: number | null }>(
        'SELECT address, last_ms AS lastMs FROM device_address WHERE device = ? ORDER BY last_ms DESC',
      )
      .all(id);
  }

  /** Makes a record of a device that was not known; one that was only seen for a moment gives way. @returns false when full */
  add(announcement: Announcement): boolean {
    const { inventory, maxDiscovered } = this.o;
    if (this.count() >= maxDiscovered) {
      const fleeting = this.#fleeting();
      if (fleeting === undefined) return false;
      inventory.discard([fleeting]);
    }
    const added = inventory.addDiscovered(announcement.deviceId);
    if (!added.ok) return false;
    // It is there: from the first moment it does not count among those that give way.
    this.o.store.sql('UPDATE device SET reachable = 1 WHERE id = ?').run(added.value.id);
    this.describe(added.value, announcement);
    this.move(added.value, announcement.address);
    return true;
  }

  /** Takes over what a discovered device says of itself. What a server or the configuration said stays. */
  describe(device: Device, { leaves, sessionId }: Announcement): void {
    const { store, inventory } = this.o;
    store
      .sql('UPDATE device SET shows_session = 1 WHERE id = ? AND shows_session = 0 AND ?')
      .run(device.id, sessionId === undefined ? 0 : 1);
    if (device.source !== 'mdns') return;
    for (const leaf of DEVICE_LEAVES) {
      if (leaf === 'deviceId' || leaf === 'address') continue;
      const value = leaves[leaf] ?? null;
      if (value !== device[leaf]) inventory.setLeaf(device.id, leaf, value);
    }
  }

  /** The device is at this address now. The Address that a server or the configuration gave stays. */
  move(device: Device, address: string): void {
    const { store, inventory } = this.o;
    store.sql('UPDATE device SET found_address = ? WHERE id = ?').run(address, device.id);
    if (device.source === 'mdns') inventory.setLeaf(device.id, 'address', address);
    else if (device.address === null)
      store.sql('UPDATE device SET host = ? WHERE id = ?').run(hostOf(address), device.id);
    this.#remember(device.id, address);
  }

  /** A lease says that the device has another IP address: true whoever gave the one before. */
  follow(device: Device, address: string): void {
    const { inventory, lan } = this.o;
    if (device.address === null || device.source === 'mdns') return this.move(device, address);
    if (!checkLeaf('address', address, lan).ok) return;
    inventory.setLeaf(device.id, 'address', address);
    this.#remember(device.id, address);
  }

  #remember(id: number, address: string): void {
    const { store, clock } = this.o;
    store
      .sql('INSERT OR REPLACE INTO device_address VALUES (?, ?, ?)')
      .run(id, address, clock.plausible() ? Math.trunc(clock.wallMs()) : null);
    store
      .sql(
        `DELETE FROM device_address WHERE device = ? AND address NOT IN
           (SELECT address FROM device_address WHERE device = ? ORDER BY last_ms DESC LIMIT ${MAX_HISTORY})`,
      )
      .run(id, id);
  }

  /** The record that is missed least: discovered, seen for a moment only, not there now. */
  #fleeting(): { readonly id: number; readonly node: string } | undefined {
    return this.o.store
      .sql<{ id: number; node: string }>(
        "SELECT id, node FROM device WHERE source = 'mdns' AND reachable = 0 AND confirmed = 0 ORDER BY last_seen_ms LIMIT 1",
      )
      .get();
  }
}
