/**
 * A download server for ImageURI, with faults on request: `download-server --config FILE`.
 * Prints one line of JSON, {"ready":true,"url":...,"adminUrl":...}, when it listens. Ends on SIGTERM and SIGINT.
 */
import { parseArgs } from 'node:util';
import { readConfig } from './config.js';
import { startDownloadServer } from './server.js';

const { values } = parseArgs({ options: { config: { type: 'string' } } });
if (values.config === undefined) {
  process.stderr.write('usage: download-server --config FILE\n');
  process.exit(2);
}
const server = await startDownloadServer(readConfig(values.config));
process.stdout.write(`${JSON.stringify({ ready: true, url: server.url, adminUrl: server.adminUrl })}\n`);
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    server.close();
    process.exit(0);
  });
}
