import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { ipFamily } from './family.js';
import { canonicalAddress } from './prefixes.js';

/** Labels of letters, digits, `-` and `_`; international names in their ASCII form (`xn--...`). */
const NAME = /^(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/** A set of hosts: names (`images.example.com`), every name below one (`*.example.com`), IP addresses. */
export class HostNames {
  readonly #hosts = new Set<string>();
  /** With their leading dot. */
  readonly #suffixes: string[] = [];

  private constructor() {}

  /** Fails naming the first text that has none of the forms. */
  static parse(texts: readonly string[]): Outcome<HostNames, CodedError<'bad-host'>> {
    const names = new HostNames();
    for (const text of texts) {
      const below = text.startsWith('*.');
      const host = canonicalHost(below ? text.slice(2) : text);
      const usable = below ? NAME.test(host) && ipFamily(host) === 0 : NAME.test(host) || ipFamily(host) !== 0;
      if (!usable) return failure('bad-host', `'${text}' is not a host such as images.example.com or *.example.com`);
      if (below) names.#suffixes.push(`.${host}`);
      else names.#hosts.add(host);
    }
    return success(names);
  }

  /** @param hostname of a URL, as `URL` gives it */
  contains(hostname: string): boolean {
    const host = canonicalHost(hostname);
    return this.#hosts.has(host) || (ipFamily(host) === 0 && this.#suffixes.some((suffix) => host.endsWith(suffix)));
  }
}

/** One spelling per host: lower case, without the root's dot; of addresses as in `canonicalAddress`. */
export function canonicalHost(hostname: string): string {
  return canonicalAddress(hostname.toLowerCase().replace(/\.$/, ''));
}
