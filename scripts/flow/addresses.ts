import { createServer, type AddressInfo, type Server } from 'node:net';
import type { LabNetwork } from './network.js';

/** Whoever listens here, at the last address of a block, has the block; the end of its process gives it back. */
const CLAIM_PORT = 2947;
const FIRST_BLOCK = 16;
const BLOCKS = 235;

/** Devices per third octet; 0 and 255 look odd in an address. */
const DEVICES_PER_ROW = 250;

/**
 * A /16 of the loopback network for one lab, so that every party has an address of its own and labs that run at the
 * same time do not meet. The lower half plays the LAN, the upper half the WAN.
 */
export class AddressBlock implements LabNetwork {
  private constructor(
    private readonly second: number,
    private readonly claim: Server,
  ) {}

  /** Takes a block that no other lab on this machine has. */
  static async claim(): Promise<AddressBlock> {
    const start = Math.floor(Math.random() * BLOCKS);
    for (let tried = 0; tried < BLOCKS; tried += 1) {
      const second = FIRST_BLOCK + ((start + tried) % BLOCKS);
      const server = await listen(`127.${second}.255.254`, CLAIM_PORT);
      if (server) return new AddressBlock(second, server.unref());
    }
    throw new Error('every block of loopback addresses is in use, or 127.0.0.0/8 is not the loopback network here');
  }

  release(): void {
    this.claim.close();
  }

  get lanPrefix(): string {
    return `127.${this.second}.0.0/17`;
  }

  get wanPrefix(): string {
    return `127.${this.second}.128.0/17`;
  }

  get gateway(): string {
    return `127.${this.second}.0.1`;
  }

  get gatewayInWan(): string {
    return `127.${this.second}.128.1`;
  }

  get downloadServer(): string {
    return `127.${this.second}.128.2`;
  }

  dmServer(index: number): string {
    return `127.${this.second}.128.${3 + index}`;
  }

  device(index: number): string {
    return `127.${this.second}.${1 + Math.floor(index / DEVICES_PER_ROW)}.${1 + (index % DEVICES_PER_ROW)}`;
  }

  async freePort(address: string, preferred: number): Promise<number> {
    const server = (await listen(address, preferred)) ?? (await listen(address, 0));
    if (!server) throw new Error(`no free port at ${address}`);
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }

  enter(): readonly string[] {
    return [];
  }
}

/** Undefined when somebody else listens there. */
function listen(address: string, port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', () => resolve(undefined));
    server.listen(port, address, () => resolve(server));
  });
}
