import type { Configuration } from '../config/index.js';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { StoreError } from '../store/index.js';
import { openControlSocket } from './control.js';
import { buildDevices, configuredDevice } from './devices.js';
import { hearNotifications } from './dm-servers.js';
import { layGround, type GatewayOptions, type OnClose } from './ground.js';
import { buildImages } from './images.js';
import { buildManagement } from './management.js';
import { rescue, takeSeeds } from './rescue.js';
import { buildSessions } from './sessions.js';
import { applySettings } from './tuning.js';
import { buildUpkeep } from './upkeep.js';

export interface Gateway {
  /** Addresses with ports on which images are served and notifications are taken. */
  readonly listening: { readonly serve: readonly string[]; readonly notification: readonly string[] };
  /** Ends sessions and retrievals with everything durable, then closes. Idempotent. */
  close(): Promise<void>;
}

/**
 * Builds every part of the gateway and starts it. What a restart finds half-done goes on.
 * @returns the running gateway, or why it cannot start (nothing is left open then)
 */
export async function startGateway(
  configuration: Configuration,
  options: GatewayOptions,
): Promise<Outcome<Gateway, CodedError>> {
  const closings: Parameters<OnClose>[0][] = [];
  const closeAll = async (): Promise<void> => {
    for (let closing = closings.pop(); closing; closing = closings.pop()) await closing();
  };
  try {
    const started = await start(configuration, options, (closing) => closings.push(closing));
    if (!started.ok) await closeAll();
    return started.ok ? success({ ...started.value, close: closeAll }) : started;
  } catch (thrown) {
    await closeAll();
    if (thrown instanceof StoreError) return failure(thrown.code, thrown.message, thrown);
    throw thrown;
  }
}

async function start(
  configuration: Configuration,
  options: GatewayOptions,
  onClose: OnClose,
): Promise<Outcome<Pick<Gateway, 'listening'>, CodedError>> {
  const laid = layGround(configuration, options, onClose);
  if (!laid.ok) return laid;
  const ground = laid.value;
  const { fresh, log, names, settings, store } = ground;

  // They are asked for what is built behind them when something happens: not before all is built.
  const devices = buildDevices(ground, {
    capacity: { free: () => images.imageServer.load.free },
    onRemove: (node) => management.tree.forgetNode([...names.place('DeviceInventory'), node]),
  });
  const images = buildImages(ground, devices);
  const management = buildManagement(ground, images, devices);
  const configured = devices.inventory.syncConfigured(configuration.devices.map(configuredDevice));
  if (!configured.ok) return configured;
  const scheduler = buildSessions(ground, management);
  const upkeep = buildUpkeep(ground, images, devices, management);

  const known = { store, ...images, ...management, names, log: log('store') };
  if (fresh) await rescue(fresh, known);
  else await takeSeeds(known);
  applySettings(settings, configuration, { ...images, scheduler });

  // From here on things happen.
  await images.downloader.start();
  const served = await images.imageServer.start();
  if (!served.ok) return served;
  // The disk takes what was written while the other sockets are opened. That it failed is told below.
  store.durable().catch(() => {});
  devices.fanouts.resume();
  devices.finder.start(served.value[0]?.port ?? configuration.serve.port);
  const listener = await hearNotifications(ground, management.accounts, scheduler);
  if (!listener.ok) return listener;
  onClose(() => listener.value?.close());
  scheduler.start(
    configuration.accounts.map(({ serverId, intervalSeconds = settings.get('session.intervalSeconds') }) => ({
      serverId,
      intervalMs: intervalSeconds * 1000,
    })),
  );
  const serving = (): string[] => images.imageServer.listening.map(formatEndpoint);
  const notified = (listener.value?.bound ?? []).map(formatEndpoint);
  const parts = { ...images, ...devices, ...management, scheduler, scrub: upkeep.scrub, serving, notified };
  const control = await openControlSocket(ground, parts);
  if (!control.ok) return control;

  // Whoever has connected is answered behind this.
  upkeep.start();
  return success({ listening: { serve: serving(), notification: notified } });
}

function formatEndpoint({ address, port }: { readonly address: string; readonly port: number }): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
