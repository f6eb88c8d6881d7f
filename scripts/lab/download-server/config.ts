import { readFileSync } from 'node:fs';
import * as v from 'valibot';
import { faultSchema, offerSchema, readAs } from './admin-messages.js';

const configSchema = v.strictObject({
  /** Address to listen on, for downloads and for the admin API. */
  host: v.optional(v.string(), '127.0.0.1'),
  /** 0: any free one. */
  port: v.optional(v.number(), 0),
  adminPort: v.optional(v.number(), 0),
  /** Folder whose files are offered under their own names, beside `files`. */
  root: v.optional(v.string()),
  files: v.optional(v.array(offerSchema), []),
  /** One JSON line per reply. */
  logFile: v.string(),
  /** For all replies together, as a WAN link; 0: unlimited. */
  rateBytesPerSecond: v.optional(v.pipe(v.number(), v.minValue(0)), 0),
  faults: v.optional(v.array(faultSchema), []),
});

export type DownloadServerConfig = v.InferOutput<typeof configSchema>;

/** Reads the configuration file. @throws with one line that says what is wrong */
export function readConfig(file: string): DownloadServerConfig {
  return readAs(configSchema, JSON.parse(readFileSync(file, 'utf8')), file);
}
