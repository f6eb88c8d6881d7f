import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { askStatus } from './ops/index.js';
import { runDaemon } from './run.js';

/**
 * Runs a gateway that has nothing to do, in a folder of its own and on loopback, until it has told its status: V8 keeps what
 * it has compiled, and compiles only what runs. Without it a start takes a fifth longer.
 * @param compiled gives what V8 has compiled by now
 * @throws Error where the gateway does not start, AddonError where an addon does not load
 */
export async function compileStart(compiled: () => Buffer): Promise<Buffer> {
  const folder = mkdtempSync(join(tmpdir(), 'dmgw-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  // Of the gateway's own listeners the first that hears of a defect ends the process.
  process.on('uncaughtExceptionMonitor', remove).on('unhandledRejection', remove);
  try {
    const file = join(folder, 'dmgw.json');
    const socket = join(folder, 'socket');
    writeFileSync(file, JSON.stringify(configurationIn(folder, socket)), { mode: 0o600 });
    let kept: Buffer | undefined;
    let reason = 'it does not start';
    const complain = (line: string): void => void (reason = line);
    await runDaemon({ file }, complain, () => {
      void askStatus(socket).then(({ ok }) => {
        if (ok) kept = compiled();
        process.kill(process.pid, 'SIGTERM');
      });
    });
    if (!kept) throw new Error(reason);
    return kept;
  } finally {
    remove();
  }
}

function configurationIn(folder: string, controlSocket: string): unknown {
  return {
    stateDir: join(folder, 'state'),
    storeDir: join(folder, 'store'),
    controlSocket,
    volatile: true,
    device: { devId: 'urn:uuid:00000000-0000-4000-8000-000000000000', manufacturer: 'dmgw', model: 'rehearsal' },
    // Its session would begin later.
    accounts: [
      {
        serverId: 'srv',
        url: 'http://127.0.0.1:9',
        allowInsecure: true,
        client: { name: 'n', secret: 's' },
        server: { secret: 's' },
      },
    ],
    lan: { prefixes: ['127.0.0.0/8'] },
    notification: { enabled: true, listen: ['127.0.0.1'], port: 0 },
    serve: { listen: ['127.0.0.1'], port: 0 },
    discovery: { backend: 'off' },
    log: { level: 'error' },
  };
}
