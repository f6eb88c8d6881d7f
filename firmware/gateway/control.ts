import type { Scheduler } from '../dm/index.js';
import { systemDisk, type Scrub } from '../image/index.js';
import { operatorPorts } from '../operator/index.js';
import { openControl, REPORT_FORMAT } from '../ops/index.js';
import { success, type CodedError, type Outcome } from '../outcome/index.js';
import type { Devices } from './devices.js';
import type { Ground } from './ground.js';
import type { Images } from './images.js';
import type { Management } from './management.js';

/** What whoever owns the gateway sees of it, and works on. */
export interface ControlParts extends Images, Devices, Management {
  readonly scheduler: Scheduler;
  readonly scrub: Scrub;
  /** `address:port` of the image server, and of the listener for notifications. */
  readonly serving: () => readonly string[];
  readonly notified: readonly string[];
}

/**
 * Opens the control socket.
 * @throws StoreError where what was written until now does not become durable
 */
export async function openControlSocket(ground: Ground, parts: ControlParts): Promise<Outcome<undefined, CodedError>> {
  const { configuration, clock, log, settings, store } = ground;
  const ports = operatorPorts({
    ...ground,
    ...parts,
    startedMs: clock.wallMs(),
    startedMonotonicMs: clock.monotonicMs(),
    discovery: () => parts.finder.report(),
    reload: ground.onReload,
    databaseRoom: () => systemDisk.freeBytesNow(configuration.stateDir),
  });
  // Whoever sees the control socket can rely on what was written.
  await store.durable();
  const control = await openControl(
    configuration.controlSocket,
    {
      ...ports,
      setMetered: (setting) => {
        parts.downloader.setMetered(setting);
        log('image').info('told whether the link is metered', { set: setting });
        return ports.metered();
      },
      settings: () => ({ format: REPORT_FORMAT, changed: settings.changed() }),
    },
    log('ops'),
    configuration.controlAccess,
  );
  if (!control.ok) return control;
  ground.onClose(() => control.value.close());
  return success();
}
