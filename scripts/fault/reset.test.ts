import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { minimal } from '../../firmware/config/example.fixture.js';
import { PROGRAMS } from '../flow/project.js';
import { FaultyDisk, whyNoFaults } from './faulty-disk.js';

/** What a gateway has learnt; an empty file is an empty database. */
const LEARNT = ['state/dmgw.db', 'state/dmgw.db-wal', 'state/provisioned.json', 'store/seeded'];
const MARK = 'state/factory-reset';

describe('a factory reset amid which the power goes', { skip: whyNoFaults() ?? false }, () => {
  /** Cuts the power before an operation. @returns whether it was reached, and what is left */
  function cutBefore(operation: string): { readonly cut: boolean; readonly left: readonly string[] } {
    const disk = new FaultyDisk('reset', `names strict; ${operation}`);
    try {
      const at = (name: string): string => join(disk.folder, name);
      for (const name of ['state', 'store']) mkdirSync(at(name));
      for (const name of LEARNT) writeFileSync(at(name), '', { mode: 0o600 });
      const places = { stateDir: at('state'), storeDir: at('store') };
      writeFileSync(at('gateway.json'), JSON.stringify({ ...minimal(), ...places }), { mode: 0o600 });
      // What the program does last, where it comes to its end.
      const last = `process.on('exit', () => require('node:fs').writeFileSync(${JSON.stringify(at('END'))}, ''));`;
      writeFileSync(at('last.cjs'), last);
      const words = [
        '--require',
        at('last.cjs'),
        PROGRAMS.gateway,
        'factory-reset',
        '--yes',
        '--config',
        at('gateway.json'),
      ];
      const { signal, stderr } = spawnSync(process.execPath, words, {
        env: { ...process.env, ...disk.environment },
        encoding: 'utf8',
      });
      assert.equal(stderr, '');
      return { cut: signal === 'SIGKILL', left: [...LEARNT, MARK].filter((name) => existsSync(at(name))) };
    } finally {
      disk.remove();
    }
  }

  it('has done nothing, or goes on at the next start, or has done all', () => {
    let begun = 0;
    for (const kind of ['name', 'sync'] as const) {
      for (let count = 1; ; count += 1) {
        const { cut, left } = cutBefore(`cut ${kind} ${count}`);
        const isSound = left.includes(MARK) || left.length === 0 || left.length === LEARNT.length;
        assert.ok(isSound, `before ${kind} ${count} nobody goes on, and there is ${left.join(', ')}`);
        if (left.includes(MARK)) begun += 1;
        if (!cut) break;
      }
    }
    assert.ok(begun > 0);
    assert.deepEqual(cutBefore('cut name 1 *END'), { cut: true, left: [] });
  });
});
