import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { PROJECT_ROOT, requirePrograms } from '../flow/project.js';
import { FaultyDisk, whyNoFaults } from './faulty-disk.js';

const skip = whyNoFaults() ?? false;

interface Told {
  readonly code: number | null;
  /** What is not as it should be: the result, and the text. */
  readonly wrong: Readonly<Record<string, readonly [string, string]>>;
}

/** What `dmgw preflight` says of a board whose disk has these ways. Its state is in `state`, its images in `images`. */
function preflight(rules: string): Told {
  const disk = new FaultyDisk('preflight', rules);
  try {
    const file = join(disk.folder, 'dmgw.json');
    const at = (name: string): string => join(disk.folder, name);
    const configuration = {
      stateDir: at('state'),
      storeDir: at('images'),
      controlSocket: at('socket'),
      volatile: true,
      device: { devId: 'IMEI:1', manufacturer: 'Example', model: 'R1' },
      lan: { prefixes: ['127.0.0.0/8'] },
      serve: { listen: ['127.0.0.1'], port: 0 },
      store: { quotaMiB: 1 },
    };
    for (const name of ['state', 'images']) mkdirSync(at(name));
    writeFileSync(file, JSON.stringify(configuration), { mode: 0o600 });
    const words = [join(PROJECT_ROOT, 'build/dmgw.cjs'), 'preflight', '--config', file, '--json'];
    const { status, stdout } = spawnSync(process.execPath, words, {
      encoding: 'utf8',
      env: { ...process.env, ...disk.environment },
    });
    const { checks } = JSON.parse(stdout) as { checks: { name: string; result: string; text: string }[] };
    const ofDisk = checks.filter(({ name, result }) => result !== 'ok' && /file-system|database/.test(name));
    const shown = ofDisk.map(({ name, result, text }) => [name, [result, text.replaceAll(disk.folder, '')]] as const);
    return { code: status, wrong: Object.fromEntries(shown) };
  } finally {
    disk.remove();
  }
}

describe('preflight on a file system', { skip }, () => {
  before(requirePrograms);

  it('without locks fails, and warns where files have no rights', () => {
    assert.deepEqual(preflight('fail ENOLCK lock 1+ */state/*; lie rights */images/*'), {
      code: 1,
      wrong: {
        'store-file-system': ['warning', '/images: the file system keeps no rights of files'],
        database: ['failed', '/state: the file system has no locks'],
      },
    });
  });

  it('fails where a database cannot be made unreadable to others, or a folder cannot be flushed', () => {
    const { code, wrong } = preflight('fail EPERM rights 1+ */state/*; fail EIO sync 1+ */images');
    assert.equal(code, 1);
    assert.deepEqual(Object.keys(wrong), ['store-file-system', 'database']);
    assert.match(wrong['store-file-system']?.join() ?? '', /^failed,\/images: EIO/);
    assert.match(wrong.database?.join() ?? '', /^failed,.* cannot be opened \(EPERM/);
  });

  it('passes where there is nothing odd', () => {
    assert.deepEqual(preflight(''), { code: 0, wrong: {} });
  });
});
