import type { Configuration, TunableKey, TunableValues } from '../config/index.js';
import type { Scheduler } from '../dm/index.js';
import type { BlobStore, Downloader } from '../image/index.js';
import type { FanoutDefaults } from '../notify/index.js';
import { windowsOf } from './retrieve.js';
import type { Settings } from '../settings/index.js';

const MIB = 1024 * 1024;

/** The parts that a setting changes while they run. */
interface Tuned {
  readonly blobs: Pick<BlobStore, 'setQuota'>;
  readonly downloader: Pick<Downloader, 'setRate' | 'setRatePerImage' | 'setWindows'>;
  readonly scheduler: Pick<Scheduler, 'setInterval'>;
}

/** Hands what is in force, and from now on each change of it, to the parts that keep a copy. */
export function applySettings(settings: Settings, configuration: Configuration, parts: Tuned): void {
  const { blobs, downloader, scheduler } = parts;
  const follow = <K extends TunableKey>(key: K, apply: (value: TunableValues[K]) => void): void => {
    apply(settings.get(key));
    settings.onChange(key, apply);
  };
  follow('store.quotaMiB', (mib) => blobs.setQuota(mib === 0 ? undefined : mib * MIB));
  follow('retrieve.maxBytesPerSecond', (rate) => downloader.setRate(rate));
  follow('retrieve.maxBytesPerSecondPerImage', (rate) => downloader.setRatePerImage(rate));
  follow('retrieve.windows', (windows) => downloader.setWindows(windowsOf(windows, configuration.retrieve.timeZone)));
  follow('session.intervalSeconds', (seconds) => {
    for (const { serverId, intervalSeconds } of configuration.accounts) {
      if (intervalSeconds === undefined) scheduler.setInterval(serverId, seconds * 1000);
    }
  });
}

/** What holds for a fanout that does not say otherwise: asked for whenever it matters. */
export function fanoutDefaults(settings: Settings): FanoutDefaults {
  return {
    get repeat() {
      return settings.get('fanout.repeat');
    },
    get interval() {
      return settings.get('fanout.intervalSeconds');
    },
    get lifetime() {
      return settings.get('fanout.lifetimeSeconds');
    },
    get rate() {
      return settings.get('fanout.ratePerSecond');
    },
  };
}
