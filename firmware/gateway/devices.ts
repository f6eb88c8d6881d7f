/** The End Devices: who they are, how they are found, how they are notified. */
import type { Configuration } from '../config/index.js';
import { AddressBook, DeviceInventory, type ConfiguredDevice } from '../device/index.js';
import { parseNotification, sessionIdText, wrapWsp } from '../dm/index.js';
import type { PinSource, Reactions } from '../image/index.js';
import { native } from '../native/index.js';
import { Fanouts, Forwarder, type Capacity, type Fetch } from '../notify/index.js';
import { Finder } from './finder.js';
import type { Ground } from './ground.js';
import { fanoutDefaults } from './tuning.js';

export interface Devices {
  readonly inventory: DeviceInventory;
  readonly finder: Finder;
  readonly fanouts: Fanouts;
  /** For the image server: whose address it is, and that an image was fetched there. */
  readonly reactions: Reactions;
  /** What running fanouts need of the images. */
  readonly pins: PinSource;
}

/** What the devices need of other parts. */
export interface DeviceNeeds {
  readonly capacity: Capacity;
  /** Told of a device's node that is gone. */
  readonly onRemove: (node: string) => void;
}

export function buildDevices(ground: Ground, { capacity, onRemove }: DeviceNeeds): Devices {
  const { clock, store, lan, log, onClose, onFault } = ground;
  const book = new AddressBook(store);
  const fetches = new Listeners<Fetch>();
  const inventory = new DeviceInventory({ store, clock, log: log('device'), lan, onRemove });
  onClose(() => inventory.flush());
  const finder = new Finder({ ...ground, inventory });
  onClose(() => finder.close());
  const forwarder = new Forwarder({
    clock,
    log: log('notify'),
    lan,
    // A push is told from the one before by its transaction, which is no secret.
    wrap: (notification, encapsulation) =>
      encapsulation === 'raw' ? notification : wrapWsp(notification, Math.trunc(Math.random() * 256)),
    sendNow: native().sendDatagram,
  });
  onClose(() => forwarder.close());
  const fanouts = new Fanouts({
    store,
    clock,
    log: log('notify'),
    book,
    capacity,
    reactions: {
      onFetched: (listener) => fetches.add(listener),
      onSession: (listener) => finder.recognition.onSession(listener),
    },
    appearances: {
      onAppeared: (listener) => finder.recognition.onAppeared(listener),
      presenceOf: (device) => finder.presenceOf(device),
    },
    sessionIdOf: (notification) => {
      const parsed = parseNotification(notification);
      return parsed.ok ? sessionIdText(parsed.value.sessionId) : undefined;
    },
    send: forwarder.send,
    defaults: fanoutDefaults(ground.settings),
    onFault,
  });
  onClose(() => fanouts.close());
  return {
    inventory,
    finder,
    fanouts,
    reactions: {
      devicesAt: (address) => book.devicesAt(address),
      fetched: (imageId, address) => fetches.tell({ imageId, address }),
    },
    pins: { needs: (imageId) => fanouts.activeImageRefs().includes(imageId) },
  };
}

/** A device of the configuration as the inventory takes it. */
export function configuredDevice(device: Configuration['devices'][number]): ConfiguredDevice {
  const { groups, name, ...leaves } = device;
  return { ...leaves, ...(groups.length > 0 && { groups: groups.join('/') }), ...(name !== '' && { name }) };
}

/** Those who want to hear of something, in the order in which they came. */
class Listeners<T> {
  readonly #listeners = new Set<(event: T) => void>();

  /** @returns ends the subscription */
  add(listener: (event: T) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(event: T): void {
    for (const listener of this.#listeners) listener(event);
  }
}
