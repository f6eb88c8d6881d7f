import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

/** The day of a change, and how long after its midnight by the local clock. */
interface Rule {
  /** Days since 1970 of that day in a year. */
  readonly dayIn: (year: number) => number;
  readonly timeMs: number;
}

interface Summer {
  readonly offsetMs: number;
  readonly start: Rule;
  readonly end: Rule;
}

/**
 * A time zone by its rule, as POSIX writes it in TZ (IEEE Std 1003.1 §8.3, with the hours of RFC 9636 §3.3.1):
 * `CET-1CEST,M3.5.0,M10.5.0/3`. Needs no data of the system and no Intl, and knows no history: the rule holds for all years.
 */
export class TimeZone {
  static readonly UTC = new TimeZone(0, undefined);

  private constructor(
    private readonly standardMs: number,
    private readonly summer: Summer | undefined,
  ) {}

  /** Fails with what is wrong. Summer time without its rules is refused: systems do not agree on them. */
  static parse(text: string): Outcome<TimeZone, CodedError<'bad-zone'>> {
    // The default: to compile the expression takes 1 ms of a start.
    if (text === 'UTC0') return success(TimeZone.UTC);
    const refused = (why: string): Outcome<never, CodedError<'bad-zone'>> =>
      failure('bad-zone', `'${text}' is not a time zone such as UTC0 or CET-1CEST,M3.5.0,M10.5.0/3: ${why}`);
    const [, standard, summerName, summerOffset, startText, endText] = ZONE.exec(text) ?? [];
    const westMs = standard === undefined ? undefined : durationMs(standard, MAX_OFFSET_HOURS);
    if (westMs === undefined) return refused('expected a name and how many hours it is behind UTC');
    if (summerName === undefined) return success(new TimeZone(0 - westMs, undefined));
    const summerWestMs = summerOffset === undefined ? westMs - HOUR_MS : durationMs(summerOffset, MAX_OFFSET_HOURS);
    if (summerWestMs === undefined) return refused('its summer offset is wrong');
    if (startText === undefined || endText === undefined) return refused('it has no rules for its summer time');
    const [start, end] = [parseRule(startText), parseRule(endText)];
    if (!start || !end) return refused('its rules are wrong');
    return success(new TimeZone(0 - westMs, { offsetMs: 0 - summerWestMs, start, end }));
  }

  /** How far the local clock is ahead of UTC at this instant, in ms; negative in the west. */
  offsetMs(utcMs: number): number {
    if (!this.summer) return this.standardMs;
    let isSummer = false;
    for (const { atMs, toSummer } of this.#around(utcMs)) if (atMs <= utcMs) isSummer = toSummer;
    return isSummer ? this.summer.offsetMs : this.standardMs;
  }

  /** Every offset that this zone ever has. */
  get offsetsMs(): readonly number[] {
    return this.summer ? [this.standardMs, this.summer.offsetMs] : [this.standardMs];
  }

  /** The instants in this year and those beside it at which the local clock is put forward or back, in order. */
  changesAround(utcMs: number): number[] {
    return this.#around(utcMs).map(({ atMs }) => atMs);
  }

  /** Of the year and those beside it: a rule may lead into the next or the last year. */
  #around(utcMs: number): { readonly atMs: number; readonly toSummer: boolean }[] {
    const { summer, standardMs } = this;
    if (!summer) return [];
    const year = new Date(utcMs).getUTCFullYear();
    return (
      [year - 1, year, year + 1]
        .flatMap((each) => [
          // The end is told by the summer clock, the start by the other one.
          { atMs: instantOf(summer.end, each) - summer.offsetMs, toSummer: false },
          { atMs: instantOf(summer.start, each) - standardMs, toSummer: true },
        ])
        // Where one summer ends as the next begins, it goes on.
        .sort((a, b) => a.atMs - b.atMs || Number(a.toSummer) - Number(b.toSummer))
    );
  }
}

const NAME = '(?:[A-Za-z]{3,16}|<[A-Za-z0-9+-]{3,16}>)';
const OFFSET = '[+-]?\\d{1,3}(?::\\d{1,2}){0,2}';
const RULE = '[JM]?[\\d.]{1,8}(?:/' + OFFSET + ')?';
const ZONE = new RegExp(`^${NAME}(${OFFSET})(?:(${NAME})(${OFFSET})?(?:,(${RULE}),(${RULE}))?)?$`);

const MAX_OFFSET_HOURS = 24;
/** RFC 9636 §3.3.1: the time of a rule may be some days before or after its day. */
const MAX_RULE_HOURS = 167;
const DEFAULT_RULE_TIME = '2';

/** `[+-]h[:m[:s]]` in ms; undefined when it is out of bounds. */
function durationMs(text: string, maxHours: number): number | undefined {
  const [hours = 0, minutes = 0, seconds = 0] = text.replace(/^[+-]/, '').split(':').map(Number);
  if (hours > maxHours || minutes > 59 || seconds > 59) return undefined;
  const ms = hours * HOUR_MS + minutes * 60_000 + seconds * 1000;
  return text.startsWith('-') ? 0 - ms : ms;
}

function parseRule(text: string): Rule | undefined {
  const [date = '', time = DEFAULT_RULE_TIME] = text.split('/');
  const timeMs = durationMs(time, MAX_RULE_HOURS);
  const dayIn = parseDay(date);
  return timeMs === undefined || !dayIn ? undefined : { dayIn, timeMs };
}

/** `Mm.w.d`, `Jn` (without 29 February) or `n` (with it, from 0). */
function parseDay(date: string): Rule['dayIn'] | undefined {
  const [, month, week, weekday] = (/^M(\d{1,2})\.([1-5])\.([0-6])$/.exec(date) ?? []).map(Number);
  if (month !== undefined && week !== undefined && weekday !== undefined) {
    if (month < 1 || month > 12) return undefined;
    return (year) => weekdayOfMonth(year, month, week, weekday);
  }
  const [, julian, day] = /^(J?)(\d{1,3})$/.exec(date) ?? [];
  if (julian === undefined || day === undefined) return undefined;
  const n = Number(day);
  if (julian === '') return n <= 365 ? (year) => dayNumber(year, 1) + n : undefined;
  const isAfterFebruary = n >= 60;
  if (n < 1 || n > 365) return undefined;
  return (year) => dayNumber(year, 1) + n - 1 + (isAfterFebruary && isLeap(year) ? 1 : 0);
}

/** Week 5 is the last one that has that weekday (0: Sunday). */
function weekdayOfMonth(year: number, month: number, week: number, weekday: number): number {
  const first = dayNumber(year, month);
  const next = dayNumber(year, month + 1);
  const day = first + ((weekday - weekdayOf(first) + 7) % 7) + (week - 1) * 7;
  return day < next ? day : day - 7;
}

/** Days since 1970 of the first of a month (1 to 13). */
function dayNumber(year: number, month: number): number {
  return Date.UTC(year, month - 1, 1) / DAY_MS;
}

/** 0: Sunday. @param day since 1970 */
export function weekdayOf(day: number): number {
  return (((day + 4) % 7) + 7) % 7;
}

function isLeap(year: number): boolean {
  return new Date(Date.UTC(year, 1, 29)).getUTCMonth() === 1;
}

/** As the local clock shows it, taken for UTC. */
function instantOf({ dayIn, timeMs }: Rule, year: number): number {
  return dayIn(year) * DAY_MS + timeMs;
}
