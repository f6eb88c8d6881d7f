import { PUSH_PORT } from '../../../firmware/dm/index.js';
import type { Lab } from '../../flow/lab.js';
import type { OfferedImage } from '../../flow/nine-steps.js';
import { ALERT, deliver } from '../../flow/operator.js';

/** All devices without a gateway. */
export interface Direct {
  /** From the first notification to the report of the last device. */
  readonly makespanMs: number;
  /** Of bodies, as the download server counts. */
  readonly wanBytes: number;
}

const SUCCESS = '1200';
const LOOK_MS = 500;

/**
 * The devices are told to fetch the image from the download server, each over the WAN.
 * @param deviceAt the address of the n-th device, from 0
 * @param watch told again and again how many bytes have left the download server for it
 * @throws when a device does not get it
 */
export async function fetchDirectly(
  lab: Lab,
  image: OfferedImage,
  deviceAt: (index: number) => string,
  timeoutMs: number,
  watch: (bytes: number) => void,
): Promise<Direct> {
  const sent = async (): Promise<number> => (await lab.downloads.stats()).bytesByPath[image.path] ?? 0;
  const url = lab.downloads.urlOf(image.path);
  const before = await sent();
  const tell = (): void => {
    sent().then(
      (bytes) => watch(bytes - before),
      () => {
        // The server has ended, and all with it.
      },
    );
  };
  const timer = setInterval(tell, LOOK_MS);
  const startedMs = performance.now();
  try {
    await Promise.all(
      lab.devices.map(async ({ deviceId }, index) => {
        const correlator = `direct-${index}`;
        const after = await lab.dm.now(deviceId);
        await lab.dm.queue(deviceId, deliver('direct', 'direct', url, correlator));
        await lab.dm.notification(deviceId, { host: deviceAt(index), port: PUSH_PORT, wsp: true });
        const { data } = await lab.dm.waitFor(
          `the report of ${deviceId}`,
          deviceId,
          after,
          (event) => event.type === ALERT.operationComplete && event.correlator === correlator,
          timeoutMs,
        );
        if (!(data ?? '').includes(SUCCESS)) throw new Error(`${deviceId} reports ${data ?? 'nothing'}`);
      }),
    );
    return { makespanMs: performance.now() - startedMs, wanBytes: (await sent()) - before };
  } finally {
    clearInterval(timer);
  }
}
