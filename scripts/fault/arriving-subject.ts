import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PLAIN_RETRIEVALS } from '../../firmware/image/downloader.fixture.js';
import { Arrivals, Downloader, isRunning, type ImageRecord } from '../../firmware/image/index.js';
import type { Subject } from './campaign.js';
import { arrivingOf, sha256 } from './contents.js';
import { openImages } from './images.js';

const MOMENTS = ['now', 'write 120', 'sync 60', 'now', 'name 30', 'sync 12'];

/** Images that are served while they come in, retrieved by arriving-writer.ts. @param program its bundle */
export function arrivingSubject(name: string, program: string): Subject {
  return { name, program, faultsOf, moments: MOMENTS };
}

/**
 * What is wrong after a cut with what a restart serves: less than was promised, or bytes that are not the image's; both
 * before the retrieval goes on and while it hashes what it has.
 */
async function faultsOf(folder: string, promises: readonly string[]): Promise<string[]> {
  if (!existsSync(join(folder, 'dmgw.db')) && promises.length === 0) return [];
  const images = openImages(folder, { cutThrough: true });
  const { store, catalog } = images;
  try {
    const arrivals = new Arrivals(images);
    const served = new Map<string, { readonly n: number; readonly bytes: number }>();
    const faults: string[] = [];
    const readAll = async (when: string): Promise<void> => {
      for (const image of catalog.all()) {
        if (!catalog.isServed(image)) continue;
        const n = Number(image.leaves.version);
        const content = await contentOf(image, arrivals, images.blobs.folder);
        if (typeof content === 'string') faults.push(`${image.node} ${when}: ${content}`);
        else if (!content.equals(arrivingOf(n).subarray(0, content.length))) {
          faults.push(`${image.node} ${when}: ${content.length} bytes, and not all are those of ${n}`);
        } else served.set(image.node, { n, bytes: content.length });
      }
    };

    await readAll('after the start');
    for (const line of new Map(promises.map((line) => [line.split(' ')[0], line])).values()) {
      const [node = '', n, bytes] = line.split(' ');
      const now = served.get(node);
      const version = Number(catalog.byNode(node)?.leaves.version ?? 0);
      // What came later took its place.
      if (version > Number(n)) continue;
      if (now?.n !== Number(n) || now.bytes < Number(bytes)) {
        faults.push(
          `${node} serves ${now?.bytes ?? 0} bytes of ${now?.n ?? version} instead of ${bytes ?? 0} of ${n ?? 0}`,
        );
      }
    }

    const defects: unknown[] = [];
    const downloader = new Downloader({
      ...PLAIN_RETRIEVALS,
      ...images,
      arrivals,
      // Nothing more comes in.
      access: { allowAddress: () => false },
      onDefect: (thrown) => defects.push(thrown),
    });
    const hashed = downloader.start();
    await readAll('while it is hashed');
    await hashed;
    await downloader.close();
    return [...faults, ...defects.map(String)];
  } finally {
    await store.close();
  }
}

/** All that is served of an image now, as its readers get it. @param folder of the images @returns why nothing can be read */
async function contentOf(image: ImageRecord, arrivals: Arrivals, folder: string): Promise<Buffer | string> {
  if (!isRunning(image.state)) {
    const file = join(folder, 'blobs', image.blob ?? '');
    if (!existsSync(file)) return 'the content is missing';
    const content = readFileSync(file);
    return sha256(content) === image.blob ? content : 'the content is damaged';
  }
  const reader = await arrivals.open(image);
  if (!reader) return 'its LocalImageURI leads to nothing';
  try {
    const content = Buffer.alloc(reader.readable());
    for (let at = 0; at < content.length;) {
      const bytes = await reader.read(content.subarray(at), content.length - at, at);
      if (bytes === 0) return `its file ends at byte ${at}`;
      at += bytes;
    }
    return content;
  } finally {
    await reader.close();
  }
}
