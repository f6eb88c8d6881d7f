import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AccessLog } from './access-log.js';
import { faultSchema, offerSchema, rateSchema, readAs } from './admin-messages.js';
import type { DownloadServerConfig } from './config.js';
import { Faults } from './faults.js';
import { Offers } from './offers.js';
import { Rate } from './rate.js';
import { reply, type ReplyParts } from './replies.js';

/** A download server that is listening. */
export interface RunningDownloadServer {
  readonly url: string;
  readonly adminUrl: string;
  /** Breaks off what is being sent. */
  close(): void;
}

/** Starts to offer files, and the admin API on a port of its own. */
export async function startDownloadServer(config: DownloadServerConfig): Promise<RunningDownloadServer> {
  const parts: ReplyParts = {
    offers: new Offers(config.files, config.root),
    faults: new Faults(),
    rate: new Rate(config.rateBytesPerSecond),
    log: new AccessLog(config.logFile),
  };
  for (const fault of config.faults) parts.faults.add(fault);
  const server = createServer({ keepAliveTimeout: 5_000 }, (request, response) => {
    // Each write is a slice of its own on the way: nothing is gained by waiting for the next one.
    response.socket?.setNoDelay(true);
    reply(request, response, parts).catch((thrown: unknown) => {
      process.stderr.write(`download-server: ${String(thrown)}\n`);
      response.destroy();
    });
  });
  // Longer than whoever asks may think between two questions.
  const admin = createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
    void administer(request, parts).then(({ status, body }) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
  });
  return {
    url: await listen(server, config.host, config.port),
    adminUrl: await listen(admin, config.host, config.adminPort),
    close: () => {
      for (const each of [server, admin]) {
        each.close();
        each.closeAllConnections();
      }
    },
  };
}

interface AdminReply {
  readonly status: number;
  readonly body: unknown;
}

/**
 * `GET /stats`; `POST /faults` {kind, path, times, ...}; `DELETE /faults`; `POST /files` {path, file, ...} to add an
 * offer or to change what is behind its path; `POST /rate` {bytesPerSecond}. Never rejects.
 */
async function administer(request: IncomingMessage, parts: ReplyParts): Promise<AdminReply> {
  const { faults, log, offers, rate } = parts;
  const call = `${request.method ?? ''} ${request.url ?? ''}`;
  try {
    switch (call) {
      case 'GET /stats':
        return { status: 200, body: log.stats() };
      case 'POST /faults':
        faults.add(readAs(faultSchema, await json(request), call));
        break;
      case 'DELETE /faults':
        faults.clear();
        break;
      case 'POST /files':
        offers.set(readAs(offerSchema, await json(request), call));
        break;
      case 'POST /rate':
        rate.bytesPerSecond = readAs(rateSchema, await json(request), call).bytesPerSecond;
        break;
      default:
        return { status: 404, body: { error: `${call}: there is no such call` } };
    }
    return { status: 200, body: {} };
  } catch (thrown) {
    return { status: 400, body: { error: thrown instanceof Error ? thrown.message : String(thrown) } };
  }
}

async function json(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString('utf8'));
}

function listen(server: Server, host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      const { address, port: bound, family } = server.address() as AddressInfo;
      resolve(`http://${family === 'IPv6' ? `[${address}]` : address}:${bound}`);
    });
  });
}
