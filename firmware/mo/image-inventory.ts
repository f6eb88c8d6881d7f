import type { Outbox } from '../dm/index.js';
import {
  rangesText,
  STATE_NUMBER,
  type Catalog,
  type Deliveries,
  type Delivery,
  type ImageEvent,
  type ImageEventKind,
  type ImageLeaf,
  type ImageRecord,
  type Uploads,
} from '../image/index.js';
import { success, type Outcome, type CodedError } from '../outcome/index.js';
import {
  formatNodeUri,
  treeFailure,
  type ExecRequest,
  type Mount,
  type NodeDefinition,
  type Provider,
  type TreeOutcome,
} from '../tree/index.js';
import { Definer } from './define.js';
import { delegating } from './delegate.js';
import { imageDataSink } from './image-data.js';
import { imageFailure, imageOutcome } from './image-errors.js';
import type { AlertKey, Names } from './names.js';
import { RecordProvider, type RecordLeaf } from './records.js';
import { SCOMO_RESULT } from './scomo.js';

export interface ImageInventoryOptions {
  readonly catalog: Catalog;
  readonly outbox: Outbox;
  /** LocalImageURI of an image that is available; empty for any other. */
  readonly localUri: (image: ImageRecord) => string;
  readonly deliveries: Deliveries;
  readonly uploads: Uploads;
}

const MAX_TEXT = { maxBytes: 255 };

/** What the room allows is found out when it is reserved; Size counts 32 bits on some servers. */
const MAX_DATA_BYTES = 2 ** 31 - 1;

/** The nodes of the object, for the tree and for the description of the device. */
export function imageInventoryDefinition(names: Names): NodeDefinition {
  const define = new Definer('ImageInventory', names);
  return define.root(
    'Images for the devices of the LAN',
    [
      {
        ...define.many('GAD', 'One image', [
          define.leaf(
            'ImageID',
            'chr',
            'GRA',
            'Identifier, last segment of LocalImageURI; absent: the name of the node',
            MAX_TEXT,
          ),
          define.leaf('Name', 'chr', 'GRA', 'Name for people', MAX_TEXT),
          define.leaf('Version', 'chr', 'GRA', 'Version for people', MAX_TEXT),
          define.leaf('Description', 'chr', 'GRA', 'Description for people', MAX_TEXT),
          define.leaf('ImageURI', 'chr', 'GRA', 'Where to retrieve the image; setting it starts the retrieval'),
          define.leaf('Digest', 'chr', 'GRA', 'Expected SHA-256: sha-256=:<base64>: or 64 hex digits', MAX_TEXT),
          define.leaf('Signature', 'chr', 'GRA', 'Base64 Ed25519 signature over the SHA-256', MAX_TEXT),
          define.leaf('Data', 'bin', 'RA', 'The image itself, in place of ImageURI', {
            maxBytes: MAX_DATA_BYTES,
            streamed: true,
          }),
          define.leaf('Priority', 'int', 'GRA', 'Higher is retrieved first', { defaultValue: '0' }),
          define.leaf('Pinned', 'bool', 'GRA', 'Never evicted for room', { defaultValue: 'false' }),
          define.leaf('Size', 'chr', 'G', 'Bytes, empty while unknown'),
          define.leaf('ContentType', 'chr', 'G', 'Media type as delivered'),
          define.leaf(
            'LocalImageURI',
            'chr',
            'G',
            'URL in the LAN once the image is stored and verified, or where configured comes in, else empty',
          ),
          define.leaf(
            'State',
            'int',
            'G',
            '10 Idle, 20 Pending, 30 Downloading, 35 Verifying, 40 Waiting, 45 NeedsURI, 50 Available, 60 Failed, 65 Cancelled, 70 Evicted',
          ),
          define.leaf('Received', 'chr', 'G', 'Durable bytes so far'),
          define.leaf('Result', 'int', 'G', '0, then a SCOMO result code'),
          define.leaf('ResultText', 'chr', 'G', 'One sentence for a person'),
          define.leaf('Delivered', 'int', 'G', 'Devices that were sent the whole image'),
          define.interior('Delivery', 'G', 'What each device was sent', [
            define.many('G', 'One device', [
              define.leaf('DeviceID', 'chr', 'G', 'The device, or its address where the device is not known'),
              define.leaf('Ambiguous', 'bool', 'G', 'Whether several devices are or were known at its address'),
              define.leaf('Bytes', 'chr', 'G', 'Bytes sent'),
              define.leaf('Ranges', 'chr', 'G', 'Which ones: 0-499,1000-1999'),
              define.leaf('Complete', 'bool', 'G', 'Whether it was sent the whole image'),
              define.leaf('FirstTime', 'chr', 'G', 'UTC, empty while the clock is not set'),
              define.leaf('Time', 'chr', 'G', 'The last time, as FirstTime'),
            ]),
          ]),
          define.interior('Operations', 'G', 'What can be done with the image', [
            define.leaf('Download', 'null', 'X', 'Starts the retrieval'),
            define.leaf('Cancel', 'null', 'X', 'Ends the retrieval'),
            define.leaf('Remove', 'null', 'X', 'Removes the image'),
          ]),
        ]),
        ownedByCreator: true,
      },
    ],
    'Add=*&Get=*',
  );
}

/** ./GwMO/ImageInventory: the images that DM Servers want in the LAN. */
export function imageInventory(names: Names, options: ImageInventoryOptions): Mount {
  const { catalog } = options;
  options.catalog.onEvent((event) => tellServer(names, options.outbox, event));
  return {
    place: names.place('ImageInventory'),
    definition: imageInventoryDefinition(names),
    provider: withLocalImages(
      catalog,
      new RecordProvider<ImageRecord>({
        idOf: (image) => String(image.id),
        find: (name) => catalog.byNode(name),
        names: (after, limit) => catalog.nodes(after, limit),
        create: (name, by) => imageOutcome(catalog.create(name, by.serverId)),
        remove: (image) => removed(catalog.remove(image.id)),
        rename: (image, name) => {
          const renamed = imageOutcome(catalog.rename(image.id, name));
          if (renamed.ok) options.outbox.moved(nodeUri(names, image.node), nodeUri(names, name));
          return renamed;
        },
        leaves: leaves(options),
        sinks: { Data: (node, request) => imageDataSink(catalog, options.uploads, node, request) },
        operations: {
          'Operations/Download': (image, request) => download(catalog, image, request),
          'Operations/Cancel': (image) => done(catalog.cancel(image.id)),
          'Operations/Remove': (image) => done(removed(catalog.remove(image.id))),
        },
        collections: { Delivery: (image) => deliveryNodes(options.deliveries, image.id) },
      }),
    ),
  };
}

/** An image that somebody has added at the gateway may be read by every server, and changed by none. */
function withLocalImages(catalog: Catalog, provider: Provider): Provider {
  return delegating(provider, ([name, ...rest]) => {
    if (name === undefined || rest.length > 0) return undefined;
    return catalog.byNode(name)?.requester === '' ? 'Get=*' : undefined;
  });
}

function leaves(options: ImageInventoryOptions): Record<string, RecordLeaf<ImageRecord>> {
  const { catalog } = options;
  const writable = (
    leaf: ImageLeaf,
    convert: (text: string) => string | number | boolean = String,
  ): RecordLeaf<ImageRecord> => ({
    read: (image) => text(image.leaves[leaf]),
    write: (image, value, by) => imageOutcome(catalog.setLeaf(image.id, leaf, convert(String(value)), by.serverId)),
    remove: (image, by) => imageOutcome(catalog.setLeaf(image.id, leaf, null, by.serverId)),
  });
  return {
    ImageID: writable('imageId'),
    Name: writable('name'),
    Version: writable('version'),
    Description: writable('description'),
    ImageURI: writable('imageUri'),
    Digest: writable('digest'),
    Signature: writable('signature'),
    Priority: writable('priority', Number),
    Pinned: writable('pinned', (value) => value === 'true'),
    Data: {
      // It cannot be read; what this says is whether it is there.
      read: ({ blob, leaves: { imageUri } }) => (blob !== null && imageUri === null ? '' : null),
      write: () => treeFailure('not-allowed', 'Data stands directly in a message, not in an Atomic or a Sequence'),
    },
    Size: { read: (image) => text(image.size) ?? '' },
    ContentType: { read: (image) => image.contentType ?? '' },
    LocalImageURI: { read: options.localUri },
    State: { read: (image) => String(STATE_NUMBER[image.state]) },
    Received: { read: (image) => String(image.received) },
    Result: { read: (image) => String(image.result === null ? 0 : SCOMO_RESULT[image.result]) },
    ResultText: { read: (image) => image.resultText },
    Delivered: { read: (image) => String(options.deliveries.delivered(image.id)) },
  };
}

const timeText = (ms: number | null): string => (ms === null ? '' : new Date(ms).toISOString());

/** Delivery/<y>: the name is the number of the row. */
function deliveryNodes(deliveries: Deliveries, imageId: number): Provider {
  return new RecordProvider<Delivery>({
    idOf: (delivery) => String(delivery.id),
    find: (name) => {
      const id = /^[1-9]\d{0,14}$/.test(name) ? Number(name) : 0;
      return deliveries.list(imageId, id - 1, 1).find((delivery) => delivery.id === id);
    },
    names: (after, limit) => deliveries.list(imageId, Number(after ?? 0), limit).map(({ id }) => String(id)),
    create: () => treeFailure('not-allowed', 'deliveries are counted by the gateway'),
    remove: () => treeFailure('not-allowed', 'deliveries are counted by the gateway'),
    leaves: {
      DeviceID: { read: (delivery) => delivery.device ?? delivery.address },
      Ambiguous: { read: (delivery) => String(delivery.ambiguous) },
      Bytes: { read: (delivery) => String(delivery.bytes) },
      Ranges: { read: (delivery) => rangesText(delivery.spans) },
      Complete: { read: (delivery) => String(delivery.complete) },
      FirstTime: { read: ({ firstMs }) => timeText(firstMs) },
      Time: { read: ({ timeMs }) => timeText(timeMs) },
    },
    operations: {},
    collections: {},
  });
}

function download(catalog: Catalog, image: ImageRecord, request: ExecRequest): TreeOutcome<'done' | 'accepted'> {
  const asked = catalog.request(image.id, request.by.serverId, request.correlator);
  if (!asked.ok) return imageFailure(asked.error);
  return success(asked.value === 'done' ? 'done' : 'accepted');
}

/** What a server hears of: the alert for each event; the others are visible in the tree only. */
const EVENT_ALERT: Readonly<Partial<Record<ImageEventKind, AlertKey>>> = {
  retrieved: 'imageRetrieved',
  failed: 'imageRetrieved',
  cancelled: 'imageRetrieved',
  'needs-uri': 'imageNeedsUri',
  evicted: 'imageEvicted',
  withdrawn: 'imageEvicted',
  'local-uri': 'imageLocalUri',
};

/** Runs inside the transaction that ends the retrieval: the alert exists exactly if the new state does. */
function tellServer(names: Names, outbox: Outbox, event: ImageEvent): void {
  const alert = EVENT_ALERT[event.kind];
  const { image, correlator } = event;
  if (alert === undefined || image.requester === '') return;
  outbox.put({
    serverId: image.requester,
    source: nodeUri(names, image.node),
    type: names.alertType(alert),
    format: 'int',
    mark: event.kind === 'retrieved' || event.kind === 'local-uri' ? 'informational' : 'warning',
    data: String(image.result === null ? 0 : SCOMO_RESULT[image.result]),
    ...(correlator !== null && { correlator }),
  });
}

function nodeUri(names: Names, node: string): string {
  return formatNodeUri([...names.place('ImageInventory'), node]);
}

function done(result: Outcome<unknown, CodedError>): TreeOutcome<'done'> {
  return result.ok ? success('done') : treeFailure('failed', result.error.text);
}

function removed(existed: boolean): TreeOutcome {
  return existed ? success() : treeFailure('not-found', 'there is no such image');
}

function text(value: string | number | boolean | null): string | null {
  return value === null ? null : String(value);
}
