import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdmin } from './admin.js';
import type { DmServerConfig } from './config.js';
import { Devices } from './devices.js';
import { createEndpoint } from './endpoint.js';
import { Faults } from './faults.js';
import { JsonLog } from './json-log.js';
import { Sessions } from './sessions.js';

/** A DM Server that runs. */
export interface RunningDmServer {
  /** Where devices hold their sessions; any other path serves as well. */
  readonly url: string;
  readonly adminUrl: string;
  /** Resolves when the server has been told to stop by its admin API. */
  readonly stopAsked: Promise<void>;
  /** Ends running sessions and closes everything. May be called again. */
  close(): Promise<void>;
}

const SWEEP_MS = 1000;
const ADMIN_HOST = '127.0.0.1';

/** Starts a general OMA DM 1.2 server with an admin API beside it. */
export async function startDmServer(config: DmServerConfig): Promise<RunningDmServer> {
  const log = new JsonLog(config.logFile);
  const faults = new Faults();
  const devices = new Devices(config.serverId, config.accounts, config.stateFile, (deviceId, event) =>
    log.write({ ...event, deviceId }),
  );
  let publicUrl = config.publicUrl ?? '';
  const respUri = (sessionId: string): string => {
    const url = new URL(publicUrl);
    url.searchParams.set('s', sessionId);
    return url.href;
  };
  const { maxMsgSize, maxObjSize, logMessages } = config;
  const sessions = new Sessions(
    devices,
    { maxMsgSize, maxObjSize, faults },
    config.respUri ? respUri : undefined,
    config.sessionTimeoutMs,
  );
  let askStop: () => void = () => {};
  const stopAsked = new Promise<void>((resolve) => (askStop = resolve));

  const dm = httpServer(createEndpoint({ sessions, devices, faults, log, maxMsgSize, logMessages }), log);
  const admin = httpServer(createAdmin({ serverId: config.serverId, devices, sessions, faults, stop: askStop }), log);
  const port = await listen(dm, config.host, config.port);
  const adminPort = await listen(admin, ADMIN_HOST, config.adminPort);
  if (publicUrl === '') publicUrl = `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}/dm`;
  const sweeping = setInterval(() => sessions.sweep(), Math.min(SWEEP_MS, config.sessionTimeoutMs));
  log.write({ kind: 'started', url: publicUrl });

  let closing: Promise<void> | undefined;
  const shutDown = async (): Promise<void> => {
    clearInterval(sweeping);
    sessions.endAll('stopped');
    await Promise.all([closeServer(dm), closeServer(admin)]);
    await devices.save();
    log.write({ kind: 'stopped' });
    log.close();
  };
  return {
    url: publicUrl,
    adminUrl: `http://${ADMIN_HOST}:${adminPort}`,
    stopAsked,
    close: () => (closing ??= shutDown()),
  };
}

/**
 * Idle connections are kept so long, in ms. The 5 s of Node.js would end one just when a client that thinks for as long
 * uses it again.
 */
const KEEP_ALIVE_MS = 120_000;

/** A failure inside answers 500 and goes to the log; the server goes on. */
function httpServer(
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
  log: JsonLog,
): Server {
  return createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    handle(request, response).catch((thrown: unknown) => {
      log.write({
        kind: 'defect',
        reason: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown),
      });
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      resolve((server.address() as AddressInfo).port);
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve();
    });
    server.closeAllConnections();
  });
}
