import { join } from 'node:path';
import type { Clock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import type { Prefixes } from '../net/index.js';
import { openStore, type Store } from '../store/index.js';
import {
  countSchema,
  DiscoveredDevices,
  discoveredSchema,
  deviceSchema,
  Recognition,
  type DeviceInventory,
} from './index.js';

/** The database of devices in a folder. */
export function openDevices(folder: string): Store {
  return openStore({
    file: join(folder, 'dmgw.db'),
    schema: [...deviceSchema, ...discoveredSchema, ...countSchema],
    log: silentLog,
  });
}

/** Recognition with 60 s of grace. */
export function recogniser(parts: {
  readonly store: Store;
  readonly clock: Clock;
  readonly lan: Prefixes;
  readonly inventory: DeviceInventory;
  readonly maxDiscovered: number;
  readonly verify: (deviceIds: ReadonlySet<string>) => void;
  readonly onFault: (thrown: unknown) => void;
}): { readonly discovered: DiscoveredDevices; readonly recognition: Recognition } {
  const discovered = new DiscoveredDevices(parts);
  const recognition = new Recognition({ ...parts, log: silentLog, discovered, takeoverGraceMs: 60_000 });
  return { discovered, recognition };
}
