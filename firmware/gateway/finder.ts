/** The parts that find End Devices, put together. */
import type { Clock, TimerHandle } from '../clock/index.js';
import type { Configuration } from '../config/index.js';
import {
  Departed,
  DiscoveredDevices,
  END_DEVICE_TYPE,
  LeaseWatch,
  Recognition,
  type DeviceInventory,
} from '../device/index.js';
import { BuiltinDiscovery, DaemonDiscovery, type AnnouncedService, type Discovery } from '../discovery/index.js';
import type { Logger } from '../log/index.js';
import type { Prefixes } from '../net/index.js';
import type { DiscoveryReport } from '../ops/index.js';
import type { Store } from '../store/index.js';

export interface FinderOptions {
  readonly configuration: Configuration;
  readonly version: string;
  /** DevId of the gateway. */
  readonly deviceId: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: (component: string) => Logger;
  readonly lan: Prefixes;
  readonly inventory: DeviceInventory;
  /** Program and arguments of the process that speaks with the system's mDNS daemon. */
  readonly mdnsHelper: readonly string[];
  readonly onFault: (thrown: unknown) => void;
}

/** Devices and people who wait for the gateway to start come first: a process for the system's daemon takes a while to start. */
const START_AFTER_MS = 100;

/** Finds End Devices by mDNS and by leases; the inventory remembers them. */
export class Finder {
  readonly recognition: Recognition;
  readonly #departed: Departed;
  readonly #leases: LeaseWatch | undefined;
  #discovery: Discovery | undefined;
  #starting: TimerHandle | undefined;

  constructor(private readonly options: FinderOptions) {
    const { configuration, store, clock, lan, inventory, onFault } = options;
    const { maxDevices, takeoverGraceSeconds, forgetAfterDays, leaseFile } = configuration.discovery;
    const log = options.log('device');
    const discovered = new DiscoveredDevices({ store, clock, inventory, lan, maxDiscovered: maxDevices });
    this.recognition = new Recognition({
      store,
      clock,
      log,
      lan,
      inventory,
      discovered,
      takeoverGraceMs: takeoverGraceSeconds * 1000,
      verify: (deviceIds) => this.#discovery?.verify(deviceIds),
      onFault,
    });
    this.#departed = new Departed({ store, clock, log, inventory, forgetAfterDays, onFault });
    this.#leases =
      leaseFile === undefined
        ? undefined
        : new LeaseWatch({ file: leaseFile, store, clock, log, lan, inventory, discovered, onFault });
  }

  /** What discovery does now. */
  report(): DiscoveryReport {
    const status = this.#discovery?.status();
    return {
      backend: status?.backend ?? 'off',
      daemon: status?.daemon ?? null,
      interfaces: status?.links ?? [],
      present: this.recognition.presentCount,
      dropped: status?.dropped ?? 0,
    };
  }

  /** Whether a device is there; `untold` where discovery would not know. */
  presenceOf(deviceId: string): 'present' | 'absent' | 'untold' {
    if (!this.#discovery) return 'untold';
    if (this.recognition.isPresent(deviceId)) return 'present';
    const known = this.options.inventory.byDeviceId(deviceId);
    return known && known.foundAddress === null ? 'untold' : 'absent';
  }

  /** @param servePort TCP port of the image server */
  start(servePort: number): void {
    const { configuration, clock, lan, log } = this.options;
    const { backend, interfaces, announce } = configuration.discovery;
    this.#departed.start();
    this.#leases?.start();
    if (backend === 'off') return;
    const parts = {
      links: { names: interfaces, lan, own: configuration.serve.listen },
      clock,
      random: Math.random,
      log: log('discovery'),
      browse: { type: END_DEVICE_TYPE, listener: this.recognition },
    };
    this.#discovery =
      backend === 'builtin'
        ? new BuiltinDiscovery(parts)
        : new DaemonDiscovery({ ...parts, command: this.options.mdnsHelper, standIn: backend === 'auto' });
    if (announce) this.#discovery.announce('gateway', this.#own(servePort));
    const discovery = this.#discovery;
    this.#starting = clock.after(START_AFTER_MS, () => discovery.start());
  }

  /** Says goodbye, ends, and writes what was found. */
  async close(): Promise<void> {
    this.#starting?.cancel();
    this.#departed.stop();
    await this.#leases?.close();
    await this.#discovery?.close();
    this.recognition.flush();
  }

  #own(port: number): AnnouncedService {
    const { deviceId, version } = this.options;
    const host = `dmgw-${deviceId
      .replace(/[^A-Za-z0-9]+/g, '-')
      .slice(-40)
      .toLowerCase()}`;
    return { instance: host, type: '_dmgw._tcp', host, port, txt: { path: '/scomo/', version, id: deviceId } };
  }
}
