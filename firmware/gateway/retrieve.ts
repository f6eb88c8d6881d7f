import { TimeZone, WeeklyWindows, type BackoffPolicy } from '../clock/index.js';
import type { Configuration } from '../config/index.js';
import { meteredSwitch, type DownloaderOptions } from '../image/index.js';
import type { Logger } from '../log/index.js';
import {
  Credentials,
  HostNames,
  Prefixes,
  proxyAuthorization,
  wanAddresses,
  type HttpAccess,
  type Proxy,
} from '../net/index.js';
import type { CodedError, Outcome } from '../outcome/index.js';

const MIB = 1024 * 1024;

/** What the downloader takes of the configuration. */
type RetrieveOptions = Pick<
  DownloaderOptions,
  | 'access'
  | 'allowDowngrade'
  | 'concurrency'
  | 'fsyncVolumeBytes'
  | 'idleTimeoutMs'
  | 'minBytesPerSecond'
  | 'maxBytesPerSecond'
  | 'backoff'
  | 'maxAttempts'
  | 'maxBytesPerSecondPerImage'
  | 'conditions'
>;

/**
 * The section `retrieve` of the configuration as the downloader wants it.
 * @param authorities as `readTlsFiles` gives them
 */
export function retrieveOptions(
  configuration: Configuration,
  authorities: ReadonlyMap<string, string>,
  log: Logger,
): RetrieveOptions {
  const { retrieve } = configuration;
  return {
    access: accessOf(configuration, authorities),
    allowDowngrade: retrieve.allowHttpsToHttp,
    concurrency: retrieve.concurrent,
    fsyncVolumeBytes: retrieve.fsyncVolumeMiB * MIB,
    idleTimeoutMs: retrieve.idleTimeoutSeconds * 1000,
    minBytesPerSecond: retrieve.minBytesPerSecond,
    maxBytesPerSecond: retrieve.maxBytesPerSecond,
    maxBytesPerSecondPerImage: retrieve.maxBytesPerSecondPerImage,
    conditions: conditionsOf(retrieve, log),
    backoff: backoff(retrieve),
    maxAttempts: retrieve.maxTriesWithoutProgress,
  };
}

function conditionsOf(
  { windows, timeZone, meteredFile, meteredMinPriority }: Configuration['retrieve'],
  log: Logger,
): NonNullable<RetrieveOptions['conditions']> {
  const weekly = windowsOf(windows, timeZone);
  return {
    ...(weekly && { windows: weekly }),
    ...(meteredFile !== undefined && { metered: meteredSwitch(meteredFile, log) }),
    ...(meteredMinPriority !== undefined && { meteredMinPriority }),
  };
}

/** The windows in which images may come in; undefined: always. Both have been checked. */
export function windowsOf(windows: readonly string[], timeZone: string): WeeklyWindows | undefined {
  return windows.length === 0 ? undefined : good(WeeklyWindows.parse(windows, good(TimeZone.parse(timeZone))));
}

/** @returns a Proxy; undefined where none is configured */
function proxyOf({ proxy }: Configuration['retrieve']): Proxy | undefined {
  const { url, name, secret } = proxy;
  if (url === undefined) return undefined;
  const authorization = name !== undefined && secret !== undefined ? proxyAuthorization(name, secret) : undefined;
  const except = good(HostNames.parse(proxy.exceptHosts));
  return {
    url: new URL(url),
    except: (hostname) => except.contains(hostname),
    ...(authorization !== undefined && { authorization }),
  };
}

function accessOf({ lan, retrieve }: Configuration, authorities: ReadonlyMap<string, string>): HttpAccess {
  const proxy = proxyOf(retrieve);
  const hosts = good(HostNames.parse(retrieve.allowHosts));
  return {
    allowAddress: wanAddresses({
      lan: Prefixes.of(lan.prefixes),
      allow: Prefixes.of(retrieve.allowPrefixes),
      deny: Prefixes.of(retrieve.denyPrefixes),
    }),
    ...(retrieve.allowHosts.length > 0 && { allowHost: (hostname: string) => hosts.contains(hostname) }),
    credentials: good(Credentials.of(retrieve.credentials)),
    ...(proxy && { proxy }),
    ...caOf(retrieve.caFile, authorities),
  };
}

/** The value of what the configuration's checks have let through. */
function good<T>(checked: Outcome<T, CodedError>): T {
  if (!checked.ok) throw new Error(checked.error.text);
  return checked.value;
}

/** @param from a section of the configuration that retries */
export function backoff(from: { readonly retryFirstSeconds: number; readonly retryMaxSeconds: number }): BackoffPolicy {
  return { firstMs: from.retryFirstSeconds * 1000, maxMs: from.retryMaxSeconds * 1000 };
}

/** The certificate authorities of a `caFile`. */
export function caOf(file: string | undefined, authorities: ReadonlyMap<string, string>): { ca?: string } {
  const ca = file === undefined ? undefined : authorities.get(file);
  return ca === undefined ? {} : { ca };
}
