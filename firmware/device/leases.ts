import { promises } from 'node:fs';
import type { Clock, TimerHandle } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { canonicalAddress, type Prefixes } from '../net/index.js';
import { describeThrown } from '../outcome/index.js';
import type { Store } from '../store/index.js';
import { hostOf, withHost } from './address.js';
import type { DiscoveredDevices } from './discovered.js';
import type { DeviceInventory } from './inventory.js';

/** One line of dnsmasq's lease file. */
export interface Lease {
  /** Twelve capital digits. */
  readonly mac: string;
  readonly address: string;
}

/** Twice the largest LAN, at a hundred bytes a line: what is behind is not read. */
const MAX_FILE_BYTES = 2 * 1024 * 1024;

/** dnsmasq writes the file anew at each change and tells nobody: it is looked at so often. */
const POLL_MS = 10_000;

/** Leases that are compared with the inventory before other work has its turn. */
const AT_ONCE = 256;

/**
 * Reads the lease file of dnsmasq: `<expiry> <MAC> <address> <name> <client id>`, one lease a line. The IPv6 leases behind the
 * line `duid ...` are by client, not by MAC, and are left out.
 */
export function parseLeases(text: string): Lease[] {
  const leases: Lease[] = [];
  for (const line of text.split('\n')) {
    const [expiry = '', mac = '', address = ''] = line.split(' ');
    if (expiry === 'duid') break;
    // A hardware type other than Ethernet stands in front: `06-00:11:...`.
    const digits = mac
      .replace(/^[0-9a-f]{2}-/i, '')
      .replace(/:/g, '')
      .toUpperCase();
    const canonical = canonicalAddress(address);
    if (/^\d+$/.test(expiry) && /^[0-9A-F]{12}$/.test(digits) && /^[\d.]+$/.test(canonical)) {
      leases.push({ mac: digits, address: canonical });
    }
  }
  return leases;
}

export interface LeaseWatchOptions {
  readonly file: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly lan: Prefixes;
  readonly inventory: DeviceInventory;
  readonly discovered: DiscoveredDevices;
  readonly onFault: (thrown: unknown) => void;
}

/**
 * Follows devices to their new addresses. Which MAC a device has is known from its DevId (`MAC:...`), or learned from the
 * lease of the address that it has.
 */
export class LeaseWatch {
  #timer: TimerHandle | undefined;
  #seen = '';
  #complained = false;
  #reading: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(private readonly o: LeaseWatchOptions) {}

  start(): void {
    this.#reading = this.#read().finally(() => {
      if (!this.#closed) this.#timer = this.o.clock.after(POLL_MS, () => this.start());
    });
  }

  /** Waits for a reading that is under way. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#reading;
  }

  async #read(): Promise<void> {
    try {
      const text = await this.#changedText();
      if (text === undefined) return;
      const leases = parseLeases(text);
      for (let at = 0; at < leases.length && !this.#closed; at += AT_ONCE) {
        this.#follow(leases.slice(at, at + AT_ONCE));
        await new Promise((resolve) => setImmediate(resolve));
      }
    } catch (thrown) {
      this.o.onFault(thrown);
    }
  }

  /** The text of the file, if it is another than at the last reading. A file that is not there yet is no fault. */
  async #changedText(): Promise<string | undefined> {
    const { file, log } = this.o;
    try {
      const handle = await promises.open(file);
      try {
        const { mtimeMs, size, ino } = await handle.stat();
        const now = `${ino} ${size} ${mtimeMs}`;
        if (now === this.#seen) return undefined;
        const bytes = Buffer.alloc(Math.min(size, MAX_FILE_BYTES));
        const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0);
        this.#seen = now;
        this.#complained = false;
        return bytes.toString('latin1', 0, bytesRead);
      } finally {
        await handle.close();
      }
    } catch (thrown) {
      if (!this.#complained) log.warn('the lease file cannot be read', { file, reason: describeThrown(thrown) });
      this.#complained = true;
      return undefined;
    }
  }

  #follow(leases: readonly Lease[]): void {
    const { store, inventory, discovered, lan, log } = this.o;
    store.transaction(() => {
      const ofMac = store.sql<{ id: number }>('SELECT id FROM device WHERE mac = ?');
      const learn = store.sql('UPDATE device SET mac = ? WHERE host = ? AND mac IS NULL');
      for (const { mac, address } of leases) {
        if (!lan.contains(address)) continue;
        for (const { id } of ofMac.all(mac)) {
          const device = inventory.byId(id);
          const before = device?.address ?? device?.foundAddress ?? null;
          if (!device || before === null || hostOf(before) === address) continue;
          const now = withHost(before, address);
          if (now === undefined) continue;
          discovered.follow(device, now);
          log.info('a device has another lease', { device: device.deviceId ?? '', address: now });
        }
        learn.run(mac, address);
      }
    });
  }
}
