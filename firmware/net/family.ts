import { isIPv4 } from 'node:net';

/**
 * The version of an IP address as text, 0 when it is none; a zone (`%eth0`) may stand behind IPv6.
 * As `isIP` of Node.js, whose expression for IPv6 becomes half a megabyte of code when it is used.
 */
export function ipFamily(text: string): 0 | 4 | 6 {
  if (!text.includes(':')) return isIPv4(text) ? 4 : 0;
  const [, address] = /^([\da-f:.]+)(?:%[\da-z.:-]+)?$/i.exec(text) ?? [];
  return address !== undefined && URL.canParse(`http://[${address}]`) ? 6 : 0;
}
