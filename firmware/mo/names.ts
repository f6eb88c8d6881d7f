import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';

/** The management objects of the gateway, by the names that the code uses. */
export type MoKey =
  'DevInfo' | 'DevDetail' | 'DMAcc' | 'ImageInventory' | 'DeviceInventory' | 'Fanout' | 'Storage' | 'Config';

/**
 * Where each management object stands and what it calls itself. DevInfo, DevDetail and DMAcc are OMA's; everything else
 * is this project's own naming (the node tables of GwMO are not public), which an OEM may align with its DM Server.
 */
const STANDARD: Readonly<Record<MoKey, { readonly place: string; readonly type: string }>> = {
  DevInfo: { place: './DevInfo', type: 'urn:oma:mo:oma-dm-devinfo:1.0' },
  DevDetail: { place: './DevDetail', type: 'urn:oma:mo:oma-dm-devdetail:1.0' },
  DMAcc: { place: './DMAcc', type: 'urn:oma:mo:oma-dm-dmacc:1.0' },
  ImageInventory: { place: './GwMO/ImageInventory', type: 'org.dmgw/1.0/ImageInventory' },
  DeviceInventory: { place: './GwMO/DeviceInventory', type: 'org.dmgw/1.0/DeviceInventory' },
  Fanout: { place: './GwMO/Fanout', type: 'org.dmgw/1.0/Fanout' },
  Storage: { place: './GwMO/Storage', type: 'org.dmgw/1.0/Storage' },
  Config: { place: './GwMO/Config', type: 'org.dmgw/1.0/Config' },
};

/** Types of the generic alerts that the gateway sends, where nothing else is said. */
const ALERT_TYPE = {
  imageRetrieved: 'org.dmgw.imageinventory.retrieved',
  imageNeedsUri: 'org.dmgw.imageinventory.needsuri',
  imageEvicted: 'org.dmgw.imageinventory.evicted',
  imageLocalUri: 'org.dmgw.imageinventory.localuri',
  fanoutFinished: 'org.dmgw.fanout.finished',
  storeDamaged: 'org.dmgw.store.damaged',
} as const;

export type AlertKey = keyof typeof ALERT_TYPE;

/** Objects that a server finds only at their place. */
const FIXED_PLACE: ReadonlySet<MoKey> = new Set(['DevInfo', 'DevDetail']);

/** An object whose nodes OMA names, but which may stand elsewhere: a server finds it by its identifier. */
const FIXED_NODES: ReadonlySet<MoKey> = new Set(['DMAcc']);

/**
 * Longest place, so that no node below it has a longer URI than `URI_LIMITS` permits: two run-time names of 128
 * characters and two of 64 stand below it at most.
 */
const MAX_PLACE_LENGTH = 120;

/**
 * The names in use: the standard ones, changed by a board profile. Keys of the overrides:
 * `ImageInventory` (its place, `./Vendor/Images`), `ImageInventory:type` (its MO identifier),
 * `ImageInventory/ImageURI` (the name of a node below it, by its standard name), and `alert:imageRetrieved` (the type of
 * an alert).
 */
export class Names {
  private constructor(private readonly overrides: ReadonlyMap<string, string>) {}

  static parse(overrides: Readonly<Record<string, string>>): Outcome<Names, CodedError<'bad-name'>> {
    for (const [key, value] of Object.entries(overrides)) {
      const wrong = wrongOverride(key, value);
      if (wrong) return failure('bad-name', `names: '${key}': ${wrong}`);
    }
    const names = new Names(new Map(Object.entries(overrides)));
    const clash = names.#clash();
    return clash ? failure('bad-name', `names: ${clash}`) : success(names);
  }

  /** No object may stand where another one does, or inside it. */
  #clash(): string | undefined {
    const places = Object.keys(STANDARD)
      .filter(isMo)
      .map((mo) => ({ mo, place: `${this.overrides.get(mo) ?? STANDARD[mo].place}/` }));
    for (const { mo, place } of places) {
      const other = places.find((one) => one.mo !== mo && one.place.startsWith(place));
      if (other) return `'${mo}' and '${other.mo}' cannot both stand at ${place.slice(0, -1)}, or one inside the other`;
    }
    return undefined;
  }

  place(mo: MoKey): string[] {
    return (this.overrides.get(mo) ?? STANDARD[mo].place).split('/').slice(1);
  }

  type(mo: MoKey): string {
    return this.overrides.get(`${mo}:type`) ?? STANDARD[mo].type;
  }

  /** Keys of the nodes that have another name, by their object. */
  renamedNodes(): readonly (readonly [mo: string, key: string])[] {
    return [...this.overrides.keys()].flatMap((key) => {
      const [mo = '', node] = key.split('/');
      return node === undefined ? [] : [[mo, node] as const];
    });
  }

  /** The type of a generic alert. */
  alertType(alert: AlertKey): string {
    return this.overrides.get(`alert:${alert}`) ?? ALERT_TYPE[alert];
  }

  /** The name in the tree of the node that the code calls `key`. */
  node(mo: MoKey, key: string): string {
    return this.overrides.get(`${mo}/${key}`) ?? key;
  }
}

function wrongOverride(key: string, value: string): string | undefined {
  if (key.startsWith('alert:')) return wrongAlertType(key.slice('alert:'.length), value);
  const [head = '', leaf] = key.split('/');
  const mo = head.replace(/:type$/, '');
  if (!isMo(mo)) return `there is no management object '${mo}' (${Object.keys(STANDARD).join(', ')})`;
  const isPlace = leaf === undefined && !head.endsWith(':type');
  if (FIXED_PLACE.has(mo) || (FIXED_NODES.has(mo) && !isPlace)) return 'OMA fixes the names of this object';
  if (leaf !== undefined) return /^[\w.-]{1,64}$/.test(value) ? undefined : 'a node name has letters, digits, . _ -';
  if (head.endsWith(':type')) return value === '' ? 'an MO identifier is not empty' : undefined;
  const segments = value.split('/').slice(1);
  const addressable = !segments.includes('.') && !segments.includes('..');
  return addressable && value.length <= MAX_PLACE_LENGTH && /^\.(\/[\w.-]{1,64}){1,6}$/.test(value)
    ? undefined
    : `a place is a URI such as ./Vendor/Images, of at most ${MAX_PLACE_LENGTH} characters`;
}

function wrongAlertType(alert: string, value: string): string | undefined {
  if (!Object.hasOwn(ALERT_TYPE, alert)) {
    return `there is no alert '${alert}' (${Object.keys(ALERT_TYPE).join(', ')})`;
  }
  return /^[\x21-\x7e]{1,255}$/.test(value) ? undefined : 'an alert type has at most 255 characters, without spaces';
}

function isMo(word: string): word is MoKey {
  return Object.hasOwn(STANDARD, word);
}
