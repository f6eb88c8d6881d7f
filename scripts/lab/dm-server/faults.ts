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
  /** Leaves its proof out: no Cred, no x-syncml-hmac. */
  v.strictObject({ kind: v.literal('no-credentials'), times, deviceId }),
  /** Answers in the other encoding than that of the request. */
  v.strictObject({ kind: v.literal('other-encoding'), times, deviceId }),
  /** Announces a Size of so many octets beside the truth with the next large object. */
  v.strictObject({
    kind: v.literal('wrong-size'),
    by: v.optional(v.pipe(v.number(), v.integer()), 1),
    times,
    deviceId,
  }),
  /** Announces no Size with the next large object. */
  v.strictObject({ kind: v.literal('no-size'), times, deviceId }),
  /** Sends a Get between two chunks of a large object. */
  v.strictObject({ kind: v.literal('command-between-chunks'), times, deviceId }),
  /** Ends the package with a chunk that is not the last one. */
  v.strictObject({ kind: v.literal('early-final'), times, deviceId }),
  /** Sends one chunk of a large object, then the next command and the end of the package, as if it were complete. */
  v.strictObject({ kind: v.literal('cut-object'), times, deviceId }),
  /** Sends a large object although it is longer than the MaxObjSize of the device. */
  v.strictObject({ kind: v.literal('ignore-max-obj-size'), times, deviceId }),
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
