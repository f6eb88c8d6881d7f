import { formatBytes, formatTable } from '../../firmware/ops/index.js';
import { ProgressBar } from '../bench/progress-bar.js';
import type { DeviceResult, NineSteps, Observer, StepResult } from '../flow/nine-steps.js';

/** What each step is, for people. */
const STEP_TITLES: Readonly<Record<number, string>> = {
  1: 'the DM Server configures ImageURI',
  2: 'the gateway retrieves the image',
  3: 'the gateway stores it and assigns LocalImageURI',
  4: 'the DM Server retrieves LocalImageURI',
  5: 'the DM Server hands over the Notification Fanout',
  6: 'the gateway forwards each notification',
  7: 'the End Devices open their sessions with the DM Server',
  8: 'the DM Server sends PkgURL = LocalImageURI, and Download',
  9: 'the End Devices retrieve the image from the gateway',
};

/** Shows the nine steps as they happen. */
export class Display implements Observer {
  readonly #bar: ProgressBar;
  readonly #shown = new Set<number>();
  readonly #styled: boolean;

  constructor(
    private readonly out: NodeJS.WriteStream,
    imageBytes: number,
  ) {
    this.#bar = new ProgressBar(out, 'WAN', imageBytes);
    this.#styled = out.isTTY && out.hasColors();
  }

  /** One line. */
  line(text: string): void {
    this.#bar.clear();
    this.out.write(`${text}\n`);
  }

  step({ step, ok, proof }: StepResult): void {
    if (step === 2) this.#bar.end();
    const again = this.#shown.has(step) ? ', in the end' : '';
    this.#shown.add(step);
    this.line(`${this.#bold(`step ${step}`)}  ${STEP_TITLES[step] ?? ''}${again}: ${this.#verdict(ok)}`);
    this.line(`        ${proof}`);
  }

  retrieving(bytes: number): void {
    this.#bar.show(bytes);
  }

  device({ deviceId, ok, sessionId, sha256, ms }: DeviceResult): void {
    const session = `session ${sessionId.padEnd(4)}`;
    this.line(`        ${deviceId}  ${session}  sha256 ${sha256.slice(0, 12)}...  ${ms} ms  ${this.#verdict(ok)}`);
  }

  /** The closing table. */
  summary(played: NineSteps, figures: readonly (readonly [string, string])[]): void {
    const rows = Object.entries(STEP_TITLES).map(([step, title]) => {
      const result = played.steps.find((one) => String(one.step) === step);
      return [step, title, result === undefined ? 'not reached' : result.ok ? 'proved' : 'NOT PROVED'];
    });
    this.line('');
    for (const line of formatTable(['STEP', 'WHAT HAPPENED', 'RESULT'], rows)) this.line(line);
    this.line('');
    for (const line of formatTable(['FIGURE', ''], figures)) this.line(line);
  }

  #verdict(ok: boolean): string {
    if (!this.#styled) return ok ? 'proved' : 'NOT PROVED';
    return ok ? '\x1b[32mproved\x1b[0m' : '\x1b[31mNOT PROVED\x1b[0m';
  }

  #bold(text: string): string {
    return this.#styled ? `\x1b[1m${text}\x1b[0m` : text;
  }
}

/** `94.3 MiB (98932688 bytes)`. */
export function exactBytes(bytes: number): string {
  return `${formatBytes(bytes)} (${bytes} bytes)`;
}
