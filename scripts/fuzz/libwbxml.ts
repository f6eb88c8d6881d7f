import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Has libwbxml read these documents. @returns how many; null where it is not installed. @throws with what it said */
export function readByLibwbxml(documents: readonly Uint8Array[]): number | null {
  if (spawnSync('wbxml2xml', ['-h']).error) return null;
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-libwbxml-'));
  try {
    for (const [index, octets] of documents.entries()) writeFileSync(join(folder, String(index)), octets);
    const script = 'for file in *; do wbxml2xml -o /dev/null $file || { od -An -tx1 -v $file; exit 1; } >&2; done';
    const run = spawnSync('sh', ['-c', script], { cwd: folder, encoding: 'utf8', timeout: 60_000 });
    if (documents.length > 0 && run.status !== 0) throw new Error(`libwbxml cannot read an answer: ${run.stderr}`);
    return documents.length;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
