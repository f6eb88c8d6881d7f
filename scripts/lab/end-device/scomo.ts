import { success } from '../../../firmware/outcome/index.js';
import {
  treeFailure,
  type ExecRequest,
  type LeafValue,
  type Mount,
  type NodePath,
  type Operation,
  type Provider,
  type TreeOutcome,
} from '../../../firmware/tree/index.js';
import { interior, leaf, many } from './nodes.js';
import { DownloadStatus, type DownloadText, type Packages } from './packages.js';

/** State and Status of a package that has arrived and waits for its installation (facts 12.2). */
const DELIVERED_STATE = '10';
const DELIVERED_STATUS = '10';

const DOWNLOAD_LEAVES: Readonly<Record<string, DownloadText>> = {
  PkgID: 'pkg_id',
  Name: 'pkg_name',
  PkgURL: 'pkg_url',
  Description: 'description',
};

const DELIVERED_LEAVES: Readonly<Record<string, 'pkg_id' | 'pkg_name' | 'description'>> = {
  PkgID: 'pkg_id',
  Name: 'pkg_name',
  Description: 'description',
};

/** What starts when a server has executed an operation, after the message is committed. */
export interface ScomoWork {
  /** Fetches the package of `Download/<name>`. */
  readonly download: (name: string) => void;
  /** Removes the file of `Inventory/Delivered/<name>`. */
  readonly remove: (name: string) => void;
}

/** ./SCOMO of an End Device: takes a PkgURL, downloads, keeps what was delivered (SCOMO 1.0; facts 12.2, 12.4). */
export function scomo(packages: Packages, afterCommit: (effect: () => void) => void, work: ScomoWork): Mount {
  const text = (name: string) => leaf(name, 'chr', ['Add', 'Get', 'Replace'], name);
  const fixed = (name: string) => leaf(name, 'chr', ['Get'], name);
  return {
    place: ['SCOMO'],
    definition: {
      ...interior('SCOMO', ['Get'], 'Software components', [
        interior('Download', ['Get'], 'Packages to fetch', [
          many(['Add', 'Delete', 'Get'], 'One package to fetch', [
            ...Object.keys(DOWNLOAD_LEAVES).map(text),
            leaf('Status', 'int', ['Get'], '10 idle, 20 failed, 30 progressing'),
            interior('Operations', ['Get'], 'What can be done with it', [
              leaf('Download', 'null', ['Exec'], 'Fetches the package'),
            ]),
          ]),
        ]),
        interior('Inventory', ['Get'], 'Packages on the device', [
          interior('Delivered', ['Get'], 'Packages that have arrived', [
            many(['Get'], 'One package', [
              ...Object.keys(DELIVERED_LEAVES).map(fixed),
              leaf('Status', 'int', ['Get'], '10 idle'),
              leaf('State', 'int', ['Get'], '10 delivered'),
              interior('Operations', ['Get'], 'What can be done with it', [
                leaf('Remove', 'null', ['Exec'], 'Removes the package'),
              ]),
            ]),
          ]),
        ]),
      ]),
      type: 'urn:oma:mo:oma-scomo:1.0',
      acl: 'Add=*&Delete=*&Exec=*&Get=*&Replace=*',
    },
    provider: new ScomoProvider(packages, afterCommit, work),
  };
}

/** Where a path leads: the place of all packages of a kind, one of them, or a node inside it. */
interface Place {
  readonly kind: 'download' | 'delivered';
  readonly name: string | undefined;
  readonly inner: string;
}

class ScomoProvider implements Provider {
  constructor(
    private readonly packages: Packages,
    private readonly afterCommit: (effect: () => void) => void,
    private readonly work: ScomoWork,
  ) {}

  locate(path: NodePath): string | undefined {
    const place = placeOf(path);
    const identity = path.join('/');
    if (place?.name === undefined) return FIXED_PLACES.has(identity) ? identity : undefined;
    const exists = place.inner === '' ? this.#exists(place.kind, place.name) : this.#value(place) !== undefined;
    return exists ? identity : undefined;
  }

  children(path: NodePath, after: string | undefined, limit: number): readonly string[] {
    const place = placeOf(path);
    return place && place.name === undefined ? this.packages.names(place.kind, after, limit) : [];
  }

  read(path: NodePath): TreeOutcome<LeafValue> {
    const place = placeOf(path);
    const value = place && this.#value(place);
    return value === undefined ? treeFailure('not-found', 'there is no such node') : success(value);
  }

  stage(operation: Operation): TreeOutcome {
    const place = placeOf(operation.path);
    if (place?.kind !== 'download' || place.name === undefined) return notAllowed();
    const { name, inner } = place;
    if (operation.kind === 'delete') {
      if (this.packages.download(name)?.status === DownloadStatus.PROGRESSING) return busy();
      this.packages.remove('download', name);
      return success();
    }
    if (inner === '') {
      this.packages.add(name);
      return success();
    }
    const text = DOWNLOAD_LEAVES[inner];
    if (text === undefined || operation.value === undefined) return notAllowed();
    this.packages.setText(name, text, String(operation.value));
    return success();
  }

  exec({ path, correlator }: ExecRequest): TreeOutcome<'done' | 'accepted'> {
    const place = placeOf(path);
    if (place?.name === undefined) return notAllowed();
    const { name } = place;
    if (place.kind === 'delivered') {
      this.packages.remove('delivered', name);
      this.afterCommit(() => this.work.remove(name));
      return success('done');
    }
    const record = this.packages.download(name);
    if (record?.status === DownloadStatus.PROGRESSING) return busy();
    if (record?.pkg_url == null) return treeFailure('incomplete', 'there is no PkgURL');
    this.packages.setStatus(name, DownloadStatus.PROGRESSING, correlator ?? null);
    this.afterCommit(() => this.work.download(name));
    return success('accepted');
  }

  #exists(kind: Place['kind'], name: string): boolean {
    return (kind === 'download' ? this.packages.download(name) : this.packages.delivered(name)) !== undefined;
  }

  /** Value of a node inside a package, empty for one without a value; undefined where there is no such node. */
  #value({ kind, name = '', inner }: Place): string | undefined {
    if (!this.#exists(kind, name)) return undefined;
    if (kind === 'download') {
      if (inner === 'Operations' || inner === 'Operations/Download') return '';
      const record = this.packages.download(name);
      if (inner === 'Status') return String(record?.status);
      const text = DOWNLOAD_LEAVES[inner];
      return text && (record?.[text] ?? undefined);
    }
    if (inner === 'Operations' || inner === 'Operations/Remove') return '';
    if (inner === 'Status') return DELIVERED_STATUS;
    if (inner === 'State') return DELIVERED_STATE;
    const text = DELIVERED_LEAVES[inner];
    return text && (this.packages.delivered(name)?.[text] ?? '');
  }
}

const FIXED_PLACES: ReadonlySet<string> = new Set(['', 'Download', 'Inventory', 'Inventory/Delivered']);

function placeOf(path: NodePath): Place | undefined {
  const [first, second, third] = path;
  if (first === 'Download') return { kind: 'download', name: second, inner: path.slice(2).join('/') };
  if (first !== 'Inventory' || second !== 'Delivered') return undefined;
  return { kind: 'delivered', name: third, inner: path.slice(3).join('/') };
}

function notAllowed(): TreeOutcome<never> {
  return treeFailure('not-allowed', 'the node cannot be changed so');
}

function busy(): TreeOutcome<never> {
  return treeFailure('busy', 'the package is being fetched');
}
