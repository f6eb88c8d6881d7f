/**
 * Retrieves images that are served while they come in (cut-through), without end: each replaces what its node had.
 * Prints `<node> <n> <bytes>` as soon as it is promised that so much of content n is served under the node: what was
 * durable when its LocalImageURI was assigned, and whatever is durable later. For the tests that cut the power while it
 * runs. Argument: the folder of database and images.
 */
import { writeSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { PLAIN_RETRIEVALS } from '../../firmware/image/downloader.fixture.js';
import { Arrivals, Downloader, isRunning } from '../../firmware/image/index.js';
import { ARRIVING_NODES, arrivingOf, sha256 } from './contents.js';
import { nextNumber, openImages } from './images.js';

const PIECE_BYTES = 32 * 1024;
const FSYNC_VOLUME_BYTES = 64 * 1024;
const LOOK_MS = 2;
/**
 * Where the origin is: the same place in every run that the same campaign starts, so that what was begun goes on, and
 * another one for each campaign.
 */
const ORIGIN = {
  host: `127.${64 + ((process.ppid >> 16) & 63)}.${(process.ppid >> 8) & 255}.${process.ppid & 255}`,
  port: 2950,
};

await serveContents();
const images = openImages(process.argv[2] ?? '.', { cutThrough: true });
const { store, catalog } = images;
const downloader = new Downloader({
  ...PLAIN_RETRIEVALS,
  ...images,
  arrivals: new Arrivals(images),
  fsyncVolumeBytes: FSYNC_VOLUME_BYTES,
  backoff: { firstMs: 5, maxMs: 5 },
  onDefect: (thrown) => {
    throw thrown;
  },
});
await downloader.start();
let next = nextNumber(images);
for (const node of ARRIVING_NODES) void takeOn(node);

async function takeOn(node: string): Promise<never> {
  let promised = '';
  for (;;) {
    const image = catalog.byNode(node);
    if (!image || !isRunning(image.state)) {
      order(node);
    } else if (catalog.isServed(image)) {
      await store.durable();
      // The last byte waits until all of them are verified.
      const bytes = isRunning(image.state) ? Math.min(image.received, (image.size ?? 0) - 1) : image.received;
      const promise = `${node} ${image.leaves.version ?? ''} ${bytes}\n`;
      if (promise !== promised) writeSync(1, promise);
      promised = promise;
    }
    await sleep(LOOK_MS);
  }
}

/** The next content, in place of what the node has. */
function order(node: string): void {
  const n = next;
  next += 1;
  const digest = sha256(arrivingOf(n));
  store.transaction(() => {
    const before = catalog.byNode(node);
    if (before) catalog.remove(before.id);
    const created = catalog.create(node, 'server');
    if (!created.ok) throw new Error(created.error.text);
    const { id } = created.value;
    for (const [leaf, value] of [
      ['version', String(n)],
      ['digest', digest],
      ['imageUri', `http://${ORIGIN.host}:${ORIGIN.port}/${n}`],
    ] as const) {
      const set = catalog.setLeaf(id, leaf, value, 'server');
      if (!set.ok) throw new Error(set.error.text);
    }
  });
}

/** An origin of all contents, slow enough that most cuts find them on their way. */
function serveContents(): Promise<void> {
  const server = createServer((request, response) => {
    const content = arrivingOf(Number(request.url?.slice(1)));
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const rest = content.subarray(from);
    response.writeHead(from > 0 ? 206 : 200, {
      'Content-Length': rest.length,
      ETag: `"${request.url ?? ''}"`,
      ...(from > 0 && { 'Content-Range': `bytes ${from}-${content.length - 1}/${content.length}` }),
    });
    void send(response, rest);
  });
  return new Promise((resolve) => server.listen(ORIGIN.port, ORIGIN.host, resolve));
}

async function send(response: ServerResponse, content: Buffer): Promise<void> {
  for (let at = 0; at < content.length && !response.destroyed; at += PIECE_BYTES) {
    response.write(content.subarray(at, at + PIECE_BYTES));
    await sleep(1);
  }
  response.end();
}
