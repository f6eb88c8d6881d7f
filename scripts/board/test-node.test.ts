/** `make test-node`, with a Makefile in the place of the project's, and the Node.js of this machine in that of another. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { PROJECT_ROOT } from '../flow/project.js';

const SCRIPT = 'scripts/board/test-node.sh';
const folder = mkdtempSync(join(tmpdir(), 'dmgw-test-node-'));
after(() => rmSync(folder, { recursive: true }));

function testNode(...words: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(join(folder, SCRIPT), words, { encoding: 'utf8' });
}

describe('the tests on another Node.js', () => {
  const put = (file: string, content = ''): void => {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), content);
  };
  const git = (...words: string[]): unknown =>
    execFileSync('git', ['-c', 'user.name=x', '-c', 'user.email=x@localhost', ...words], { cwd: folder });

  before(() => {
    put('.gitignore', '/build/\n/node_modules/\n');
    put('Makefile', "setup:\ntest:\n\t@find * -name '*.test.ts' | sort\n");
    for (const name of ['kept', 'removed', 'deleted']) put(`a/${name}.test.ts`);
    mkdirSync(join(folder, dirname(SCRIPT)), { recursive: true });
    copyFileSync(join(PROJECT_ROOT, SCRIPT), join(folder, SCRIPT));
    const bin = join(folder, `build/node/22/node-linux-${process.arch}@22.23.3/bin`);
    mkdirSync(bin, { recursive: true });
    symlinkSync(process.execPath, join(bin, 'node'));
    git('init', '-q');
    git('add', '.');
    git('commit', '-qm', 'x');
  });

  it('are refused in one line, which names the versions that there are, without one of them', () => {
    for (const words of [[], [''], ['19'], ['22', '24']]) {
      const { status, stdout, stderr } = testNode(...words);
      assert.deepEqual([status, stdout], [2, '']);
      assert.match(stderr, /^usage: [^\n]*; there are: 20 22 24\n$/);
    }
  });

  it('begin with which addons work on it: each is loaded, and one that is missing or does not load is named', () => {
    const place = (of: string, content: string): void => put(`build/node/22/project/node_modules/${of}`, content);
    const said = (): string[] => {
      const { status, stdout, stderr } = testNode('22');
      assert.equal(status, 0, stderr);
      return stdout.split('\n').filter((line) => / work/.test(line));
    };
    const lines = (...works: boolean[]): string[] =>
      ['better-sqlite3', 'libxmljs2', 'mdns'].map(
        (name, index) => `test-node: ${name} ${works[index] === true ? 'works' : 'does not work'}`,
      );
    assert.deepEqual(said(), lines(false, false, false));
    // Node.js cannot load this one: it is no ELF file.
    place('better-sqlite3/build/Release/better_sqlite3.node', 'no addon');
    place('libxmljs2/index.js', '');
    place('mdns/index.js', "throw new Error('was compiled against a different Node.js version')");
    assert.deepEqual(said(), lines(false, true, false));
    place('mdns/index.js', '');
    assert.deepEqual(said(), lines(false, true, true));
    copyFileSync(
      join(PROJECT_ROOT, 'node_modules/better-sqlite3/build/Release/better_sqlite3.node'),
      join(folder, 'build/node/22/project/node_modules/better-sqlite3/build/Release/better_sqlite3.node'),
    );
    assert.deepEqual(said(), lines(true, true, true));
    rmSync(join(folder, 'build/node/22/project/node_modules'), { recursive: true });
  });

  it('are those that are there now: what is gone from the sources is gone from the copy, but nothing that was built', () => {
    const tests = (): string[] => {
      const { status, stdout, stderr } = testNode('22');
      assert.equal(status, 0, stderr);
      return stdout.split('\n').filter((line) => line.endsWith('.test.ts'));
    };
    assert.deepEqual(tests(), ['a/deleted.test.ts', 'a/kept.test.ts', 'a/removed.test.ts']);
    const built = ['node_modules/x/index.js', 'build/dmgw.cjs'];
    for (const file of built) put(`build/node/22/project/${file}`);
    git('rm', '-q', 'a/removed.test.ts');
    rmSync(join(folder, 'a/deleted.test.ts'));
    put('a/new one.test.ts');
    assert.deepEqual(tests(), ['a/kept.test.ts', 'a/new one.test.ts']);
    for (const file of built) assert.ok(existsSync(join(folder, 'build/node/22/project', file)), file);
  });
});
