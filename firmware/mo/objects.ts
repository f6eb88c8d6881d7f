import { failure, type CodedError, type Outcome } from '../outcome/index.js';
import type { DescribedObject, NodeDefinition } from '../tree/index.js';
import { configDefinition } from './config.js';
import { deviceInventoryDefinition } from './device-inventory.js';
import { devDetailDefinition, devInfoDefinition } from './device.js';
import { dmAccountDefinition } from './dm-account.js';
import { fanoutDefinition } from './fanout.js';
import { imageInventoryDefinition } from './image-inventory.js';
import { Names } from './names.js';
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
    { place: names.place('Config'), definition: configDefinition(names) },
  ];
}

/** The names in use, held against the nodes that there are: each must name something, and siblings must differ. */
export function parseNames(overrides: Readonly<Record<string, string>>): Outcome<Names, CodedError<'bad-name'>> {
  const names = Names.parse(overrides);
  if (!names.ok) return names;
  // Those of the standard are known to differ.
  if (Object.keys(overrides).length === 0) return names;
  const objects = managementObjects(names.value);
  for (const [mo, key] of names.value.renamedNodes()) {
    const { definition } = objects.find((object) => object.definition.key === mo) ?? {};
    if (!definition || !nodesOf(definition).some((node) => node.key === key && node.name !== undefined)) {
      return failure('bad-name', `names: '${mo}/${key}': there is no such node`);
    }
  }
  for (const node of objects.flatMap(({ definition }) => nodesOf(definition))) {
    const taken = (node.children ?? []).flatMap(({ name }) => name ?? []);
    const twice = taken.find((name, index) => taken.indexOf(name) !== index);
    if (twice !== undefined) return failure('bad-name', `names: two nodes side by side have the name '${twice}'`);
  }
  return names;
}

/** The node and all below it. */
function nodesOf(node: NodeDefinition): NodeDefinition[] {
  return [node, ...(node.children ?? []).flatMap(nodesOf)];
}
