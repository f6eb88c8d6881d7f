import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ManualClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import type { Store } from '../store/index.js';
import { openTestStore } from '../store/store.fixture.js';
import { Properties, treeChanges, treeSchema } from './properties.js';

const SCHEMA = [...treeSchema, ...treeChanges];

describe('Properties', () => {
  const folder = mkdtempSync(join(tmpdir(), 'properties-'));
  let store: Store;
  let properties: Properties;
  const clock = new ManualClock();
  before(() => {
    store = openTestStore({ file: join(folder, 'db'), schema: SCHEMA, log: silentLog });
    properties = new Properties(store, clock);
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
  it('an ACL of a database from before versions were counted is kept', async () => {
    const file = join(folder, 'old');
    const old = openTestStore({ file, schema: treeSchema, log: silentLog });
    old.sql("INSERT INTO node_property (identity, acl) VALUES ('a', 'Get=A'), ('b', '')").run();
    await old.close();
    const migrated = openTestStore({ file, schema: SCHEMA, log: silentLog });
    const kept = new Properties(migrated, clock);
    assert.deepEqual([kept.acl('a'), kept.acl('b'), kept.acl('c')], ['Get=A', '', undefined]);
    await migrated.close();
  });
  it('a title or a version is no ACL', () => {
    properties.setTitle('t', 'title');
    properties.countChange('v');
    assert.deepEqual([properties.acl('t'), properties.acl('v')], [undefined, undefined]);
    assert.deepEqual([properties.change('t'), properties.title('v')], [undefined, '']);
    assert.deepEqual([...properties.aclsBelow('t')], []);
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
