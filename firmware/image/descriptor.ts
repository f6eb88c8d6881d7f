import type { IncomingHttpHeaders } from 'node:http';
import { childrenNamed, parseXml, textOf, type DocumentLimits, type Element } from '../codec/index.js';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';

/** OMA Download 1.0 §5.2, facts 13: what stands in for an object, and says where it is. */
export interface Descriptor {
  /** Media types of the object, lower case, without parameters. */
  readonly types: readonly string[];
  /** Octets of the object. */
  readonly size: number;
  readonly objectUri: string;
  /** Where the end is to be reported. */
  readonly installNotifyUri: string | undefined;
}

export interface DescriptorError extends CodedError<'descriptor-invalid' | 'descriptor-version' | 'content-refused'> {
  /** Where that is to be reported, as far as the document tells. */
  readonly installNotifyUri?: string;
}

const DESCRIPTOR_TYPE = 'application/vnd.oma.dd+xml';

/** A descriptor is a few hundred octets; the texts for people in it may be long. */
export const DESCRIPTOR_LIMITS: DocumentLimits = { maxBytes: 16 * 1024, maxDepth: 8, maxElements: 256 };

/** What a gateway does not carry: descriptors of descriptors, and the object in one message with its descriptor. */
const REFUSED_TYPE = /^(application\/vnd\.oma\.dd2?\+xml|multipart\/.*)$/;

const MEDIA_TYPE = /^[a-z0-9!#$&^_.+-]{1,127}\/[a-z0-9!#$&^_.+-]{1,127}$/;

/** The media type of a reply, lower case, without parameters; undefined when it names none. */
export function mediaTypeOf(headers: IncomingHttpHeaders): string | undefined {
  const [type = ''] = (headers['content-type'] ?? '').split(';');
  return type.trim().toLowerCase() || undefined;
}

export function isDescriptor(headers: IncomingHttpHeaders): boolean {
  return mediaTypeOf(headers) === DESCRIPTOR_TYPE;
}

/** True for a descriptor and its object in one message (RFC 2387), which the standard also knows. */
export function isPackedDescriptor(headers: IncomingHttpHeaders): boolean {
  return /^\s*multipart\/related\s*;.*vnd\.oma\.dd\+xml/i.test(headers['content-type'] ?? '');
}

/**
 * Reads a download descriptor. Unknown elements are ignored.
 * @param base URL that the document came from, for references that are relative
 * @returns failure `descriptor-invalid` (DLOTA 906), `descriptor-version` (951) or `content-refused` (953)
 */
export function parseDescriptor(bytes: Uint8Array, base: URL): Outcome<Descriptor, DescriptorError> {
  const parsed = parseXml(bytes, DESCRIPTOR_LIMITS);
  if (!parsed.ok) return failure('descriptor-invalid', `the download descriptor is not readable: ${parsed.error.text}`);
  const media = parsed.value;
  if (media.name !== 'media') {
    return failure(
      'descriptor-invalid',
      `the download descriptor begins with '${media.name.slice(0, 32)}', not 'media'`,
    );
  }
  const notify = one(media, 'installNotifyURI');
  const installNotifyUri = notify === undefined ? undefined : httpReference(notify, base);
  const refused = (code: DescriptorError['code'], text: string): Outcome<never, DescriptorError> => ({
    ok: false,
    error: { code, text, ...(installNotifyUri !== undefined && { installNotifyUri }) },
  });

  const version = one(media, 'DDVersion') ?? '1.0';
  if (!/^1\.\d{1,3}$/.test(version)) {
    return refused('descriptor-version', 'the download descriptor has a DDVersion that is not 1.x');
  }
  const types = childrenNamed(media, 'type').map((type) => mediaTypeOf({ 'content-type': textOf(type) }) ?? '');
  if (types.length === 0 || !types.every((type) => MEDIA_TYPE.test(type))) {
    return refused('descriptor-invalid', 'the download descriptor names no usable type');
  }
  const size = one(media, 'size');
  if (size === undefined || !/^\d{1,15}$/.test(size)) {
    return refused('descriptor-invalid', 'the download descriptor names no usable size');
  }
  const object = one(media, 'objectURI');
  const objectUri = object === undefined ? undefined : httpReference(object, base);
  if (objectUri === undefined)
    return refused('descriptor-invalid', 'the download descriptor names no usable objectURI');
  const unsupported = types.find((type) => REFUSED_TYPE.test(type));
  if (unsupported !== undefined) return refused('content-refused', `an object of type ${unsupported} is not carried`);
  return success({ types, size: Number(size), objectUri, installNotifyUri });
}

/** The text of an element that may stand once: undefined when it is missing, empty when it is repeated. */
function one(media: Element, name: string): string | undefined {
  const [first, ...others] = childrenNamed(media, name);
  return first && (others.length > 0 ? '' : textOf(first).trim());
}

function httpReference(text: string, base: URL): string | undefined {
  if (text === '' || !URL.canParse(text, base.href)) return undefined;
  const url = new URL(text, base.href);
  return /^https?:$/.test(url.protocol) ? url.href : undefined;
}
