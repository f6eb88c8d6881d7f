/** Where the parties of a lab are, each at an address of its own. */
export interface LabNetwork {
  readonly lanPrefix: string;
  readonly wanPrefix: string;
  /** The gateway's address in the LAN. */
  readonly gateway: string;
  /** The gateway's address in the WAN. */
  readonly gatewayInWan: string;
  readonly downloadServer: string;
  /** @param index of the DM Server, from 0 */
  dmServer(index: number): string;
  /** @param index of the End Device, from 0 */
  device(index: number): string;
  /** A TCP port that is free at this address: the preferred one, or any. */
  freePort(address: string, preferred: number): Promise<number>;
  /** Words in front of a command that is to run where this party is; none where all share one network. */
  enter(party: 'gateway' | { readonly device: number }): readonly string[];
  release(): void;
}
