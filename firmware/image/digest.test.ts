import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { native } from '../native/index.js';
import { Digest } from './digest.js';

const PIECES = [0, 1, 63, 64, 65, 300_000, 7, 1_000_000].map((bytes, index) => Buffer.alloc(bytes, index + 1));
const EXPECTED = createHash('sha256').update(Buffer.concat(PIECES)).digest('hex');

const parts = [
  ['in a thread of its own', native()],
  ['on the event loop, where no OpenSSL can be found', {}],
] as const;

for (const [where, part] of parts) {
  describe(`the digest of content, ${where}`, () => {
    it('has the bytes in the order in which they are added, and ends the additions in this order', async () => {
      const digest = new Digest(part);
      const ended: number[] = [];
      await Promise.all(PIECES.map((bytes, index) => digest.add(bytes).then(() => ended.push(index))));
      assert.deepEqual(ended, [...PIECES.keys()]);
      assert.equal(digest.sha256(), EXPECTED);
      assert.equal(digest.sha256(), EXPECTED);
      await assert.rejects(digest.add(Buffer.from('more')));
      assert.ok(await new Promise((resolve) => digest.begin(Buffer.from('more'), resolve)));
    });

    it('ends an addition when what is done beside it has ended too', async () => {
      const digest = new Digest(part);
      let write: () => void = () => {};
      const written = new Promise<void>((resolve) => (write = resolve));
      let over = false;
      const added = digest.add(Buffer.from('ab'), written).then(() => (over = true));
      await digest.add(Buffer.from('c'));
      assert.equal(over, false);
      write();
      await added;
      assert.equal(digest.sha256(), createHash('sha256').update('abc').digest('hex'));
    });

    it('has left the bytes alone when it tells that what was done beside has failed', async () => {
      const digest = new Digest(part);
      const bytes = Buffer.alloc(4_000_000, 1);
      const expected = createHash('sha256').update(bytes).digest('hex');
      await assert.rejects(digest.add(bytes, Promise.reject(new Error('EIO'))), /EIO/);
      bytes.fill(2);
      assert.equal(digest.sha256(), expected);
    });

    it('of nothing is that of nothing', () => {
      assert.equal(new Digest(part).sha256(), createHash('sha256').digest('hex'));
    });
  });
}
