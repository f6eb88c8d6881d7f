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

  /** @param storeDir where images go */
  static async start(folder: string, storeDir: string, nodeFlags: readonly string[]): Promise<BenchGateway> {
    const lab = await Lab.start({
      folder,
      devices: 0,
      offers: [],
      gateway: {
        nodeFlags,
        settings: {
          storeDir,
          // As by default, but for the address of nginx.
          retrieve: { allowPrefixes: ['127.0.0.0/8'], fsyncVolumeMiB: 16 },
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
    const { gateway } = this.lab;
    const { pid } = gateway.child;
    this.#runs += 1;
    const node = `run${this.#runs}`;
    const [cpuMs, written] = [cpuMsOf(pid) ?? 0, writtenBytesOf(pid) ?? 0];
    const watch = new MemoryWatch(pid);
    const answers = await this.lab.manage(addImage(node, { uri: url }));
    if (answers.some(({ status }) => status !== 200)) throw new Error('the gateway does not take the image');
    const wallMs = await eventually('the image', () => this.#wallMs(node), {
      everyMs: LOOK_MS,
      timeoutMs: RUN_WITHIN_MS,
    });
    const memory = watch.stop();
    const cost: Cost = {
      wallMs,
      cpuMs: (cpuMsOf(pid) ?? 0) - cpuMs,
      peakRssBytes: memory.peakRssBytes,
      peakRssAnonBytes: memory.peakRssAnonBytes,
      writtenBytes: (writtenBytesOf(pid) ?? 0) - written,
    };
    if (!existsSync(join(gateway.storeDir, 'blobs', digest))) throw new Error('the gateway has stored something else');
    await this.lab.manage([{ cmd: 'Delete', target: `${IMAGES}/${node}` }]);
    return cost;
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
