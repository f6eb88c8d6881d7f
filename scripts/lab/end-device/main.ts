import { parseArgs } from 'node:util';
import { Announcer } from './announcer.js';
import { readConfig } from './config.js';
import { startEndDevice } from './device.js';

const USAGE = 'usage: end-device --config FILE [--config FILE]...';

/**
 * Plays one device per configuration until SIGTERM or SIGINT; one JSON line on standard output says that all wait. SIGUSR2
 * wakes those that sleep.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({ options: { config: { type: 'string', multiple: true } } });
  if (!values.config) throw new Error(USAGE);
  const announcer = new Announcer();
  const devices = await Promise.all(values.config.map((file) => startEndDevice(readConfig(file), announcer)));
  process.on('SIGUSR2', () => {
    for (const device of devices) device.wake();
  });
  const listed = devices.map(({ deviceId, address, udpPort }) => ({ deviceId, address, udpPort }));
  process.stdout.write(`${JSON.stringify({ ready: true, devices: listed })}\n`);
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  await Promise.all(devices.map((device) => device.close()));
  await announcer.close();
}

main().then(
  () => process.exit(0),
  (thrown: unknown) => {
    process.stderr.write(`end-device: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
    process.exit(2);
  },
);
