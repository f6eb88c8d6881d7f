import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Access, Stats } from '../lab/download-server/access-log.js';
import type { Fault, Offer } from '../lab/download-server/admin-messages.js';
import { Child } from './child.js';
import { callJson } from './http-json.js';
import { readJsonLines } from './json-lines.js';
import { PROGRAMS } from './project.js';
import { eventually } from './wait.js';

export type { Access, Fault, Offer, Stats };

/** A download server in a process of its own. */
export class DownloadServer {
  private constructor(
    readonly child: Child,
    private readonly url: string,
    private readonly adminUrl: string,
    private readonly accessLog: string,
  ) {}

  static async start(
    host: string,
    files: readonly Offer[],
    rateBytesPerSecond: number,
    folder: string,
  ): Promise<DownloadServer> {
    const configFile = join(folder, 'download-server.json');
    const logFile = join(folder, 'download-server.access.log');
    writeFileSync(configFile, JSON.stringify({ host, files, logFile, rateBytesPerSecond }));
    const child = new Child({
      name: 'download server',
      command: [process.execPath, PROGRAMS.downloadServer, '--config', configFile],
      logFile: join(folder, 'download-server.log'),
    });
    const { url, adminUrl } = await child.ready();
    return new DownloadServer(child, String(url), String(adminUrl), logFile);
  }

  /** The URL of an offer. */
  urlOf(path: string): string {
    return `${this.url}${path}`;
  }

  async fault(fault: Fault): Promise<void> {
    await callJson('POST', `${this.adminUrl}/faults`, fault);
  }

  async clearFaults(): Promise<void> {
    await callJson('DELETE', `${this.adminUrl}/faults`);
  }

  /** Adds an offer, or changes what is behind its path. */
  async offer(offer: Offer): Promise<void> {
    await callJson('POST', `${this.adminUrl}/files`, offer);
  }

  /** @param bytesPerSecond 0: unlimited */
  async rate(bytesPerSecond: number): Promise<void> {
    await callJson('POST', `${this.adminUrl}/rate`, { bytesPerSecond });
  }

  stats(): Promise<Stats> {
    return callJson('GET', `${this.adminUrl}/stats`);
  }

  /** Every reply so far, once none is being sent any more. */
  async accesses(): Promise<Access[]> {
    await eventually('the last reply to end', async () => ((await this.stats()).open === 0 ? true : undefined));
    return readJsonLines<Access>(this.accessLog);
  }
}

/** What the replies brought of a file. */
export interface Coverage {
  /** Bytes of bodies, repeated ones counted again. */
  readonly bytes: number;
  /** Every byte of the file was sent at least once. */
  readonly whole: boolean;
  /** `0-1048575` for each body, in the order of time. */
  readonly ranges: readonly string[];
}

/** Adds up the byte ranges of an access log for one path. */
export function coverageOf(accesses: readonly Access[], path: string, size: number): Coverage {
  const bodies = accesses.filter((access) => access.path === path && access.bytes > 0);
  let reached = 0;
  for (const { from, bytes } of [...bodies].sort((a, b) => a.from - b.from)) {
    if (from <= reached) reached = Math.max(reached, from + bytes);
  }
  return {
    bytes: bodies.reduce((sum, { bytes }) => sum + bytes, 0),
    whole: reached >= size,
    ranges: bodies.map(({ from, bytes }) => `${from}-${from + bytes - 1}`),
  };
}
