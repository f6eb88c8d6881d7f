import { readFileSync } from 'node:fs';
import * as v from 'valibot';

const credentialsSchema = v.strictObject({
  /** `mac`: every message is sealed by an `x-syncml-hmac` header. */
  scheme: v.picklist(['basic', 'md5', 'mac', 'none']),
  /** AAuthName. Default: the DevId for the client, the serverId for the server. */
  name: v.optional(v.string()),
  secret: v.optional(v.string(), ''),
  /** First nonce, base64; the state file keeps the later ones. */
  nonce: v.optional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9+/]*={0,2}$/)), ''),
});

const port = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_535));

const accountSchema = v.strictObject({
  /** DevId: Source/LocURI of the device's messages. */
  deviceId: v.pipe(v.string(), v.minLength(1)),
  /** How the device proves itself to the server (CLCRED). */
  client: credentialsSchema,
  /** How the server proves itself to the device (SRVCRED); its secret signs the notifications. */
  server: credentialsSchema,
  /** SyncHdr is answered 200 instead of 212: the device proves itself in every message, with a new nonce each time. */
  proofPerMessage: v.optional(v.boolean(), false),
});

const configSchema = v.strictObject({
  /** Identifier of this server in notifications and in the DMAcc of its devices. */
  serverId: v.pipe(v.string(), v.minLength(1), v.maxLength(255)),
  host: v.optional(v.string(), '127.0.0.1'),
  /** Of the sessions; 0: any free one. */
  port: v.optional(port, 0),
  /** Of the admin API, on 127.0.0.1; 0: any free one. */
  adminPort: v.optional(port, 0),
  /** One JSON line for each thing that happened. */
  logFile: v.string(),
  /** Every message in full goes to the log, credentials cut out. */
  logMessages: v.optional(v.boolean(), false),
  /** Nonces survive a restart in this file; absent: they do not. */
  stateFile: v.optional(v.string()),
  /** Largest message taken from a device, in octets; announced in every message. */
  maxMsgSize: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1024), v.maxValue(16 * 1024 * 1024)), 65_536),
  /** Longest value taken in chunks, in octets as they stand in the messages; announced in every message. */
  maxObjSize: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1024), v.maxValue(64 * 1024 * 1024)), 1024 * 1024),
  /** URL under which devices reach this server; absent: made of host and port. */
  publicUrl: v.optional(v.pipe(v.string(), v.url())),
  /** Every answer names a RespURI of its session. */
  respUri: v.optional(v.boolean(), false),
  /** A session without a message for so long is over. */
  sessionTimeoutMs: v.optional(v.pipe(v.number(), v.minValue(100)), 120_000),
  accounts: v.array(accountSchema),
});

export type DmServerConfig = v.InferOutput<typeof configSchema>;
export type DeviceAccount = DmServerConfig['accounts'][number];
export type Credentials = DeviceAccount['client'];

/** Checks a configuration. @throws with one line that says what is wrong */
export function parseConfig(value: unknown, where: string): DmServerConfig {
  const parsed = v.safeParse(configSchema, value);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new Error(`${where}: ${v.getDotPath(issue) ?? 'configuration'}: ${issue.message}`);
}

/** Reads the configuration file. @throws with one line that says what is wrong */
export function readConfig(file: string): DmServerConfig {
  return parseConfig(readJson(file), file);
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (thrown) {
    const text = thrown instanceof Error ? thrown.message : String(thrown);
    // A parser quotes what it has found, over several lines.
    throw new Error(`${file}: ${text.replace(/\s+/g, ' ')}`);
  }
}
