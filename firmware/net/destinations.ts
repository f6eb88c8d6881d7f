import { canonicalAddress, NOT_GLOBAL_PREFIXES, Prefixes } from './prefixes.js';

/** Says whether an address may be connected to. It is asked about the very address that the socket then uses. */
export type AddressFilter = (address: string) => boolean;

/** Says whether a URL may name this host, as `URL` gives it. */
export type HostFilter = (hostname: string) => boolean;

export interface WanRanges {
  /** The LAN: not the internet, whatever its addresses look like. */
  readonly lan: Prefixes;
  /** Addresses that are reached although they are not global. */
  readonly allow: Prefixes;
  /** Addresses that are never reached; stronger than `allow`. */
  readonly deny: Prefixes;
}

/**
 * Where an image of the internet may come from: no address of this host, of a private network or of the LAN but those
 * that are allowed, and none that is denied. An IPv4 address behind a NAT64 translator counts as itself too.
 */
export function wanAddresses({ lan, allow, deny }: WanRanges): AddressFilter {
  return (address) => {
    const forms = [address, ...behindTranslator(address)];
    const isIn = (prefixes: Prefixes): boolean => forms.some((form) => prefixes.contains(form));
    if (isIn(deny)) return false;
    return isIn(allow) || !(isIn(notGlobal()) || isIn(lan));
  };
}

let notGlobalPrefixes: Prefixes | undefined;
/** Made by the first who asks: that is long after the start, which it would take a thirtieth longer. */
const notGlobal = (): Prefixes => (notGlobalPrefixes ??= Prefixes.of(NOT_GLOBAL_PREFIXES));

/** The IPv4 address that a NAT64 translator reaches under an IPv6 address of the well-known prefix (RFC 6052 §2.1). */
function behindTranslator(address: string): string[] {
  const last = /^64:ff9b::(?:([0-9a-f]{1,4}):)?([0-9a-f]{1,4})$/.exec(canonicalAddress(address));
  return last ? [canonicalAddress(`::ffff:${last[1] ?? '0'}:${last[2] ?? '0'}`)] : [];
}
