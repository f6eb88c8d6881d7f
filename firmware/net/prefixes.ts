import { BlockList } from 'node:net';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { ipFamily } from './family.js';

/**
 * Addresses that no image of the internet lives at: loopback, link-local, private, shared, multicast, unspecified,
 * documentation and translation ranges (RFC 6890, RFC 4193, RFC 4291, RFC 6598).
 */
export const NOT_GLOBAL_PREFIXES: readonly string[] = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  // Unspecified, loopback, and IPv4 addresses in obsolete wrappings (RFC 4291 §2.5.5.1, RFC 7915).
  '::/96',
  '::ffff:0:0:0/96',
  // NAT64 of the IPv4 ranges above: a translator in the network would lead there (RFC 6052).
  '64:ff9b::/104',
  '64:ff9b::a00:0/104',
  '64:ff9b::6440:0/106',
  '64:ff9b::7f00:0/104',
  '64:ff9b::a9fe:0/112',
  '64:ff9b::ac10:0/108',
  '64:ff9b::c0a8:0/112',
  '64:ff9b:1::/48',
  '100::/64',
  // Tunnels of the host itself that lead to IPv4 (Teredo, 6to4: RFC 4380, RFC 7526).
  '2001::/32',
  '2002::/16',
  '2001:db8::/32',
  '3fff::/20',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
];

/** A set of address prefixes, IPv4 and IPv6. An IPv4 address written as IPv6 (`::ffff:10.0.0.1`) counts as IPv4. */
export class Prefixes {
  /** Of the IPv6 prefixes: it takes a ms of a start. */
  #ipv6: BlockList | undefined;
  /** As numbers: asked for each datagram, where a list would make an object of the address. */
  readonly #ipv4: { readonly first: number; readonly last: number }[] = [];

  private constructor(readonly texts: readonly string[]) {}

  /** @param texts prefixes such as `192.168.1.0/24`, or single addresses; fails naming the first that is neither */
  static parse(texts: readonly string[]): Outcome<Prefixes, CodedError<'bad-prefix'>> {
    const prefixes = new Prefixes(texts);
    for (const text of texts) {
      const [address = '', bits, ...rest] = text.split('/');
      const family = ipFamily(address);
      const width = family === 4 ? 32 : 128;
      const length = bits === undefined ? width : /^\d{1,3}$/.test(bits) ? Number(bits) : -1;
      if (family === 0 || rest.length > 0 || length < 0 || length > width) {
        return failure('bad-prefix', `'${text}' is not an address prefix such as 192.168.1.0/24 or fd00::/8`);
      }
      if (family === 4) {
        const size = 2 ** (32 - length);
        const first = Math.floor(ipv4Number(address) / size) * size;
        prefixes.#ipv4.push({ first, last: first + size - 1 });
      } else {
        prefixes.#ipv6 ??= new BlockList();
        prefixes.#ipv6.addSubnet(address, length, 'ipv6');
      }
    }
    return success(prefixes);
  }

  /** As `parse`, for texts that are known to be good. @throws Error for any other */
  static of(texts: readonly string[]): Prefixes {
    const parsed = Prefixes.parse(texts);
    if (!parsed.ok) throw new Error(parsed.error.text);
    return parsed.value;
  }

  /** @param address IP address as text; a zone (`%eth0`) is ignored; anything else is in no prefix */
  contains(address: string): boolean {
    const canonical = ipFamily(address) === 4 ? address : canonicalAddress(address);
    const family = ipFamily(canonical);
    if (family === 4) {
      const number = ipv4Number(canonical);
      if (this.#ipv4.some(({ first, last }) => first <= number && number <= last)) return true;
    }
    // Of all IPv6 addresses, `::/0`, those that stand for IPv4 are some.
    return family !== 0 && this.#ipv6?.check(canonical, `ipv${family}`) === true;
  }
}

function ipv4Number(address: string): number {
  const [a = '', b = '', c = '', d = ''] = address.split('.');
  return ((Number(a) * 256 + Number(b)) * 256 + Number(c)) * 256 + Number(d);
}

/** One spelling per address: zone cut off, brackets removed, IPv6 in its short form, IPv4-mapped IPv6 as IPv4. */
export function canonicalAddress(address: string): string {
  const bare = address.replace(/^\[|\]$/g, '').replace(/%.*$/, '');
  if (ipFamily(bare) !== 6) return bare;
  // A URL's host has one spelling (RFC 5952).
  const short = new URL(`http://[${bare}]/`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short);
  if (!mapped?.[1] || !mapped[2]) return short;
  const high = Number.parseInt(mapped[1], 16);
  const low = Number.parseInt(mapped[2], 16);
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}
