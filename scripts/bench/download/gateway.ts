import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Lab } from '../../flow/lab.js';
import { addImage, IMAGES } from '../../flow/operator.js';
import { eventually } from '../../flow/wait.js';
import { MemoryWatch, type MemoryFigures } from '../memory-watch.js';
import { cpuMsOf, writtenBytesOf } from '../proc.js';
import type { Cost } from './cost.js';

/** How often its log is looked at, from which the times are: what it costs is taken from who is measured. */
const LOOK_MS = 100;
/** A retrieval that takes longer hangs. */
const RUN_WITHIN_MS = 600_000;

/** The gateway as its maker runs it, told by a DM Server what to retrieve. */
export class BenchGateway {
  #runs = 0;

  private constructor(
    private readonly lab: Lab,
    private readonly life: MemoryWatch,
  ) {}

  /** @param storeDir where images go @param concurrent retrievals at the same time, at most */
  static async start(
    folder: string,
    storeDir: string,
    nodeFlags: readonly string[],
    concurrent: number,
  ): Promise<BenchGateway> {
    const lab = await Lab.start({
      folder,
      devices: 0,
      offers: [],
      gateway: {
        nodeFlags,
        settings: {
          storeDir,
          // As by default, but for the address of nginx.
          retrieve: { allowPrefixes: ['127.0.0.0/8'], fsyncVolumeMiB: 16, concurrent },
          log: { level: 'info', timestamps: true },
        },
      },
    });
    const life = new MemoryWatch(lab.gateway.child.pid);
    life.markIdle();
    return new BenchGateway(lab, life);
  }

  /**
   * Retrieves this URL and removes the image. The time is that of the gateway's log: from its request until the image is
   * verified, durable and available.
   * @param digest SHA-256 that it must have; the gateway is not told
   */
  async retrieve(url: string, digest: string): Promise<Cost> {
    const { pid } = this.lab.gateway.child;
    const [cpuMs, written] = [cpuMsOf(pid) ?? 0, writtenBytesOf(pid) ?? 0];
    const watch = new MemoryWatch(pid);
    const { nodes, wallMs } = await this.#retrieve([url], digest);
    const memory = watch.stop();
    const cost = {
      wallMs,
      cpuMs: (cpuMsOf(pid) ?? 0) - cpuMs,
      peakRssBytes: memory.peakRssBytes,
      peakRssAnonBytes: memory.peakRssAnonBytes,
      writtenBytes: (writtenBytesOf(pid) ?? 0) - written,
    };
    await this.#remove(nodes);
    return cost;
  }

  /** Retrieves these URLs at the same time. @returns the time of the slowest, and the most of RssAnon meanwhile */
  async retrieveTogether(
    urls: readonly string[],
    digest: string,
  ): Promise<{ readonly wallMs: number; readonly peakRssAnonBytes: number }> {
    const watch = new MemoryWatch(this.lab.gateway.child.pid);
    const { nodes, wallMs } = await this.#retrieve(urls, digest);
    const { peakRssAnonBytes } = watch.stop();
    await this.#remove(nodes);
    return { wallMs, peakRssAnonBytes };
  }

  /** In its life so far. */
  peakRssAnonBytes(): number {
    return this.life.peakRssAnonBytes;
  }

  /** @returns the nodes of the images, and how long the slowest has taken */
  async #retrieve(
    urls: readonly string[],
    digest: string,
  ): Promise<{ readonly nodes: readonly string[]; readonly wallMs: number }> {
    const nodes = urls.map(() => `run${(this.#runs += 1)}`);
    const answers = await this.lab.manage(nodes.flatMap((node, index) => addImage(node, { uri: urls[index] ?? '' })));
    if (answers.some(({ status }) => status !== 200)) throw new Error('the gateway does not take the image');
    const wallMs = await Promise.all(
      nodes.map((node) =>
        eventually('the image', () => this.#wallMs(node), { everyMs: LOOK_MS, timeoutMs: RUN_WITHIN_MS }),
      ),
    );
    const stored = join(this.lab.gateway.storeDir, 'blobs', digest);
    if (!existsSync(stored)) throw new Error('the gateway has stored something else');
    return { nodes, wallMs: Math.max(...wallMs) };
  }

  async #remove(nodes: readonly string[]): Promise<void> {
    await this.lab.manage(nodes.map((node) => ({ cmd: 'Delete', target: `${IMAGES}/${node}` })));
  }

  /** Ends it. @returns its memory from its start to its end */
  async close(): Promise<MemoryFigures> {
    const figures = this.life.stop();
    await this.lab.close();
    return figures;
  }

  /** From its request to its end, as the log tells; undefined while it runs. */
  #wallMs(node: string): number | undefined {
    const log = readFileSync(this.lab.gateway.logFile, 'utf8');
    const movedMs = (to: string): number | undefined => {
      const line = log.split('\n').find((text) => text.includes(` image=${node} `) && text.includes(` to=${to}`));
      return line === undefined ? undefined : Date.parse(line.split(' ')[0] ?? '');
    };
    const endMs = movedMs('available');
    if (endMs !== undefined) return endMs - (movedMs('downloading') ?? endMs);
    if ((movedMs('failed') ?? movedMs('needs-uri')) === undefined) return undefined;
    throw new Error(this.lab.gateway.child.describe(`has not retrieved ${node}`));
  }
}
