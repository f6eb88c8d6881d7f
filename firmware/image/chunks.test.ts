import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { BlobReader } from './blobs.js';
import { SharedChunks } from './chunks.js';
import { pattern } from './fixture.js';
import { PacedReads } from './outflow.js';

const CONTENT = pattern(3 * 1024 * 1024);
const A = {};

let nowMs: number;
let readTakesMs: number;
let isRotten: boolean;
let reads: number[];
let chunks: SharedChunks;
beforeEach(() => {
  [nowMs, readTakesMs, isRotten, reads] = [0, 0, false, []];
  chunks = new SharedChunks(new PacedReads(() => nowMs));
});

function blob(sha256 = 'a'): BlobReader {
  return {
    sha256,
    size: CONTENT.length,
    readNow: (buffer, length, position) => {
      if (isRotten) throw new Error('rotten');
      reads.push(position);
      nowMs += readTakesMs;
      return CONTENT.copy(buffer, 0, position, position + length);
    },
    read: () => Promise.reject(new Error('not asked for')),
    source: sha256 === 'a' ? A : {},
    readable: () => CONTENT.length,
    onMore: () => () => {},
    isVoid: () => isRotten,
    close: () => Promise.resolve(),
  };
}

describe('chunks', () => {
  it('that one client has read are there for the others, from wherever in them they go on', () => {
    const first = chunks.at(blob(), 1000, CONTENT.length)!;
    assert.ok(first.equals(CONTENT.subarray(1000, 1000 + first.length)));
    const second = chunks.at(blob(), 5000, 6000)!;
    assert.ok(second.equals(CONTENT.subarray(5000, 6000)));
    assert.deepEqual(reads, [1000]);
  });

  it('end at boundaries that all clients share, and at the end that is asked for', () => {
    for (const at of [0, 17, 500_000]) {
      const end = at + chunks.at(blob(String(at)), at, CONTENT.length)!.length;
      assert.equal(end, 512 * 1024);
    }
    assert.equal(chunks.at(blob(), 0, 7)!.length, 7);
  });

  it('of another blob are not taken for those of this one', () => {
    chunks.at(blob('a'), 0, 1000);
    chunks.at(blob('b'), 0, 1000);
    assert.deepEqual(reads, [0, 0]);
  });

  it('are replaced, the one least used first, with as much memory as before', () => {
    for (let round = 0; round < 2; round += 1) {
      for (let at = 0; at < CONTENT.length; at += 512 * 1024) {
        const bytes = chunks.at(blob(), at, CONTENT.length)!;
        assert.ok(bytes.equals(CONTENT.subarray(at, at + bytes.length)));
      }
    }
    assert.equal(reads.length, 12);
  });

  it('are not read while the disk is slow; what is there is used', () => {
    readTakesMs = 50;
    assert.ok(chunks.at(blob(), 0, 1000));
    assert.equal(chunks.at(blob(), 1000, 2000), undefined);
    assert.ok(chunks.at(blob(), 10, 1000));
    assert.deepEqual(reads, [0]);
  });

  it('are no longer used when the content has changed on the disk, and a failed read leaves none behind', () => {
    chunks.at(blob(), 0, 1000);
    isRotten = true;
    assert.throws(() => chunks.at(blob(), 0, 1000), /rotten/);
    isRotten = false;
    assert.ok(chunks.at(blob(), 0, 1000)!.equals(CONTENT.subarray(0, 1000)));
  });
});
