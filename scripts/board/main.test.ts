/** What `make test-board` says where it cannot run a board here. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

const folder = mkdtempSync(join(tmpdir(), 'dmgw-main-'));
after(() => rmSync(folder, { recursive: true }));

describe('a test of a board', () => {
  const test = (board: string, path = process.env.PATH): { status: number | null; stdout: string; stderr: string } => {
    const words = [join(import.meta.dirname, 'main.js'), 'test', board];
    return spawnSync(process.execPath, words, { encoding: 'utf8', env: { ...process.env, PATH: path } });
  };

  it('is skipped in a visible line, which is no failure, where qemu is missing and cannot be installed', () => {
    // All that setup.sh takes, but for apt-get.
    const bin = join(folder, 'bin');
    mkdirSync(bin);
    for (const name of ['bash', 'dirname', 'env', 'id', 'mkdir']) {
      symlinkSync(execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim(), join(bin, name));
    }
    for (const board of ['debian-arm64', 'debian-armhf']) {
      const { status, stdout, stderr } = test(board, bin);
      const line = `SKIPPED: ${board} was not tested, for want of qemu-user-static\n`;
      assert.deepEqual([status, stdout, stderr], [0, line, '']);
    }
  });

  it('is refused in one line for OpenWrt, which names the board that can be run here in its place', () => {
    for (const [board, instead] of [
      ['openwrt-armv7', 'debian-armhf'],
      ['openwrt-aarch64', 'debian-arm64'],
    ] as const) {
      const { status, stdout, stderr } = test(board);
      assert.deepEqual([status, stdout], [1, '']);
      assert.match(stderr, new RegExp(`^board: BOARD=${board} cannot run here: .*BOARD=${instead}\n$`));
    }
  });
});
