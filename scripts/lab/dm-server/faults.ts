import * as v from 'valibot';

/** For the next so many occasions. */
const times = v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), 1);
/** Only for this device; absent: for any. */
const deviceId = v.optional(v.string());

const faultSchema = v.variant('kind', [
  /** Answers a message with this HTTP status, unread. */
  v.strictObject({
    kind: v.literal('http-status'),
    status: v.pipe(v.number(), v.integer(), v.minValue(300), v.maxValue(599)),
    retryAfterSeconds: v.optional(v.number()),
    times,
    deviceId,
  }),
  /** Closes the connection instead of reading the message. */
  v.strictObject({ kind: v.literal('close'), times, deviceId }),
  /** Does what the message says, then closes the connection instead of answering. */
  v.strictObject({ kind: v.literal('lose-answer'), times, deviceId }),
  /** Answers so much later, in ms. */
  v.strictObject({ kind: v.literal('delay'), ms: v.pipe(v.number(), v.minValue(0)), times, deviceId }),
  /** Refuses right credentials with 401 and a new nonce. */
  v.strictObject({ kind: v.literal('challenge'), times, deviceId }),
  /** Proves itself with a wrong secret. */
  v.strictObject({ kind: v.literal('wrong-credentials'), times, deviceId }),
  /** Answers a generic alert with this Status. */
  v.strictObject({
    kind: v.literal('alert-status'),
    status: v.pipe(v.number(), v.integer(), v.minValue(200), v.maxValue(599)),
    times,
    deviceId,
  }),
  /** Answers with octets that are no message. */
  v.strictObject({ kind: v.literal('garbage'), times, deviceId }),
  /** Answers under another SessionID. */
  v.strictObject({ kind: v.literal('wrong-session'), times, deviceId }),
]);

export type Fault = v.InferOutput<typeof faultSchema>;

/** Body of `POST /faults`: adds faults; `clear` removes those that are left first. */
export const faultsSchema = v.strictObject({
  clear: v.optional(v.boolean(), false),
  faults: v.optional(v.array(faultSchema), []),
});

/** Misbehaviour on request: each fault happens a number of times, at the next occasions. */
export class Faults {
  #left: Fault[] = [];

  add(faults: readonly Fault[], clear: boolean): void {
    this.#left = [...(clear ? [] : this.#left), ...faults];
  }

  /** What is still to happen. */
  get left(): readonly Fault[] {
    return this.#left;
  }

  /** The fault of this kind for this device, used up by one; undefined when there is none. */
  take<K extends Fault['kind']>(kind: K, deviceId: string): Extract<Fault, { kind: K }> | undefined {
    const index = this.#left.findIndex(
      (fault) => fault.kind === kind && (fault.deviceId === undefined || fault.deviceId === deviceId),
    );
    const found = this.#left[index];
    if (!found) return undefined;
    if (found.times > 1) this.#left[index] = { ...found, times: found.times - 1 };
    else this.#left.splice(index, 1);
    return found as Extract<Fault, { kind: K }>;
  }
}
