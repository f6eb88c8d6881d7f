import { createHash } from 'node:crypto';
import type { Clock, TimerHandle } from '../../../firmware/clock/index.js';
import { openListener, type NotificationListener } from '../../../firmware/dm/index.js';
import type { Logger } from '../../../firmware/log/index.js';
import { describeThrown } from '../../../firmware/outcome/index.js';
import type { JsonLog } from '../dm-server/json-log.js';
import type { Announcer } from './announcer.js';
import type { EndDeviceConfig } from './config.js';

/** Where `duplicates` is set, it announces itself again after so long. */
const AGAIN_MS = 100;

export interface ReachOptions {
  readonly config: EndDeviceConfig;
  readonly clock: Clock;
  readonly log: JsonLog;
  readonly logger: Logger;
  /** Needed by a device that announces itself. */
  readonly announcer: Announcer | undefined;
  /** Takes what has reached the device. */
  readonly onNotification: (bytes: Uint8Array) => void;
}

/** Where the device is, what reaches it there, and what it says of itself by mDNS. */
export class Reach {
  #listener: NotificationListener | undefined;
  #address: string;
  #port: number;
  #sessionId: string | undefined;
  #isAsleep: boolean;
  #moveTo: string | undefined;
  #arrived = 0;
  #moving: Promise<void> = Promise.resolve();
  #again: TimerHandle | undefined;

  private constructor(private readonly options: ReachOptions) {
    const { bindAddress, udpPort, options: traits } = options.config;
    this.#address = bindAddress;
    this.#port = udpPort;
    this.#isAsleep = traits.asleep;
    this.#moveTo = traits.moveTo;
  }

  /** @throws when it cannot listen there */
  static async open(options: ReachOptions): Promise<Reach> {
    const reach = new Reach(options);
    await reach.#listen();
    return reach;
  }

  get address(): string {
    return this.#address;
  }

  get port(): number {
    return this.#port;
  }

  /** It appears, if it sleeps. */
  wake(): void {
    if (!this.#isAsleep) return;
    this.#isAsleep = false;
    this.options.log.write({ kind: 'awake' });
    this.#announce();
  }

  /** It has acted on this session. */
  acted(sessionId: string): void {
    this.#sessionId = sessionId;
    this.#announce();
  }

  async close(): Promise<void> {
    await this.#moving;
    this.#again?.cancel();
    this.options.announcer?.withdraw(this.options.config.deviceId);
    await this.#listener?.close();
  }

  async #listen(): Promise<void> {
    const { clock, logger } = this.options;
    const listener = await openListener({
      addresses: [this.#address],
      port: this.#port,
      clock,
      log: logger,
      onNotification: (bytes) => this.#take(bytes),
    });
    if (!listener.ok) throw new Error(listener.error.text);
    this.#listener = listener.value;
    this.#port = listener.value.bound[0]?.port ?? this.#port;
    if (!this.#isAsleep) this.#announce();
  }

  #take(bytes: Uint8Array): void {
    const { config, log, onNotification } = this.options;
    this.#arrived += 1;
    const reason = this.#whyNot();
    if (reason !== undefined) {
      log.write({ kind: 'dropped', reason, bytes: Buffer.from(bytes).toString('base64') });
      if (reason === 'moved') this.#moving = this.#move();
      return;
    }
    onNotification(bytes);
    if (config.options.duplicates) onNotification(bytes);
  }

  #whyNot(): 'asleep' | 'moved' | 'loss' | undefined {
    const { deviceId, options } = this.options.config;
    if (this.#isAsleep) return 'asleep';
    if (this.#moveTo !== undefined) return 'moved';
    return isLost(deviceId, this.#arrived, options.dropPercent) ? 'loss' : undefined;
  }

  async #move(): Promise<void> {
    this.#address = this.#moveTo ?? this.#address;
    this.#moveTo = undefined;
    await this.#listener?.close();
    try {
      await this.#listen();
      this.options.log.write({ kind: 'moved', address: this.#address });
    } catch (thrown) {
      this.options.logger.error('the device cannot move', { address: this.#address, reason: describeThrown(thrown) });
    }
  }

  #announce(): void {
    const { announcer, clock, config } = this.options;
    if (!announcer) return;
    const tell = (): void =>
      announcer.announce(config.deviceId, { address: this.#address, port: this.#port, sessionId: this.#sessionId });
    tell();
    if (!config.options.duplicates) return;
    this.#again?.cancel();
    this.#again = clock.after(AGAIN_MS, tell);
  }
}

/** Whether the n-th datagram of a device is lost: chosen by chance, and the same in each run. */
function isLost(deviceId: string, n: number, percent: number): boolean {
  const chance = createHash('sha256').update(`${deviceId}/${n}`).digest().readUInt32BE();
  return (chance / 2 ** 32) * 100 < percent;
}
