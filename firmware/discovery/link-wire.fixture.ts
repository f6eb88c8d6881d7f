import type { Socket } from 'node:dgram';
import { EventEmitter } from 'node:events';

/** A datagram: what leaves, and where to. */
export type Sent = readonly [bytes: Buffer, port: number, address: string];

/** The network of one link, in the place of its socket: what the gateway sends is seen, what is put in is heard by it. */
export class LinkWire extends EventEmitter {
  readonly sent: Sent[] = [];

  asSocket(): Socket {
    return this as unknown as Socket;
  }

  put(bytes: Buffer, address: string): void {
    this.emit('message', bytes, { address, port: 5353, family: 'IPv4', size: bytes.length });
  }

  bind(_port: number, _address: string, bound: () => void): void {
    process.nextTick(bound);
  }
  send(...[bytes, port, address, done]: [...Sent, (error: null) => void]): void {
    this.sent.push([bytes, port, address]);
    done(null);
  }
  close(done: () => void): void {
    done();
  }
  addMembership(): void {}
  setMulticastInterface(): void {}
  setMulticastTTL(): void {}
}
