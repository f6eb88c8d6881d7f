import { writeFileSync } from 'node:fs';
import type { MemoryFigures } from '../bench/memory-watch.js';
import type { NineSteps, OfferedImage } from '../flow/nine-steps.js';

/** What the demo has shown, for scripts. */
export interface DemoReport {
  readonly imageBytes: number;
  readonly imageSha256: string;
  /** Counted by the download server. */
  readonly wanBytes: number;
  readonly steps: NineSteps['steps'];
  readonly devices: NineSteps['devices'];
  /** Of notifications; absent where the devices were not reached. */
  readonly arrivals?: NineSteps['arrivals'];
  /** As the DM Server received it. */
  readonly localImageURI: string;
  readonly phasesMs: Readonly<Record<string, number>>;
  readonly gateway: MemoryFigures & {
    /** The cgroup that it ran in, where one was asked for. */
    readonly cgroup?: { readonly limitBytes: number; readonly peakBytes: number | null };
  };
}

/** Writes the report. */
export function writeReport(
  file: string,
  image: OfferedImage,
  played: NineSteps,
  startMs: number,
  gateway: DemoReport['gateway'],
): DemoReport {
  const total = Object.values(played.phasesMs).reduce((sum, ms) => sum + ms, startMs);
  const report: DemoReport = {
    imageBytes: image.bytes,
    imageSha256: image.sha256,
    wanBytes: played.wanBytes,
    steps: played.steps,
    devices: played.devices,
    arrivals: played.arrivals,
    localImageURI: played.localImageURI,
    phasesMs: { start: startMs, ...played.phasesMs, total },
    gateway,
  };
  writeFileSync(file, `${JSON.stringify(report, undefined, 2)}\n`);
  return report;
}
