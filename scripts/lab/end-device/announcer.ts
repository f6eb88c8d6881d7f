import { systemClock } from '../../../firmware/clock/index.js';
import { END_DEVICE_TYPE } from '../../../firmware/device/index.js';
import { BuiltinDiscovery } from '../../../firmware/discovery/index.js';
import { silentLog } from '../../../firmware/log/index.js';
import { Prefixes } from '../../../firmware/net/index.js';

/** Where a device is, and the SessionID that it acted on last. */
export interface DeviceNews {
  readonly address: string;
  readonly port: number;
  readonly sessionId: string | undefined;
}

/** Speaks mDNS on loopback for all devices of this process: each of them hearing all the others would be n² messages. */
export class Announcer {
  #discovery: BuiltinDiscovery | undefined;

  /** Announces a device, or tells of its change. */
  announce(deviceId: string, { address, port, sessionId }: DeviceNews): void {
    // Other labs on this machine have devices of the same DevId, at other addresses of the same network.
    const [, lab] = address.split('.');
    const host = `${deviceId}-${lab ?? ''}`.replace(/[^A-Za-z0-9]+/g, '-').toLowerCase();
    this.#started(address).announce(deviceId, {
      instance: host,
      type: END_DEVICE_TYPE,
      port,
      txt: { devid: deviceId, enc: 'wsp', ...(sessionId !== undefined && { sid: sessionId }) },
      host,
      addresses: [address],
    });
  }

  /** Says goodbye for it. */
  withdraw(deviceId: string): void {
    this.#discovery?.withdraw(deviceId);
  }

  async close(): Promise<void> {
    await this.#discovery?.close();
  }

  #started(address: string): BuiltinDiscovery {
    if (this.#discovery) return this.#discovery;
    const lan = Prefixes.parse([address]);
    if (!lan.ok) throw new Error(lan.error.text);
    this.#discovery = new BuiltinDiscovery({
      links: { names: [], lan: lan.value, own: [address] },
      clock: systemClock(0),
      random: Math.random,
      log: silentLog,
    });
    this.#discovery.start();
    return this.#discovery;
  }
}
