import type { Clock, TimerHandle } from '../clock/index.js';
import { LATER, type FoundService, type ServiceListener } from '../discovery/index.js';
import type { Logger } from '../log/index.js';
import type { Prefixes } from '../net/index.js';
import { describeThrown } from '../outcome/index.js';
import type { Store } from '../store/index.js';
import { readAnnouncement, type Announcement } from './announcement.js';
import type { DiscoveredDevices } from './discovered.js';
import type { Device, DeviceInventory } from './inventory.js';

/** What was found is written together, so long after the first of it. */
const WRITE_AFTER_MS = 500;

/** Announcements that wait to be written; those over it are offered again. */
const MAX_WAITING = 1_024;

/** Devices whose address is in doubt. One more stays where it was, and is offered again. */
const MAX_CLAIMS = 1_024;

/** While a claim is open the device is asked so often, for answers get lost. */
const ASK_EVERY_MS = 8_000;

/** A claim is said once in this time, in all. */
const CLAIM_WARNING_MS = 60_000;

export interface RecognitionOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly lan: Prefixes;
  readonly inventory: DeviceInventory;
  readonly discovered: DiscoveredDevices;
  /** How long a device must be silent at its old address before a new one counts. */
  readonly takeoverGraceMs: number;
  /** Asks the network about devices: the true owner of a DeviceID contradicts. */
  readonly verify: (deviceIds: ReadonlySet<string>) => void;
  /** Told when the database failed. */
  readonly onFault: (thrown: unknown) => void;
}

/** A device is said to be at another address, while nothing says that it has left the one before. */
interface Claim {
  /** The latest one from there. */
  announcement: Announcement;
  readonly sinceMs: number;
  askedMs: number;
}

/**
 * Makes End Devices of what discovery finds. A device keeps its DeviceID: whoever announces it from another address is
 * believed when nothing was heard from the old one for the time of grace, although it was asked. That a device has gone
 * makes no difference: others can say goodbye in its name, and its contradiction may be lost.
 */
export class Recognition implements ServiceListener {
  /** How many instances stand for a device: it is gone with the last of them. */
  readonly #present = new Map<string, number>();
  readonly #waiting = new Map<string, Announcement>();
  readonly #claims = new Map<string, Claim>();
  readonly #appearances = new Set<(deviceId: string) => void>();
  readonly #sessions = new Set<(deviceId: string, sessionId: string) => void>();
  #timer: TimerHandle | undefined;
  #warnedMs = -Infinity;

  constructor(private readonly o: RecognitionOptions) {}

  /** Tells of each device that is new, is back, has moved, or announces itself unasked. @returns ends the subscription */
  onAppeared(listener: (deviceId: string) => void): () => void {
    this.#appearances.add(listener);
    return () => this.#appearances.delete(listener);
  }

  /** Tells which SessionID a device announces. Told several times of one does no harm. @returns ends the subscription */
  onSession(listener: (deviceId: string, sessionId: string) => void): () => void {
    this.#sessions.add(listener);
    return () => this.#sessions.delete(listener);
  }

  found(service: FoundService): string | typeof LATER | undefined {
    return this.#guarded(() => this.#found(service));
  }

  heard(deviceId: string, instance: string, unasked: boolean): void {
    this.#guarded(() => {
      // Another instance than the one that claims the device to be elsewhere: it is still where it was.
      const claim = this.#claims.get(deviceId);
      if (claim && claim.announcement.instance !== instance) this.#claims.delete(deviceId);
      this.o.inventory.seen(deviceId, true);
      if (unasked) this.#tellAppearance(deviceId);
      return undefined;
    });
  }

  gone(deviceId: string, instance: string): void {
    this.#guarded(() => {
      const left = (this.#present.get(deviceId) ?? 1) - 1;
      if (left > 0) this.#present.set(deviceId, left);
      else this.#present.delete(deviceId);
      const claim = this.#claims.get(deviceId);
      if (claim?.announcement.instance === instance) this.#claims.delete(deviceId);
      if (left > 0) return;
      this.o.inventory.seen(deviceId, false);
    });
  }

  isPresent(deviceId: string): boolean {
    return this.#present.has(deviceId);
  }

  /** Devices that are there now. */
  get presentCount(): number {
    return this.#present.size;
  }

  /** Writes what waits. Call before the store closes. @throws StoreError */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#write();
  }

  #found(service: FoundService): string | typeof LATER | undefined {
    const { lan, inventory, discovered, log } = this.o;
    let known: Device | undefined;
    const read = readAnnouncement(service, lan, (deviceId) => {
      known = inventory.byDeviceId(deviceId);
      return known?.foundAddress;
    });
    if (!read.ok) {
      log.debug('a service is no End Device', { instance: service.instance, code: read.error.code });
      return undefined;
    }
    const announcement = read.value;
    // What is kept for long must not be a part of a longer text, which would be kept with it.
    const deviceId = service.knownAs === announcement.deviceId ? service.knownAs : copied(announcement.deviceId);
    if (!this.#waiting.has(deviceId)) {
      if (this.#waiting.size >= MAX_WAITING) return LATER;
      if (
        !known &&
        !discovered.admits(announcement.address, this.#waiting.size, this.#waitingAt(announcement.address))
      ) {
        log.debug('an End Device is not taken: there are too many', { device: deviceId });
        return undefined;
      }
    }
    // Each of those that wait may become a claim when it is written.
    const isFull = this.#claims.size + this.#waiting.size >= MAX_CLAIMS;
    if (isFull && this.#isClaim(known, announcement) && !this.#claims.has(deviceId)) return LATER;
    this.#waiting.set(deviceId, announcement);
    // It is where it was: whoever claims the contrary has not been believed yet, and waits from the beginning.
    if (known?.foundAddress === announcement.address) this.#claims.delete(deviceId);
    if (service.knownAs !== deviceId) this.#present.set(deviceId, (this.#present.get(deviceId) ?? 0) + 1);
    this.#writeSoon();
    return deviceId;
  }

  #writeSoon(): void {
    this.#timer ??= this.o.clock.after(WRITE_AFTER_MS, () => this.#writeAndGoOn());
  }

  #waitingAt(address: string): number {
    const host = address.slice(0, address.lastIndexOf(':') + 1);
    let count = 0;
    for (const one of this.#waiting.values()) if (one.address.startsWith(host)) count += 1;
    return count;
  }

  #writeAndGoOn(): void {
    this.#timer = undefined;
    this.#guarded(() => {
      this.#write();
    });
    if (this.#claims.size > 0 || this.#waiting.size > 0) this.#writeSoon();
  }

  #write(): void {
    const { store, inventory, verify } = this.o;
    if (this.#waiting.size === 0 && this.#claims.size === 0) return;
    const settled: Announcement[] = [];
    const doubted = new Set<string>();
    store.transaction(() => {
      for (const announcement of this.#waiting.values())
        if (this.#apply(announcement, doubted)) settled.push(announcement);
      for (const claim of this.#claims.values()) if (this.#grant(claim, doubted)) settled.push(claim.announcement);
    });
    this.#waiting.clear();
    if (doubted.size > 0) verify(doubted);
    for (const { deviceId } of settled) this.#claims.delete(deviceId);
    for (const { deviceId, sessionId } of settled) {
      inventory.seen(deviceId, true);
      this.#tellAppearance(deviceId);
      if (sessionId !== undefined) for (const listener of this.#sessions) listener(deviceId, sessionId);
    }
  }

  /** @param doubted takes the device that is to be asked. @returns whether the announcement is believed */
  #apply(announcement: Announcement, doubted: Set<string>): boolean {
    const { inventory, discovered } = this.o;
    const device = inventory.byDeviceId(announcement.deviceId);
    if (!device) return discovered.add(announcement);
    if (device.foundAddress !== announcement.address && !this.#mayMove(device, announcement, doubted)) return false;
    if (device.foundAddress !== announcement.address) discovered.move(device, announcement.address);
    discovered.describe(device, announcement);
    return true;
  }

  #isClaim(device: Device | undefined, { address }: Announcement): boolean {
    return device !== undefined && device.foundAddress !== null && device.foundAddress !== address;
  }

  #mayMove(device: Device, announcement: Announcement, doubted: Set<string>): boolean {
    const { clock, log, takeoverGraceMs } = this.o;
    const { deviceId, address } = announcement;
    if (!this.#isClaim(device, announcement) || takeoverGraceMs === 0) return true;
    const claim = this.#claims.get(deviceId);
    if (claim?.announcement.address === address) {
      claim.announcement = announcement;
      return false;
    }
    if (!claim && this.#claims.size >= MAX_CLAIMS) return false;
    const nowMs = clock.monotonicMs();
    this.#claims.set(deviceId, { announcement, sinceMs: nowMs, askedMs: nowMs });
    doubted.add(deviceId);
    if (nowMs - this.#warnedMs >= CLAIM_WARNING_MS) {
      this.#warnedMs = nowMs;
      log.warn('a device is announced from another address', {
        device: deviceId,
        known: device.foundAddress ?? '',
        address,
      });
    }
    return false;
  }

  /** @returns whether the time of grace is over, and the device has moved */
  #grant(claim: Claim, doubted: Set<string>): boolean {
    const { clock, inventory, discovered, log, takeoverGraceMs } = this.o;
    const { announcement, sinceMs, askedMs } = claim;
    const nowMs = clock.monotonicMs();
    if (nowMs - sinceMs < takeoverGraceMs) {
      if (nowMs - askedMs < ASK_EVERY_MS) return false;
      claim.askedMs = nowMs;
      doubted.add(announcement.deviceId);
      return false;
    }
    const device = inventory.byDeviceId(announcement.deviceId);
    if (!device) return true;
    discovered.move(device, announcement.address);
    discovered.describe(device, announcement);
    log.info('a device has moved', { device: announcement.deviceId, address: announcement.address });
    return true;
  }

  #tellAppearance(deviceId: string): void {
    for (const listener of this.#appearances) listener(deviceId);
  }

  /** Discovery must not be thrown at: a failure of the database stays here. */
  #guarded<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (thrown) {
      this.o.log.error('discovered devices could not be written', { reason: describeThrown(thrown) });
      this.o.onFault(thrown);
      return undefined;
    }
  }
}

/** The same text in memory of its own. */
function copied(text: string): string {
  return Buffer.from(text).toString();
}
