import type { Socket } from 'node:dgram';
import { EventEmitter } from 'node:events';
import type { NetworkInterfaceInfo } from 'node:os';

/** The interfaces of a gateway whose LAN is 192.168.0.0/16. */
export const LAN0: NodeJS.Dict<NetworkInterfaceInfo[]> = {
  lan0: [
    {
      address: '192.168.0.1',
      cidr: '192.168.0.1/16',
      family: 'IPv4',
      internal: false,
      mac: '02:00:00:00:00:01',
      netmask: '255.255.0.0',
    },
  ],
};

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

  /** What is done to the socket before it can be used. */
  readonly done: (readonly (string | number)[])[] = [];

  bind(port: number, address: string, bound: () => void): void {
    this.done.push(['bind', port, address]);
    process.nextTick(bound);
  }
  send(...[bytes, port, address, done]: [...Sent, (error: null) => void]): void {
    this.sent.push([bytes, port, address]);
    done(null);
  }
  close(done: () => void): void {
    done();
  }
  addMembership(group: string, own: string): void {
    this.done.push(['join', group, own]);
  }
  setMulticastInterface(own: string): void {
    this.done.push(['send from', own]);
  }
  setMulticastTTL(ttl: number): void {
    this.done.push(['ttl', ttl]);
  }
}
