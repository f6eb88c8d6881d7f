import * as v from 'valibot';

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

/** A file and the path of the URL under which it is offered. */
export const offerSchema = v.strictObject({
  path: v.pipe(v.string(), v.startsWith('/')),
  file: v.string(),
  contentType: v.optional(v.string(), 'application/octet-stream'),
  /** Instead of the ETag made of the file's identity: an origin that lies keeps it while the content changes. */
  etag: v.optional(v.string()),
});
export type Offer = v.InferOutput<typeof offerSchema>;

const where = {
  /** The path of the URL; `*` for all. */
  path: v.optional(v.string(), '*'),
  /** For the next so many requests; absent: until the faults are cleared. */
  times: v.optional(count),
};

/** A misbehaviour, where it happens and how often. Offsets and lengths in bytes. */
export const faultSchema = v.variant('kind', [
  /** Ends the connection after so many bytes of the body. `reset`: by RST, which may overtake bytes on the way. */
  v.strictObject({ ...where, kind: v.literal('cut'), afterBytes: count, reset: v.optional(v.boolean(), false) }),
  /** Ends the connection when the body reaches each of these offsets of the file, once per offset. */
  v.strictObject({
    ...where,
    kind: v.literal('cut-at'),
    offsets: v.array(count),
    /** From the first cut on, this is what its path offers. */
    thenOffer: v.optional(offerSchema),
  }),
  /** Falls silent after so many bytes of the body: for `ms`, or until the client has had enough. */
  v.strictObject({ ...where, kind: v.literal('stall'), afterBytes: count, ms: v.optional(count) }),
  v.strictObject({
    ...where,
    kind: v.literal('status'),
    status: v.pipe(v.number(), v.integer(), v.minValue(200), v.maxValue(599)),
    /** Retry-After, WWW-Authenticate, Location, Content-Type ... */
    headers: v.optional(v.record(v.string(), v.string()), {}),
    /** A page instead of the image, as a captive portal would send. */
    body: v.optional(v.string(), ''),
  }),
  /** Answers 200 with the whole file to a request for a range. */
  v.strictObject({ ...where, kind: v.literal('no-ranges') }),
  /** Marks the ETag as weak. */
  v.strictObject({ ...where, kind: v.literal('weak-etag') }),
  /** Sends neither ETag nor Last-Modified. */
  v.strictObject({ ...where, kind: v.literal('no-validator') }),
  /** Sends this Content-Range, whatever follows; null: none at all. */
  v.strictObject({ ...where, kind: v.literal('content-range'), value: v.nullable(v.string()) }),
  /** Starts the range so many bytes later than asked for, and says so. */
  v.strictObject({ ...where, kind: v.literal('shift'), bytes: count }),
]);
export type Fault = v.InferOutput<typeof faultSchema>;

export const rateSchema = v.strictObject({ bytesPerSecond: v.pipe(v.number(), v.minValue(0)) });

/** Reads a message or a configuration. @throws with one line that names the key and what is wrong */
export function readAs<S extends v.GenericSchema>(schema: S, value: unknown, what: string): v.InferOutput<S> {
  const parsed = v.safeParse(schema, value);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new Error(`${what}: ${v.getDotPath(issue) ?? 'all of it'}: ${issue.message}`);
}
