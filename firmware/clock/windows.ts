import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { weekdayOf, type TimeZone } from './zone.js';

const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;
const DAY_MS = DAY_MINUTES * MINUTE_MS;

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

/** Open on its days from one minute of the local day up to another, which may lie in the next day. */
interface Window {
  /** By weekday, 0: Sunday. */
  readonly days: readonly boolean[];
  readonly fromMinute: number;
  /** Exclusive; beyond 24:00 where it lies in the next day. */
  readonly toMinute: number;
}

/**
 * Times of the week, by the local wall clock: an hour that the clock skips in spring is skipped, one that it repeats in
 * autumn is open twice.
 */
export class WeeklyWindows {
  private constructor(
    private readonly windows: readonly Window[],
    private readonly zone: TimeZone,
  ) {}

  /**
   * @param texts at least one of `22:00-06:00`, `Sat,Sun 00:00-24:00`, `Mon-Fri 01:30-05:00`; a window over midnight
   *   belongs to the day on which it begins
   */
  static parse(texts: readonly string[], zone: TimeZone): Outcome<WeeklyWindows, CodedError<'bad-window'>> {
    const windows: Window[] = [];
    for (const text of texts) {
      const window = parseWindow(text);
      if (!window) return failure('bad-window', `'${text}' is not a window such as Mon-Fri 22:00-06:00`);
      windows.push(window);
    }
    return success(new WeeklyWindows(windows, zone));
  }

  isOpen(utcMs: number): boolean {
    const localMs = utcMs + this.zone.offsetMs(utcMs);
    const day = Math.floor(localMs / DAY_MS);
    const minute = (localMs - day * DAY_MS) / MINUTE_MS;
    return this.windows.some(
      ({ days, fromMinute, toMinute }) =>
        (days[weekdayOf(day)] === true && fromMinute <= minute && minute < toMinute) ||
        (days[weekdayOf(day - 1)] === true && minute + DAY_MINUTES < toMinute),
    );
  }

  /** The next instant at which `isOpen` changes; undefined when it never does. */
  nextChangeMs(utcMs: number): number | undefined {
    const open = this.isOpen(utcMs);
    return this.#boundaries(utcMs).find((atMs) => atMs > utcMs && this.isOpen(atMs) !== open);
  }

  /** An instant for people: `2026-03-01 22:00 (UTC+01:00)`. */
  format(utcMs: number): string {
    const offsetMs = this.zone.offsetMs(utcMs);
    const minutes = Math.abs(Math.round(offsetMs / MINUTE_MS));
    const two = (number: number): string => String(number).padStart(2, '0');
    const offset = `UTC${offsetMs < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
    return `${new Date(utcMs + offsetMs).toISOString().slice(0, 16).replace('T', ' ')} (${offset})`;
  }

  /** Every instant of the coming week at which something can change, in order. */
  #boundaries(utcMs: number): number[] {
    const today = Math.floor(utcMs / DAY_MS);
    const instants = this.zone.changesAround(utcMs);
    for (let day = today - 2; day <= today + 9; day += 1) {
      for (const { fromMinute, toMinute } of this.windows) {
        for (const minute of [fromMinute, toMinute]) {
          const localMs = day * DAY_MS + minute * MINUTE_MS;
          for (const offsetMs of this.zone.offsetsMs) instants.push(localMs - offsetMs);
        }
      }
    }
    return instants.sort((a, b) => a - b);
  }
}

function parseWindow(text: string): Window | undefined {
  const [, days, from, to] = /^(?:([a-z,-]{3,40}) )?(\d\d:\d\d)-(\d\d:\d\d)$/.exec(text.toLowerCase()) ?? [];
  const fromMinute = minuteOf(from ?? '');
  const endMinute = minuteOf(to ?? '');
  const onDays = days === undefined ? DAYS.map(() => true) : parseDays(days);
  if (fromMinute === undefined || endMinute === undefined || !onDays) return undefined;
  if (fromMinute === endMinute || fromMinute === DAY_MINUTES) return undefined;
  return { days: onDays, fromMinute, toMinute: endMinute > fromMinute ? endMinute : endMinute + DAY_MINUTES };
}

/** `mon-fri,sun`; a range may pass the end of the week (`fri-mon`). */
function parseDays(text: string): boolean[] | undefined {
  const days = DAYS.map(() => false);
  for (const part of text.split(',')) {
    const [first, last = first, ...more] = part.split('-').map((name) => DAYS.findIndex((day) => day === name));
    if (first === undefined || last === undefined || first < 0 || last < 0 || more.length > 0) return undefined;
    for (let day = first; ; day = (day + 1) % 7) {
      days[day] = true;
      if (day === last) break;
    }
  }
  return days;
}

/** 00:00 to 24:00. */
function minuteOf(time: string): number | undefined {
  const [hours = Number.NaN, minutes = Number.NaN] = time.split(':').map(Number);
  const minute = hours * 60 + minutes;
  return minutes < 60 && minute <= DAY_MINUTES ? minute : undefined;
}
