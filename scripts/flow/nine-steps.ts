/**
 * The nine steps of image distribution in transparent mode, played by the operator of the DM Server, each with its
 * proof from what the other parties saw. Leaves to the caller how it looks (the demo), or what is asserted (the tests).
 */
import { join } from 'node:path';
import type { Command, DeviceEvent, Notification } from './dm-server.js';
import { coverageOf, type Coverage } from './download-server.js';
import type { EndDevice } from './end-device.js';
import { arrivalsOf, breachOf, type Arrivals } from './arrivals.js';
import { sha256Of } from './images.js';
import type { Lab } from './lab.js';
import { addImage, ALERT, deliver, FANOUTS, get, IMAGES, startFanout } from './operator.js';

export interface OfferedImage {
  /** Path of the URL at the download server. */
  readonly path: string;
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface StepResult {
  readonly step: number;
  readonly ok: boolean;
  /** What was seen, by whom. */
  readonly proof: string;
}

export interface DeviceResult {
  readonly deviceId: string;
  readonly ok: boolean;
  readonly sha256: string;
  /** Of the notification and of the session that it led to, as it stands in messages. */
  readonly sessionId: string;
  /** From the start of the fanout to the device's report at the DM Server. */
  readonly ms: number;
}

export interface NineSteps {
  readonly steps: readonly StepResult[];
  readonly devices: readonly DeviceResult[];
  /** Counted by the download server. */
  readonly wanBytes: number;
  /** Of notifications, in the end; undefined where it did not come to that. */
  readonly arrivals: Arrivals | undefined;
  /** As the DM Server received it. */
  readonly localImageURI: string;
  readonly phasesMs: Readonly<Record<'configure' | 'retrieve' | 'localUri' | 'fanout' | 'deliver', number>>;
}

/** Whoever watches. */
export interface Observer {
  step(result: StepResult): void;
  /** Bytes that have left the download server. */
  retrieving(bytes: number): void;
  device(result: DeviceResult): void;
}

export interface Play {
  readonly lab: Lab;
  readonly image: OfferedImage;
  /** WAN bytes per image byte at most. */
  readonly maxWanRatio: number;
  /** For the retrieval, and again for all devices together. */
  readonly timeoutMs: number;
  /** How the fanout repeats its notifications. Default 4 times, the first repetition after 5 s. */
  readonly policy?: { readonly repeat: number; readonly interval: number };
  readonly observer: Observer;
}

const NODE = 'package1';
const IMAGE_ID = 'package1eID123';
const FANOUT = 'wave1';
const SCOMO_SUCCESS = '1200';
const POLICY = { repeat: 4, interval: 5 };
/** Target/<y>/Status. */
const REACTED = '2';

/** Plays the nine steps to their end, or to the first that is not proved: it is the last of `steps` then. */
export async function playNineSteps(play: Play): Promise<NineSteps> {
  return new Performance(play).run();
}

class Performance {
  readonly #steps: StepResult[] = [];
  readonly #devices: DeviceResult[] = [];
  readonly #phases = { configure: 0, retrieve: 0, localUri: 0, fanout: 0, deliver: 0 };
  #wanBytes = 0;
  #localUri = '';
  #arrivals: Arrivals | undefined;

  constructor(private readonly play: Play) {}

  async run(): Promise<NineSteps> {
    const phases: readonly [keyof NineSteps['phasesMs'], () => Promise<boolean>][] = [
      ['configure', () => this.#configure()],
      ['retrieve', () => this.#retrieve()],
      ['localUri', () => this.#learnLocalUri()],
      ['fanout', () => this.#fanOut()],
      ['deliver', () => this.#deliver()],
    ];
    for (const [name, phase] of phases) {
      const startMs = performance.now();
      const step = this.#steps.length + 1;
      const proved = await phase().catch((thrown: unknown) => {
        return this.#proved(Math.max(step, this.#steps.length + 1), false, errorText(thrown));
      });
      this.#phases[name] = Math.round(performance.now() - startMs);
      if (!proved) break;
    }
    return {
      steps: [...this.#steps].sort((a, b) => a.step - b.step),
      devices: this.#devices,
      wanBytes: this.#wanBytes,
      arrivals: this.#arrivals,
      localImageURI: this.#localUri,
      phasesMs: this.#phases,
    };
  }

  #proved(step: number, ok: boolean, proof: string): boolean {
    const result = { step, ok, proof };
    this.#steps.push(result);
    this.play.observer.step(result);
    return ok;
  }

  /** Step 1. */
  async #configure(): Promise<boolean> {
    const { lab, image } = this.play;
    const uri = lab.downloads.urlOf(image.path);
    const answers = await lab.manage([
      ...addImage(NODE, { uri, imageId: IMAGE_ID }),
      get(`${IMAGES}/${NODE}/ImageURI`),
    ]);
    const wrong = answers.find(({ status }) => status !== 200);
    const readBack = answers.at(-1)?.value;
    if (wrong)
      return this.#proved(1, false, `${wrong.command.cmd} ${wrong.command.target ?? ''}: ${wrong.status ?? 0}`);
    return this.#proved(
      1,
      readBack === uri,
      `the DM Server's log has Status 200 for ${answers.length} commands; ImageURI reads back as ${readBack ?? ''}`,
    );
  }

  /** Steps 2 and 3. */
  async #retrieve(): Promise<boolean> {
    const { lab, image, maxWanRatio, timeoutMs } = this.play;
    const over = new AbortController();
    const watching = this.#watchRetrieval(over.signal);
    let alert: DeviceEvent;
    try {
      const fits = isAlert(ALERT.imageRetrieved);
      alert = await lab.dm.waitFor('the alert that the image is there', lab.gatewayId, 0, fits, timeoutMs);
    } finally {
      over.abort();
      await watching;
    }
    const coverage = coverageOf(await lab.downloads.accesses(), image.path, image.bytes);
    this.#wanBytes = coverage.bytes;
    const once = coverage.whole && coverage.bytes <= image.bytes * maxWanRatio;
    if (!this.#proved(2, once, describeCoverage(coverage, image.bytes))) return false;

    const stored = await sha256Of(join(lab.gateway.storeDir, 'blobs', image.sha256)).catch(() => 'nothing');
    const [state] = await lab.manage([get(`${IMAGES}/${NODE}/State`)]);
    return this.#proved(
      3,
      stored === image.sha256 && state?.value === '50' && alert.data === SCOMO_SUCCESS,
      `State ${state?.value ?? '?'}, alert with ${alert.data ?? '?'}; SHA-256 of the stored file is ${stored}, the origin's ${image.sha256}`,
    );
  }

  async #watchRetrieval(over: AbortSignal): Promise<void> {
    const { lab, image, observer } = this.play;
    while (!over.aborted) {
      observer.retrieving((await lab.downloads.stats()).bytesByPath[image.path] ?? 0);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Step 4. */
  async #learnLocalUri(): Promise<boolean> {
    const { lab } = this.play;
    this.#localUri = (await lab.read(`${IMAGES}/${NODE}/LocalImageURI`)) ?? '';
    const wellFormed = URL.canParse(this.#localUri) && this.#localUri.endsWith(`/scomo/${IMAGE_ID}`);
    return this.#proved(4, wellFormed, `Results to the DM Server's Get: ${this.#localUri || 'nothing'}`);
  }

  readonly #notifications = new Map<string, Notification>();
  /** Wall time at which the fanout was handed over. */
  #startedMs = 0;
  /** The last event of the gateway before the fanout. */
  #eventsBefore = 0;

  /** Step 5; what the devices are to do (step 8) waits for them at the server before they are woken. */
  async #fanOut(): Promise<boolean> {
    const { lab } = this.play;
    for (const { deviceId } of lab.devices) {
      await lab.dm.queue(deviceId, deliverCommands(deviceId, this.#localUri));
      this.#notifications.set(deviceId, await lab.dm.notification(deviceId));
    }
    const targets = [...this.#notifications].map(([deviceId, { package0 }]) => ({ deviceId, package0 }));
    this.#eventsBefore = await lab.dm.now(lab.gatewayId);
    this.#startedMs = Date.now();
    const answers = await lab.manage(startFanout(FANOUT, targets, { imageRef: IMAGE_ID, ...this.#policy }, FANOUT));
    const started = answers.at(-1);
    const wrong = answers.slice(0, -1).find(({ status }) => status !== 200);
    return this.#proved(
      5,
      wrong === undefined && started?.status === 202,
      wrong
        ? `${wrong.command.cmd} ${wrong.command.target ?? ''}: ${wrong.status ?? 0}`
        : `Status 200 for ${answers.length - 1} commands with ${targets.length} notifications, ${started?.status ?? 0} for Exec`,
    );
  }

  get #policy(): { readonly repeat: number; readonly interval: number } {
    return this.play.policy ?? POLICY;
  }

  /** Steps 6 to 9, for all devices at the same time. Those that sleep wake when the others have been notified. */
  async #deliver(): Promise<boolean> {
    const { lab } = this.play;
    const { devices } = lab;
    await all(
      devices.filter(({ traits }) => traits.asleep !== true),
      (device) => this.#wasNotified(device),
    );
    lab.wakeDevices();
    const step6 = await all(devices, (device) => this.#wasNotified(device));
    if (!this.#proved(6, step6.ok, step6.proof('received its Package#0 byte for byte, and its digest verifies')))
      return false;
    const step7 = await all(devices, (device) => this.#openedSession(device));
    if (!this.#proved(7, step7.ok, step7.proof("opened a session with the notification's SessionID"))) return false;
    const step8 = await all(devices, (device) => this.#tookCommands(device));
    if (!this.#proved(8, step8.ok, step8.proof('answered Add PkgURL with 200 and Exec Download with 202')))
      return false;
    const step9 = await all(devices, (device) => this.#reported(device));
    this.#wanBytes = coverageOf(await lab.downloads.accesses(), this.play.image.path, this.play.image.bytes).bytes;
    const once = this.#wanBytes <= this.play.image.bytes * this.play.maxWanRatio;
    const wan = `; the WAN carried ${this.#wanBytes} bytes for all of them`;
    if (!this.#proved(9, step9.ok && once, step9.proof("has the image with the origin's SHA-256") + wan)) return false;
    return this.#fanoutReported();
  }

  async #wasNotified(device: EndDevice): Promise<string | undefined> {
    const sent = this.#notifications.get(device.deviceId)?.package0;
    const got = await device.waitFor('notification', { timeoutMs: this.play.timeoutMs });
    if (got.bytes !== sent) return `received ${String(got.bytes)}, the server made ${String(sent)}`;
    return got.digestOk === true ? undefined : 'cannot verify the digest';
  }

  async #openedSession({ deviceId }: EndDevice): Promise<string | undefined> {
    const { lab, timeoutMs } = this.play;
    const asked = this.#sessionIdOf(deviceId);
    const event = await lab.dm.waitFor(
      `a session of ${deviceId}`,
      deviceId,
      0,
      ({ kind, sessionId }) => kind === 'session-start' && sessionId === asked,
      timeoutMs,
    );
    return event.sessionId === asked ? undefined : `opened session ${event.sessionId ?? ''} instead of ${asked}`;
  }

  async #tookCommands({ deviceId }: EndDevice): Promise<string | undefined> {
    const { lab, timeoutMs } = this.play;
    const wanted = deliverCommands(deviceId, this.#localUri);
    const statuses: DeviceEvent[] = [];
    await lab.dm.waitFor(
      `the answers of ${deviceId}`,
      deviceId,
      0,
      (event) => {
        if (event.kind === 'status') statuses.push(event);
        return statuses.length >= wanted.length;
      },
      timeoutMs,
    );
    const wrong = statuses.find(({ cmd, code }) => code !== (cmd === 'Exec' ? 202 : 200));
    return wrong && `answered ${wrong.cmd ?? ''} ${wrong.target ?? ''} with ${String(wrong.code)}`;
  }

  async #reported(device: EndDevice): Promise<string | undefined> {
    const { lab, image, observer, timeoutMs } = this.play;
    const { deviceId } = device;
    const report = await lab.dm.waitFor(
      `the report of ${deviceId}`,
      deviceId,
      0,
      (event) => isAlert(ALERT.operationComplete)(event) && event.correlator === deviceId,
      timeoutMs,
    );
    const ms = Date.parse(report.time) - this.#startedMs;
    const download = await device.waitFor('download');
    const right = download.sha256 === image.sha256 && download.url === this.#localUri;
    const ok = right && (report.data ?? '').includes(SCOMO_SUCCESS);
    const result = { deviceId, ok, sha256: download.sha256 ?? '', sessionId: this.#sessionIdOf(deviceId), ms };
    this.#devices.push(result);
    observer.device(result);
    return ok ? undefined : `reports ${report.data ?? 'nothing'} and has ${download.sha256 ?? 'no image'}`;
  }

  /** The rest of step 5's proof: the final result, by generic alert. */
  async #fanoutReported(): Promise<boolean> {
    const { lab, timeoutMs } = this.play;
    const alert = await lab.dm.waitFor(
      'the result of the fanout',
      lab.gatewayId,
      this.#eventsBefore,
      (event) => isAlert(ALERT.fanoutFinished)(event) && event.source === `${FANOUTS}/${FANOUT}`,
      timeoutMs,
    );
    const index = this.#steps.findIndex(({ step }) => step === 5);
    const first = this.#steps[index];
    const n = lab.devices.length;
    const ok = alert.data === `${SCOMO_SUCCESS} total=${n} sent=${n} reacted=${n} failed=0`;
    const faults = [...(await this.#wrongOutcomes()), ...this.#breaches()];
    this.#arrivals = arrivalsOf(lab.devices);
    const { datagrams, lost, missed } = this.#arrivals;
    const result = {
      step: 5,
      ok: ok && alert.correlator === FANOUT && faults.length === 0,
      proof:
        `${first?.proof ?? ''}; final alert: ${alert.data ?? 'no data'}; ${datagrams} datagrams, ` +
        `${lost} of them lost and ${missed} sent to where the device had been` +
        (faults.length > 0 ? `; ${faults.length} faults: ${faults[0] ?? ''}` : ''),
    };
    this.#steps.splice(index, 1, result);
    this.play.observer.step(result);
    return result.ok;
  }

  /** Targets whose outcome, as the server reads it, is another than that of the devices. */
  async #wrongOutcomes(): Promise<string[]> {
    const { devices } = this.play.lab;
    const nodes = devices.map((_, index) => get(`${FANOUTS}/${FANOUT}/Target/t${index + 1}/Status`));
    const answers = await this.play.lab.manage(nodes);
    return answers.flatMap(({ value }, index) =>
      value === REACTED ? [] : [`${devices[index]?.deviceId ?? ''} has Status ${value ?? 'none'}`],
    );
  }

  #breaches(): string[] {
    return this.play.lab.devices.flatMap((device) => {
      const breach = breachOf(device, this.#policy.repeat);
      return breach === undefined ? [] : [`${device.deviceId} ${breach}`];
    });
  }

  #sessionIdOf(deviceId: string): string {
    return (this.#notifications.get(deviceId)?.sessionId ?? 0).toString(16).toUpperCase();
  }
}

function deliverCommands(deviceId: string, url: string): Command[] {
  return deliver('package1', IMAGE_ID, url, deviceId);
}

/** Fits a generic alert of this type. */
function isAlert(type: string): (event: DeviceEvent) => boolean {
  return (event) => event.kind === 'alert' && event.type === type;
}

function describeCoverage({ bytes, ranges, whole }: Coverage, size: number): string {
  const shown =
    ranges.length > 4 ? [...ranges.slice(0, 2), `... ${ranges.length} ranges`, ...ranges.slice(-1)] : ranges;
  const sum = whole ? 'every byte of the image' : 'not the whole image';
  return `the download server sent ${shown.join(', ')}: ${bytes} bytes, ${sum}, ${(bytes / size).toFixed(4)} of its size`;
}

interface Verdict {
  readonly ok: boolean;
  /** How many fulfil it, or what is wrong with the first that does not. */
  proof(claim: string): string;
}

/** @param check says what is wrong with a device, if anything is */
async function all(
  devices: readonly EndDevice[],
  check: (device: EndDevice) => Promise<string | undefined>,
): Promise<Verdict> {
  const faults = await Promise.all(devices.map((device) => check(device).catch(errorText)));
  const index = faults.findIndex((fault) => fault !== undefined);
  const right = faults.filter((fault) => fault === undefined).length;
  return {
    ok: index < 0,
    proof: (claim) => {
      const count = `${right} of ${devices.length} devices: each ${claim}`;
      return index < 0 ? count : `${count}; ${devices[index]?.deviceId ?? ''} ${faults[index] ?? ''}`;
    },
  };
}

function errorText(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
