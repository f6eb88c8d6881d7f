import type { Clock, WeeklyWindows } from '../clock/index.js';
import type { CodedError } from '../outcome/index.js';
import type { ImageRecord } from './image.js';

/** What somebody says of the link, until the process ends; `auto`: nothing, `metered` of the options counts. */
export type MeteredSetting = 'on' | 'off' | 'auto';

/** Why an image is not retrieved now, though nothing is wrong with it or its server. */
export type Hold = CodedError<'clock' | 'window' | 'metered'>;

export interface ConditionsOptions {
  readonly clock: Clock;
  /** When images may come in. Default always. */
  readonly windows?: WeeklyWindows;
  /** Says whether the link is metered now. Default never. */
  readonly metered?: () => boolean;
  /** Images of this Priority or more come in over a metered link too. Default none. */
  readonly meteredMinPriority?: number;
}

/** What the conditions are; null where none are set, or where the clock cannot tell yet. */
export interface ConditionsReport {
  readonly metered: boolean | null;
  readonly windowOpen: boolean | null;
  /** Wall time at which the window opens or closes. */
  readonly windowChangesMs: number | null;
}

/** Whether the line and the hour allow a retrieval. What was seen counts until the next `look`. */
export class Conditions {
  #metered = false;
  #meteredSetting: MeteredSetting = 'auto';
  #windows: WeeklyWindows | undefined;

  constructor(private readonly o: ConditionsOptions) {
    this.#windows = o.windows;
    this.look();
  }

  /** False when nothing here can ever hold an image. */
  get any(): boolean {
    return this.#windows !== undefined || this.#tellsMetered;
  }

  get meteredSetting(): MeteredSetting {
    return this.#meteredSetting;
  }

  get #tellsMetered(): boolean {
    return this.o.metered !== undefined || this.#meteredSetting !== 'auto';
  }

  /** It counts at once, before what looks. */
  setMetered(setting: MeteredSetting): void {
    this.#meteredSetting = setting;
    this.look();
  }

  /** Other windows from now on; undefined: always. */
  setWindows(windows: WeeklyWindows | undefined): void {
    this.#windows = windows;
  }

  look(): void {
    const seen = (): boolean => this.o.metered?.() ?? false;
    this.#metered = this.#meteredSetting === 'auto' ? seen() : this.#meteredSetting === 'on';
  }

  /** Undefined when the image may come in now. */
  holdOf({ leaves: { priority } }: ImageRecord): Hold | undefined {
    const { clock, meteredMinPriority } = this.o;
    const windows = this.#windows;
    if (this.#metered && (meteredMinPriority === undefined || (priority ?? 0) < meteredMinPriority)) {
      return { code: 'metered', text: 'the link is metered' };
    }
    if (!windows) return undefined;
    if (!clock.plausible()) {
      return { code: 'clock', text: 'the clock is not set: nobody knows whether the download window is open' };
    }
    const nowMs = clock.wallMs();
    if (windows.isOpen(nowMs)) return undefined;
    const opensMs = windows.nextChangeMs(nowMs);
    const when = opensMs === undefined ? 'never opens' : `opens at ${windows.format(opensMs)}`;
    return { code: 'window', text: `the download window ${when}` };
  }

  report(): ConditionsReport {
    const { clock } = this.o;
    const nowMs = clock.wallMs();
    const known = clock.plausible() ? this.#windows : undefined;
    return {
      metered: this.#tellsMetered ? this.#metered : null,
      windowOpen: known?.isOpen(nowMs) ?? null,
      windowChangesMs: known?.nextChangeMs(nowMs) ?? null,
    };
  }
}
