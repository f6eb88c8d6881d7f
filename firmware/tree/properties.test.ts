import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentLog } from '../log/index.js';
import { openStore, type Store } from '../store/index.js';
import { Properties, treeSchema } from './properties.js';

describe('Properties', () => {
  const folder = mkdtempSync(join(tmpdir(), 'properties-'));
  let store: Store;
  let properties: Properties;
  before(() => {
    store = openStore({ file: join(folder, 'db'), schema: treeSchema, log: silentLog });
    properties = new Properties(store);
  });
  after(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });

  it('tells an ACL that was never stored from one that was emptied', () => {
    assert.equal(properties.acl('n'), undefined);
    properties.setAcl('n', 'Get=*');
    properties.setAcl('n', '');
    assert.equal(properties.acl('n'), '');
  });
  it('forgets a node and everything below it, and no neighbour', () => {
    const below = ['Image/1', 'Image/1/Name', 'Image/1/~', 'Image/1/a/b/é', 'Image/1/\u{10ffff}'];
    const beside = ['Image', 'Image/10', 'Image/1.', 'Image/1-', 'Image/10/Name', 'Image/0', 'Image/2', 'Image/1 0'];
    for (const identity of [...below, ...beside]) properties.setAcl(identity, 'Get=A');
    properties.forget('Image/1');
    for (const identity of below) assert.equal(properties.acl(identity), undefined, identity);
    for (const identity of beside) assert.equal(properties.acl(identity), 'Get=A', identity);
  });
  it('reads the ACLs of all descendants at once, also those that were emptied', () => {
    properties.setAcl('Fanout/1', 'Get=A');
    properties.setAcl('Fanout/1/x', '');
    properties.setAcl('Fanout2/1', 'Get=B');
    const below = new Map([
      ['Fanout/1', 'Get=A'],
      ['Fanout/1/x', ''],
    ]);
    assert.deepEqual(properties.aclsBelow('Fanout'), below);
  });
});
