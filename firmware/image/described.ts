import type { IncomingHttpHeaders } from 'node:http';
import { mediaTypeOf, type Descriptor } from './descriptor.js';
import { fault, PORTAL_FAULT, type Fault } from './fault.js';
import { isWebPage } from './portal.js';

/** A download descriptor that stands at a mirror; `fresh` until a pause: what it names may be good for a while only. */
export interface Described extends Descriptor {
  readonly mirror: string;
  fresh: boolean;
}

/** As for redirects: what came by https does not lead to http. @param allowDowngrade unless that is allowed */
export function mayLeadTo(from: URL, to: string | undefined, allowDowngrade: boolean): boolean {
  return allowDowngrade || from.protocol !== 'https:' || to === undefined || to.startsWith('https:');
}

/** What in a reply contradicts the download descriptor (DLOTA 905); undefined: nothing. */
export function mismatch(
  descriptor: Descriptor,
  headers: IncomingHttpHeaders,
  total: number | undefined,
): Fault | undefined {
  const type = mediaTypeOf(headers);
  if (type !== undefined && !descriptor.types.includes(type)) {
    if (isWebPage(type)) return PORTAL_FAULT;
    const expected = descriptor.types.join(', ');
    return fault('descriptor-mismatch', 'fail', `the object is ${type}, its download descriptor says ${expected}`);
  }
  return total === undefined || total === descriptor.size ? undefined : sizeMismatch(descriptor);
}

export function sizeMismatch({ size }: Descriptor): Fault {
  return fault('descriptor-mismatch', 'fail', `the object has not the ${size} bytes that its download descriptor says`);
}
