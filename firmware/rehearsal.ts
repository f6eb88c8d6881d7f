import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfiguration } from './config/index.js';
import { startGateway } from './gateway.js';
import { LogRing, silentLog } from './log/index.js';
import { askStatus } from './ops/index.js';
import { describeThrown, failure, success, type CodedError, type Outcome } from './outcome/index.js';
import { VERSION } from './version.js';

/**
 * Starts a gateway that has nothing to do, in a folder of its own and on loopback, asks it for its status, and ends it: V8
 * has compiled then what a start runs.
 */
export async function rehearseStart(): Promise<Outcome<unknown, CodedError>> {
  let folder: string | undefined;
  try {
    folder = mkdtempSync(join(tmpdir(), 'dmgw-'));
    const parsed = parseConfiguration([{ file: 'rehearsal', value: configurationIn(folder) }]);
    if (!parsed.ok) return parsed;
    const { configuration } = parsed.value;
    const started = await startGateway(configuration, {
      log: () => silentLog,
      lines: new LogRing(1024),
      version: VERSION,
      buildTimeMs: 0,
      mdnsHelper: [],
      collectGarbage: () => {},
      onReload: () => success({ done: true }),
      onFatal: () => {}, // the answer does not come then
    });
    if (!started.ok) return started;
    const asked = await askStatus(configuration.controlSocket);
    await started.value.close();
    return asked;
  } catch (thrown) {
    return failure('not-started', describeThrown(thrown), thrown);
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true });
  }
}

function configurationIn(folder: string): unknown {
  return {
    stateDir: join(folder, 'state'),
    storeDir: join(folder, 'store'),
    volatile: true,
    device: { devId: 'urn:uuid:00000000-0000-4000-8000-000000000000', manufacturer: 'dmgw', model: 'rehearsal' },
    lan: { prefixes: ['127.0.0.0/8'] },
    notification: { enabled: true, listen: ['127.0.0.1'], port: 0 },
    serve: { listen: ['127.0.0.1'], port: 0 },
    discovery: { backend: 'off' },
  };
}
