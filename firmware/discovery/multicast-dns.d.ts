/** What is used of the package, which has no types of its own. */
declare module 'multicast-dns' {
  import type { RemoteInfo, Socket } from 'node:dgram';
  import type { EventEmitter } from 'node:events';
  import type { DecodedPacket, Packet } from 'dns-packet';

  namespace multicastDns {
    interface Options {
      readonly socket: Socket;
      readonly type: 'udp4' | 'udp6';
      readonly port: number;
      /** Group. */
      readonly ip: string;
      /** Address that the socket is bound to. */
      readonly bind: string;
      /** Address of the interface that joins the group, and by which multicast is sent. */
      readonly interface: string;
    }

    interface MulticastDNS extends EventEmitter {
      on(event: 'query' | 'response', listener: (packet: DecodedPacket, from: RemoteInfo) => void): this;
      on(event: 'error' | 'warning', listener: (error: Error) => void): this;
      /** To the group, unless another place is given. */
      send(
        packet: Packet,
        to: { readonly address: string; readonly port: number } | undefined,
        sent: (error: Error | null | undefined) => void,
      ): void;
      destroy(closed: () => void): void;
    }
  }

  function multicastDns(options: multicastDns.Options): multicastDns.MulticastDNS;
  export = multicastDns;
}
