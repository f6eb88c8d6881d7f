import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PLAIN_RETRIEVALS } from '../../firmware/image/downloader.fixture.js';
import { Downloader } from '../../firmware/image/index.js';
import type { Subject } from './campaign.js';
import { contentOf, sha256 } from './contents.js';
import { openImages } from './images.js';

const MOMENTS = ['sync 80', 'name 60', 'now', 'write 200', 'sync 12', 'name 12'];

/** Database and blobs together, written by image-writer.ts. @param program its bundle */
export function imagesSubject(name: string, program: string): Subject {
  return { name, program, faultsOf, moments: MOMENTS };
}

/**
 * What is wrong with images after a cut: rows that name content which is not there or is not theirs, promises that are
 * not kept, files that nobody wants and that are still there after a start.
 */
async function faultsOf(folder: string, promises: readonly string[]): Promise<string[]> {
  if (!existsSync(join(folder, 'dmgw.db')) && promises.length === 0) return [];
  const images = openImages(folder);
  const { store, catalog, blobs } = images;
  try {
    const faults = store
      .sql<{ integrity_check: string }>('PRAGMA integrity_check')
      .all()
      .map((row) => row.integrity_check)
      .filter((line) => line !== 'ok');
    const promised = new Map(promises.map((line) => line.split(' ') as [string, string]));
    for (const [node, n] of promised) {
      if (Number(catalog.byNode(node)?.leaves.version ?? 0) < Number(n)) faults.push(`${node} does not have ${n}`);
    }
    const told = new Set((await blobs.found()).flatMap(({ sha256, sidecar }) => (sidecar ? [sha256] : [])));
    for (const { node, state, blob, leaves } of catalog.all()) {
      if (state !== 'available' || blob === null) continue;
      const file = join(blobs.folder, 'blobs', blob);
      if (!existsSync(file)) faults.push(`${node}: the content is missing`);
      else if (sha256(readFileSync(file)) !== blob) faults.push(`${node}: the content is damaged`);
      // Without it nobody could tell whose the content is, were the database lost.
      else if (!told.has(blob)) faults.push(`${node}: the sidecar is damaged`);
      if (sha256(contentOf(Number(leaves.version))) !== blob) faults.push(`${node}: content of another number`);
    }
    const defects: unknown[] = [];
    const downloader = new Downloader({
      ...PLAIN_RETRIEVALS,
      ...images,
      onDefect: (thrown) => defects.push(thrown),
    });
    await downloader.start();
    await downloader.close();
    const wanted = new Set(catalog.all().flatMap(({ blob }) => (blob === null ? [] : [blob, `${blob}.json`])));
    const left = ['blobs', 'partial'].flatMap((name) => readdirSync(join(blobs.folder, name)));
    faults.push(...left.filter((name) => !wanted.has(name)).map((name) => `nobody wants ${name}`));
    return [...faults, ...defects.map(String)];
  } finally {
    await store.close();
  }
}
