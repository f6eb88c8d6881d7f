import { join } from 'node:path';
import { silentLog } from '../log/index.js';
import type { Store } from '../store/index.js';
import { openTestStore } from '../store/store.fixture.js';
import {
  countSchema,
  DiscoveredDevices,
  discoveredSchema,
  deviceSchema,
  Recognition,
  type DiscoveredOptions,
  type RecognitionOptions,
} from './index.js';

/** The database of devices in a folder. */
export function openDevices(folder: string): Store {
  return openTestStore({
    file: join(folder, 'dmgw.db'),
    schema: [...deviceSchema, ...discoveredSchema, ...countSchema],
    log: silentLog,
  });
}

/** Recognition with 60 s of grace. */
export function recogniser(
  parts: DiscoveredOptions & Omit<RecognitionOptions, 'log' | 'discovered' | 'takeoverGraceMs'>,
): { readonly discovered: DiscoveredDevices; readonly recognition: Recognition } {
  const discovered = new DiscoveredDevices(parts);
  const recognition = new Recognition({ ...parts, log: silentLog, discovered, takeoverGraceMs: 60_000 });
  return { discovered, recognition };
}
