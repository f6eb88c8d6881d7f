/** What DM Servers see of the gateway and change in it, and what waits for them. */
import { accountSettings } from '../config/index.js';
import { Accounts, Outbox } from '../dm/index.js';
import type { BlobStore } from '../image/index.js';
import type { Logger } from '../log/index.js';
import {
  config,
  deviceInventory,
  devDetail,
  devInfo,
  dmAccounts,
  fanout,
  imageInventory,
  storage,
  type StorageFigures,
} from '../mo/index.js';
import { describeThrown } from '../outcome/index.js';
import { Tree, type Mount } from '../tree/index.js';
import type { Devices } from './devices.js';
import { acceptsUrl, administratorsOf } from './dm-servers.js';
import type { Ground } from './ground.js';
import type { Images } from './images.js';

export interface Management {
  readonly accounts: Accounts;
  readonly outbox: Outbox;
  readonly tree: Tree;
}

/** The accounts are those of the configuration then: a server that is gone from it is named nowhere. */
export function buildManagement(ground: Ground, images: Images, devices: Devices): Management {
  const { configuration, names, store, settings, log } = ground;
  const { catalog, blobs, deliveries, imageServer, uploads } = images;
  const accounts = new Accounts(store);
  const outbox = new Outbox(store);
  const tree = new Tree(
    store,
    [
      ...deviceMounts(ground),
      dmAccounts(names, accounts, (serverId, url) => acceptsUrl(configuration, serverId, url)),
      imageInventory(names, { catalog, deliveries, uploads, outbox, localUri: (image) => imageServer.localUri(image) }),
      deviceInventory(names, devices.inventory),
      fanout(names, devices.fanouts, outbox),
      storage(names, () => storageFigures(blobs, log('image')), administratorsOf(configuration)),
      config(names, settings, administratorsOf(configuration)),
    ],
    ground.clock,
  );
  store.transaction(() => {
    for (const serverId of accounts.configure(accountSettings(configuration, ground.deviceId))) {
      tree.forgetServer(serverId);
      outbox.forget(serverId);
      settings.forget(serverId);
    }
  });
  return { accounts, outbox, tree };
}

function deviceMounts({ configuration: { device }, deviceId, names, version }: Ground): Mount[] {
  const facts = {
    deviceId,
    manufacturer: device.manufacturer,
    model: device.model,
    dmVersion: version,
    language: device.language,
    deviceType: device.type,
    oem: device.oem,
    firmwareVersion: device.firmwareVersion,
    softwareVersion: device.softwareVersion ?? version,
    hardwareVersion: device.hardwareVersion,
    largeObjects: true,
  };
  return [devInfo(names, facts), devDetail(names, facts)];
}

/**
 * What images may still take is what both the quota and the disk, less its floor and what is promised, allow. A disk that
 * cannot be asked has no room.
 */
function storageFigures(blobs: BlobStore, log: Logger): StorageFigures {
  try {
    const { stored, reserved, unwritten, quota, free, freeFloor } = blobs.usageNow();
    const byQuota = quota === undefined ? Infinity : quota - stored - reserved;
    const room = Math.max(0, Math.min(byQuota, free - freeFloor - unwritten));
    return { total: stored + reserved + room, free: room, reserved, quota: quota ?? 0 };
  } catch (thrown) {
    log.error('cannot ask for the room of the store', { reason: describeThrown(thrown) });
    return { total: 0, free: 0, reserved: 0, quota: 0 };
  }
}
