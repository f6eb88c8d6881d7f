/** For tests of the whole gateway: started in this process, by files as its owner has them. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { loadConfiguration } from '../config/index.js';
import { startGateway, type Gateway } from './gateway.js';
import { LogRing, silentLog, type LogFields } from '../log/index.js';
import { success } from '../outcome/index.js';

export interface Installation {
  /** The configuration file, which is written. */
  readonly file: string;
  readonly configuration: object;
  /** The board's profile. */
  readonly board?: string;
  /** Of the firmware. Default 0. */
  readonly buildTimeMs?: number;
  /** What is worth a line. Default nothing is looked at. */
  readonly onInfo?: (text: string, fields?: LogFields) => void;
}

/** @returns the gateway, and where it is asked. A fault of it fails the test */
export async function startInstalled({
  file,
  configuration,
  board,
  buildTimeMs = 0,
  onInfo = () => {},
}: Installation): Promise<{ gateway: Gateway; socket: string }> {
  writeFileSync(file, JSON.stringify(configuration), { mode: 0o600 });
  const loaded = loadConfiguration({ file, ...(board !== undefined && { board }) }, process.getuid?.() ?? 0);
  assert.ok(loaded.ok, loaded.ok ? '' : loaded.error.text);
  const started = await startGateway(loaded.value.configuration, {
    log: () => ({ ...silentLog, info: onInfo }),
    lines: new LogRing(1024),
    version: 'test',
    buildTimeMs,
    mdnsHelper: [],
    collectGarbage: () => {},
    onReload: () => success({ done: true }),
    onFatal: (thrown) => assert.fail(String(thrown)),
  });
  assert.ok(started.ok, started.ok ? '' : started.error.text);
  return { gateway: started.value, socket: loaded.value.configuration.controlSocket };
}
