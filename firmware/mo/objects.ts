import type { DescribedObject } from '../tree/index.js';
import { deviceInventoryDefinition } from './device-inventory.js';
import { devDetailDefinition, devInfoDefinition } from './device.js';
import { dmAccountDefinition } from './dm-account.js';
import { fanoutDefinition } from './fanout.js';
import { imageInventoryDefinition } from './image-inventory.js';
import type { Names } from './names.js';
import { storageDefinition } from './storage.js';

/** Every management object of the gateway, in the order in which the tree lists them: for the description of the device. */
export function managementObjects(names: Names): readonly DescribedObject[] {
  return [
    { place: names.place('DevInfo'), definition: devInfoDefinition(names) },
    { place: names.place('DevDetail'), definition: devDetailDefinition(names) },
    { place: names.place('DMAcc'), definition: dmAccountDefinition(names) },
    { place: names.place('ImageInventory'), definition: imageInventoryDefinition(names) },
    { place: names.place('DeviceInventory'), definition: deviceInventoryDefinition(names) },
    { place: names.place('Fanout'), definition: fanoutDefinition(names) },
    { place: names.place('Storage'), definition: storageDefinition(names) },
  ];
}
