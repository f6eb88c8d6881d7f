import { URI_LIMITS, type Mount, type NodeDefinition } from '../tree/index.js';
import { Definer, permanent } from './define.js';
import { fixedProvider } from './fixed.js';
import type { Names } from './names.js';

/** Who this device is: DevInfo and DevDetail (DMSTDOBJ 5.3, 5.4). */
export interface DeviceFacts {
  readonly deviceId: string;
  readonly manufacturer: string;
  readonly model: string;
  /** Version of the DM client. */
  readonly dmVersion: string;
  readonly language: string;
  readonly deviceType: string;
  readonly oem: string;
  readonly firmwareVersion: string;
  readonly softwareVersion: string;
  readonly hardwareVersion: string;
  /** Whether large objects are taken (DevDetail/LrgObj). */
  readonly largeObjects: boolean;
}

/** The nodes of the object, for the tree and for the description of the device. */
export function devInfoDefinition(names: Names): NodeDefinition {
  const define = new Definer('DevInfo', names);
  return permanent(
    define.root('Identity of the device', [
      define.leaf('DevId', 'chr', 'G', 'Globally unique identifier of the device'),
      define.leaf('Man', 'chr', 'G', 'Manufacturer'),
      define.leaf('Mod', 'chr', 'G', 'Model'),
      define.leaf('DmV', 'chr', 'G', 'Version of the DM client'),
      define.leaf('Lang', 'chr', 'G', 'Language tag'),
    ]),
  );
}

/** ./DevInfo: sent to the server at the start of every session. */
export function devInfo(names: Names, facts: DeviceFacts): Mount {
  return {
    place: names.place('DevInfo'),
    definition: devInfoDefinition(names),
    provider: fixedProvider({
      DevId: () => facts.deviceId,
      Man: () => facts.manufacturer,
      Mod: () => facts.model,
      DmV: () => facts.dmVersion,
      Lang: () => facts.language,
    }),
  };
}

/** The nodes of the object, for the tree and for the description of the device. */
export function devDetailDefinition(names: Names): NodeDefinition {
  const define = new Definer('DevDetail', names);
  return permanent(
    define.root('Parameters of the device', [
      define.leaf('DevTyp', 'chr', 'G', 'Device type'),
      define.leaf('OEM', 'chr', 'G', 'Original equipment manufacturer'),
      define.leaf('FwV', 'chr', 'G', 'Firmware version'),
      define.leaf('SwV', 'chr', 'G', 'Software version'),
      define.leaf('HwV', 'chr', 'G', 'Hardware version'),
      define.leaf('LrgObj', 'bool', 'G', 'Whether large objects are supported'),
      define.interior('URI', 'G', 'Limits of node URIs', [
        define.leaf('MaxDepth', 'chr', 'G', 'Segments of a URI'),
        define.leaf('MaxTotLen', 'chr', 'G', 'Characters of a URI'),
        define.leaf('MaxSegLen', 'chr', 'G', 'Characters of one segment'),
      ]),
    ]),
  );
}

/** ./DevDetail: sent when asked for. */
export function devDetail(names: Names, facts: DeviceFacts): Mount {
  return {
    place: names.place('DevDetail'),
    definition: devDetailDefinition(names),
    provider: fixedProvider({
      DevTyp: () => facts.deviceType,
      OEM: () => facts.oem,
      FwV: () => facts.firmwareVersion,
      SwV: () => facts.softwareVersion,
      HwV: () => facts.hardwareVersion,
      LrgObj: () => String(facts.largeObjects),
      'URI/MaxDepth': () => String(URI_LIMITS.maxDepth),
      'URI/MaxTotLen': () => String(URI_LIMITS.maxTotalLength),
      'URI/MaxSegLen': () => String(URI_LIMITS.maxSegmentLength),
    }),
  };
}
