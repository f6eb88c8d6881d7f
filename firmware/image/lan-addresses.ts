import type { NetworkInterfaceInfo } from 'node:os';
import type { Prefixes } from '../net/index.js';

/** The interfaces of this machine and their addresses now, as `os.networkInterfaces` tells them. */
export type Interfaces = () => Readonly<Partial<Record<string, readonly NetworkInterfaceInfo[]>>>;

/** An interface has at most so many addresses on which images are served. */
const MAX_ADDRESSES = 8;

/**
 * The addresses of some interfaces that lie in the LAN, in the order of the names; none of an interface that is not
 * there. Link-local IPv6 is left out: its URL would need the name of the reader's interface (RFC 6874).
 */
export function lanAddresses(names: readonly string[], lan: Prefixes, interfaces: Interfaces): string[] {
  const all = interfaces();
  const found = names.flatMap((name) =>
    (all[name] ?? [])
      .filter(({ address, family, scopeid }) => lan.contains(address) && (family === 'IPv4' || !scopeid))
      .slice(0, MAX_ADDRESSES)
      .map(({ address }) => address),
  );
  return [...new Set(found)];
}
