import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import type { REPORT_FORMAT } from './reports.js';

/** What somebody has told the gateway of its link; `auto`: nothing, it looks for itself (`retrieve.meteredFile`). */
export type MeteredSetting = 'on' | 'off' | 'auto';

const SETTINGS: readonly unknown[] = ['on', 'off', 'auto'] satisfies MeteredSetting[];

export function isMeteredSetting(value: unknown): value is MeteredSetting {
  return SETTINGS.includes(value);
}

/** What counts now. */
export interface MeteredReport {
  readonly format: typeof REPORT_FORMAT;
  readonly set: MeteredSetting;
  /** Null: nothing tells. */
  readonly metered: boolean | null;
}

/** Reads what `POST /metered` says: `{"set": "on"}`. */
export function checkMetered(value: unknown): Outcome<MeteredSetting, CodedError<'bad-setting'>> {
  const { set } = typeof value === 'object' && value !== null ? (value as { readonly set?: unknown }) : {};
  return isMeteredSetting(set) ? success(set) : failure('bad-setting', 'metered is on, off or auto');
}

/** The report as text, for people. */
export function renderMetered({ metered, set }: MeteredReport): string {
  const link = metered === null ? 'nothing tells whether the link is metered' : metered ? 'metered' : 'not metered';
  return set === 'auto' ? `${link}\n` : `${link} (set; forgotten when the gateway ends)\n`;
}
