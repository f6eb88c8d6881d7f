import type { KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { systemClock, type Clock } from '../clock/index.js';
import {
  preparePlaces,
  readSignatureKeys,
  readTlsFiles,
  resolveDevId,
  tunableValues,
  type Configuration,
  type TlsFiles,
} from '../config/index.js';
import { lateCrypto } from '../late/index.js';
import type { Logger, LogRing } from '../log/index.js';
import { parseNames, type Names } from '../mo/index.js';
import { Prefixes } from '../net/index.js';
import type { Done } from '../ops/index.js';
import { describeThrown, success, type CodedError, type Outcome } from '../outcome/index.js';
import { databaseSchema } from '../schema.js';
import { Settings } from '../settings/index.js';
import { openOrReplace, type Fresh, type Store } from '../store/index.js';

export interface GatewayOptions {
  /** Makes the logger of a component. */
  readonly log: (component: string) => Logger;
  /** The latest lines of the log. */
  readonly lines: LogRing;
  readonly version: string;
  /** Wall time of the build, in ms: an earlier clock is not plausible. */
  readonly buildTimeMs: number;
  /** Program and arguments of the process that speaks with the system's mDNS daemon, see `runBridge`. */
  readonly mdnsHelper: readonly string[];
  /** Collects the young generation of the heap, or all of it; see `Downloader` and `Uploads`. */
  readonly collectGarbage: (generation: 'young' | 'all') => void;
  /** Has the gateway started anew with the configuration as it is now, soon; or says what is wrong with it. */
  readonly onReload: () => Outcome<Done, CodedError>;
  /** The disk has failed, or a defect of ours has shown: the process should end, and be started anew. */
  readonly onFatal: (thrown: unknown) => void;
}

/** Has something end with the gateway: what came last ends first. */
export type OnClose = (closing: () => Promise<void> | void) => void;

/** What every part of the gateway stands on. */
export interface Ground extends Omit<GatewayOptions, 'onFatal'> {
  readonly configuration: Configuration;
  readonly clock: Clock;
  /** That nobody can guess. */
  readonly randomBytes: (bytes: number) => Uint8Array;
  readonly names: Names;
  readonly signatureKeys: readonly KeyObject[];
  readonly tls: TlsFiles;
  readonly deviceId: string;
  readonly lan: Prefixes;
  readonly store: Store;
  /** Where the database is a new one. */
  readonly fresh: Fresh | undefined;
  readonly settings: Settings;
  readonly onClose: OnClose;
  /** A failed disk ends the process; anything else is a defect of ours that shall be seen, and ends it too. */
  readonly onFault: (thrown: unknown) => void;
}

/**
 * Reads and checks what the configuration names, opens the database.
 * @returns what is wrong first; nothing is open then
 * @throws StoreError
 */
export function layGround(
  configuration: Configuration,
  options: GatewayOptions,
  onClose: OnClose,
): Outcome<Ground, CodedError> {
  const { log } = options;
  const clock = systemClock(options.buildTimeMs);
  const names = parseNames(configuration.names);
  if (!names.ok) return names;
  const signatureKeys = readSignatureKeys(configuration);
  if (!signatureKeys.ok) return signatureKeys;
  const tls = readTlsFiles(configuration, process.getuid?.() ?? 0);
  if (!tls.ok) return tls;
  const places = preparePlaces(configuration);
  if (!places.ok) return places;
  const deviceId = resolveDevId(configuration.device);
  if (!deviceId.ok) return deviceId;
  const lan = Prefixes.of(configuration.lan.prefixes);
  const { store, fresh } = openOrReplace({
    file: join(configuration.stateDir, 'dmgw.db'),
    schema: databaseSchema,
    log: log('store'),
    cacheKib: configuration.store.databaseCacheKiB,
  });
  onClose(() => store.close());
  const settings = new Settings({
    store,
    log: log('settings'),
    configured: tunableValues(configuration),
    locked: configuration.settings.locked,
  });
  return success({
    ...options,
    configuration,
    clock,
    randomBytes: (bytes) => lateCrypto().randomBytes(bytes),
    names: names.value,
    signatureKeys: signatureKeys.value,
    tls: tls.value,
    deviceId: deviceId.value,
    lan,
    store,
    fresh,
    settings,
    onClose,
    onFault: (thrown) => {
      log('gateway').error('a part of the gateway failed', { reason: describeThrown(thrown) });
      options.onFatal(thrown);
    },
  });
}
