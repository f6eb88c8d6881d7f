/** What a DM Server saw of one device. `n` counts from 1 and never repeats while the server runs. */
export interface DeviceEvent {
  readonly n: number;
  /** ISO 8601, UTC. */
  readonly time: string;
  readonly kind: DeviceEventKind;
  readonly [field: string]: unknown;
}

export type DeviceEventKind = 'session-start' | 'session-end' | 'status' | 'results' | 'alert' | 'devinfo' | 'auth';

/** Events kept for a device; the oldest give way. */
const MAX_EVENTS = 20_000;

/** The events of one device, to be read from any point on, and waited for. */
export class EventLog {
  #events: DeviceEvent[] = [];
  #count = 0;
  readonly #waiting = new Set<() => void>();

  /** @param also hears of every event at once */
  constructor(private readonly also: (event: DeviceEvent) => void) {}

  add(kind: DeviceEventKind, fields: Readonly<Record<string, unknown>>): void {
    this.#count += 1;
    const event: DeviceEvent = { n: this.#count, time: new Date().toISOString(), kind, ...fields };
    this.#events.push(event);
    if (this.#events.length > MAX_EVENTS) this.#events = this.#events.slice(-MAX_EVENTS / 2);
    this.also(event);
    for (const wake of this.#waiting) wake();
  }

  after(n: number): DeviceEvent[] {
    return this.#events.filter((event) => event.n > n);
  }

  /** As `after`, but waits up to `waitMs` until there is at least one. */
  async wait(n: number, waitMs: number): Promise<DeviceEvent[]> {
    const found = this.after(n);
    if (found.length > 0 || waitMs <= 0) return found;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, waitMs);
      timer.unref();
      this.#waiting.add(wake);
    });
    return this.after(n);
  }
}
