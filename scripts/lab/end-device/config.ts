import { readFileSync } from 'node:fs';
import * as v from 'valibot';

const credentials = v.strictObject({
  scheme: v.picklist(['basic', 'md5', 'mac', 'none']),
  /** AAuthName. Default: the DevId for the client, the serverId for the server. */
  name: v.optional(v.string()),
  secret: v.optional(v.string(), ''),
  /** First nonce, base64; later ones are kept in the state directory. */
  nonce: v.optional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9+/]*={0,2}$/)), ''),
});

const configSchema = v.strictObject({
  /** DevInfo/DevId. */
  deviceId: v.pipe(v.string(), v.minLength(1)),
  /** The device's own address: notifications come to it, images are fetched from it. */
  bindAddress: v.pipe(v.string(), v.ip()),
  /** UDP port of notifications; 0: any free one. */
  udpPort: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_535)), 2948),
  /** Account, tree and alerts that wait; made where it is missing. */
  stateDir: v.string(),
  /** Images, complete and partial; made where it is missing. */
  imageDir: v.string(),
  /** One JSON line for each thing that happened. */
  logFile: v.string(),
  server: v.strictObject({
    url: v.pipe(v.string(), v.url()),
    serverId: v.pipe(v.string(), v.minLength(1)),
    /** Of the first message; then that in which the server answers. */
    encoding: v.optional(v.picklist(['xml', 'wbxml']), 'xml'),
    /** How the device proves itself (CLCRED). */
    client: credentials,
    /** How the server proves itself, in sessions and notifications (SRVCRED). */
    server: credentials,
  }),
  options: v.optional(
    v.strictObject({
      /** Percentage of datagrams that do not reach the device; the same ones in each run. */
      dropPercent: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(100)), 0),
      /** The device sleeps until it is woken: no datagram reaches it, and it does not announce itself. */
      asleep: v.optional(v.boolean(), false),
      /** Its first notification is lost, because it has gone to this address, where it listens and announces itself then. */
      moveTo: v.optional(v.pipe(v.string(), v.ip())),
      /** What reaches it comes twice, and it announces itself twice. */
      duplicates: v.optional(v.boolean(), false),
      /** Announces itself by mDNS on loopback: DevId, and the SessionID that it acted on last. */
      announce: v.optional(v.boolean(), false),
      /** Longest wait of a finished download before the session that reports it. */
      reportDelayMs: v.optional(v.pipe(v.number(), v.minValue(0)), 100),
      /** Silence of the download server that counts as a broken connection. */
      idleTimeoutMs: v.optional(v.pipe(v.number(), v.minValue(100)), 30_000),
      /** Tries of a download in a row that bring no byte, before it has failed. */
      fruitlessTries: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), 20),
      /** Longest wait between two tries, also where the server asks for more. */
      maxRetryDelayMs: v.optional(v.pipe(v.number(), v.minValue(1)), 5000),
    }),
    {},
  ),
});

export type EndDeviceConfig = v.InferOutput<typeof configSchema>;

/** Checks a configuration. @throws with one line that says what is wrong */
export function parseConfig(value: unknown, where: string): EndDeviceConfig {
  const parsed = v.safeParse(configSchema, value);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new Error(`${where}: ${v.getDotPath(issue) ?? 'configuration'}: ${issue.message}`);
}

/** Reads a configuration file. @throws with one line that says what is wrong */
export function readConfig(file: string): EndDeviceConfig {
  return parseConfig(JSON.parse(readFileSync(file, 'utf8')), file);
}
