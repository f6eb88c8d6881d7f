/**
 * Takes images in as a DM Server sends them, without end: each replaces what its node had, and evicts others for room.
 * Prints `<node> <n>` as soon as it is promised that the node has content n. For the tests that cut the power while it
 * runs. Argument: the folder of database and images.
 */
import { writeSync } from 'node:fs';
import { PLAIN_RETRIEVALS } from '../../firmware/image/downloader.fixture.js';
import { Downloader, Uploads } from '../../firmware/image/index.js';
import { contentOf, NODES, QUOTA_BYTES } from './contents.js';
import { nextNumber, openImages } from './images.js';

/** Uploads at the same time. */
const AT_ONCE = 3;
const PIECE_BYTES = 48 * 1024;

const pins = { needs: () => false };
const images = openImages(process.argv[2] ?? '.', { quotaBytes: QUOTA_BYTES });
const { store, catalog } = images;
const uploads = new Uploads({ ...images, pins, fsyncVolumeBytes: 64 * 1024 });
const downloader = new Downloader({
  ...PLAIN_RETRIEVALS,
  ...images,
  pins,
  onDefect: (thrown) => {
    throw thrown;
  },
});
await downloader.start();
let next = nextNumber(images);
for (let worker = 0; worker < AT_ONCE; worker += 1) void takeOn(worker);

async function takeOn(worker: number): Promise<never> {
  for (let round = 0; ; round += 1) {
    const n = next;
    next += 1;
    // Each worker has nodes of its own: an image has one upload at a time.
    const node = NODES[(worker + AT_ONCE * round) % NODES.length] ?? 'a';
    const id = (catalog.byNode(node) ?? must(catalog.create(node, 'server'))).id;
    const content = contentOf(n);
    const upload = must(uploads.begin(id, { bytes: content.length }));
    let kept = true;
    for (let at = 0; at < content.length && kept; at += PIECE_BYTES) {
      kept = (await upload.write(content.subarray(at, at + PIECE_BYTES))).ok;
    }
    if (kept && (await upload.end()).ok) {
      store.transaction(() => {
        must(upload.commit('server'));
        must(catalog.setLeaf(id, 'version', String(n), 'server'));
      });
      await store.durable();
      writeSync(1, `${node} ${n}\n`);
    }
    await upload.discard();
  }
}

function must<T>(
  outcome: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown },
): T {
  if (!outcome.ok) throw new Error(JSON.stringify(outcome.error));
  return outcome.value;
}
