const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const MONTH = `(?<month>${MONTHS.join('|')})`;
const TIME = String.raw`(?<hour>[01]\d|2[0-3]):(?<minute>[0-5]\d):(?<second>[0-5]\d|60)`;

/** RFC 9110 §5.6.7: the one form to send and two obsolete ones that must be understood. */
const FORMS = [
  new RegExp(String.raw`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?<day>\d\d) ${MONTH} (?<year>\d{4}) ${TIME} GMT$`),
  new RegExp(String.raw`^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?<day>\d\d)-${MONTH}-(?<year>\d\d) ${TIME} GMT$`),
  new RegExp(String.raw`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ${MONTH} (?<day>[ \d]\d) ${TIME} (?<year>\d{4})$`),
];
/** Two digits of a year below this are of this century; a fixed pivot, as the clock may not be set. */
const CENTURY_PIVOT = 70;

/** Milliseconds since 1970 of an HTTP-date; undefined for any other text. */
export function parseHttpDate(text: string): number | undefined {
  for (const form of FORMS) {
    const found = form.exec(text)?.groups;
    if (!found) continue;
    const { year = '', month = '', day = '', hour = '', minute = '', second = '' } = found;
    return Date.UTC(
      year.length === 2 ? fullYear(Number(year)) : Number(year),
      MONTHS.indexOf(month),
      Number(day),
      Number(hour),
      Number(minute),
      Number(second),
    );
  }
  return undefined;
}

function fullYear(twoDigits: number): number {
  return twoDigits + (twoDigits < CENTURY_PIVOT ? 2000 : 1900);
}
