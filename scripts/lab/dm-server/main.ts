import { parseArgs } from 'node:util';
import { readConfig } from './config.js';
import { startDmServer } from './server.js';

const USAGE = 'usage: dm-server --config FILE';

/** Runs until SIGTERM, SIGINT or `POST /stop`; one JSON line on standard output says that it is ready. */
async function main(): Promise<void> {
  const { values } = parseArgs({ options: { config: { type: 'string' } } });
  if (values.config === undefined) throw new Error(USAGE);
  const server = await startDmServer(readConfig(values.config));
  process.stdout.write(`${JSON.stringify({ ready: true, url: server.url, adminUrl: server.adminUrl })}\n`);
  const signalled = new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  await Promise.race([signalled, server.stopAsked]);
  await server.close();
}

main().then(
  () => process.exit(0),
  (thrown: unknown) => {
    process.stderr.write(`dm-server: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
    process.exit(2);
  },
);
