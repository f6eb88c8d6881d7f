import type { IncomingHttpHeaders } from 'node:http';
import { redactUrl } from '../net/index.js';
import { DESCRIPTOR_LIMITS, mediaTypeOf, parseDescriptor, type Descriptor } from './descriptor.js';
import { fault, type Fault } from './fault.js';
import { DOUBTFUL_FAULT, isWebPage, mayBePortal, PORTAL_FAULT } from './portal.js';
import type { RetrievalKey } from './progress.js';
import { discard, readDocument, type RequestEnd } from './request.js';
import type { RetrievalOptions } from './retrieval-options.js';
import { noRoom } from './room.js';
import type { TryEnd } from './try.js';

/** A download descriptor that stands at a mirror; `fresh` until a pause: what it names may be good for a while only. */
export interface Described extends Descriptor {
  readonly mirror: string;
  fresh: boolean;
}

/** What a download descriptor that came has led to: its object can be asked for now, or the try ends. */
export type DescribedEnd = { readonly kind: 'described'; readonly described: Described } | TryEnd;

/** Reads the download descriptor that came, and does what it says, but for its object. */
export async function readDescribed(
  key: RetrievalKey,
  mirror: string,
  { reply, url }: Extract<RequestEnd, { kind: 'reply' }>,
  signal: AbortSignal,
  o: RetrievalOptions,
): Promise<DescribedEnd> {
  if (reply.status !== 200) {
    discard(reply);
    return { kind: 'more' };
  }
  const document = await readDocument(reply, DESCRIPTOR_LIMITS.maxBytes, signal, o);
  if (document === 'aborted') return { kind: 'stop' };
  if (!(document instanceof Uint8Array)) return document;
  const parsed = parseDescriptor(document, url);
  const notify = (parsed.ok ? parsed.value : parsed.error).installNotifyUri;
  const reported = mayLeadTo(url, notify, o.allowDowngrade) ? notify : undefined;
  const record = o.progress.described(key, reported, 'bad-reply');
  if (!record) return { kind: 'stop' };
  if (!parsed.ok) return fault(parsed.error.code, 'fail', parsed.error.text);
  const descriptor = parsed.value;
  o.log.info('a download descriptor names the image', {
    image: record.imageId,
    url: redactUrl(descriptor.objectUri),
    size_bytes: descriptor.size,
  });
  if (!mayLeadTo(url, descriptor.objectUri, o.allowDowngrade)) {
    return fault('bad-url', 'fail', 'a download descriptor of https names an object of http');
  }
  const refused = await noRoom(key.id, descriptor.size, o);
  if (refused) return refused;
  return { kind: 'described', described: { ...descriptor, mirror, fresh: true } };
}

/** As for redirects: what came by https does not lead to http. @param allowDowngrade unless that is allowed */
function mayLeadTo(from: URL, to: string | undefined, allowDowngrade: boolean): boolean {
  return allowDowngrade || from.protocol !== 'https:' || to === undefined || to.startsWith('https:');
}

/** What in a reply contradicts the download descriptor (DLOTA 905); undefined: nothing. */
export function mismatch(
  descriptor: Descriptor,
  headers: IncomingHttpHeaders,
  total: number | undefined,
): Fault | undefined {
  const type = mediaTypeOf(headers);
  const isOther = type !== undefined && !descriptor.types.includes(type);
  if (isOther && isWebPage(type)) return PORTAL_FAULT;
  const isOtherSize = total !== undefined && total !== descriptor.size;
  if ((isOther || isOtherSize) && mayBePortal(headers, total)) return DOUBTFUL_FAULT;
  if (isOther) {
    const expected = descriptor.types.join(', ');
    return fault('descriptor-mismatch', 'fail', `the object is ${type}, its download descriptor says ${expected}`);
  }
  return isOtherSize ? sizeMismatch(descriptor) : undefined;
}

export function sizeMismatch({ size }: Descriptor): Fault {
  return fault('descriptor-mismatch', 'fail', `the object has not the ${size} bytes that its download descriptor says`);
}
