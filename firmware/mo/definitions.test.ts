/** The node tables of the documentation, held against the definitions that the tree runs on. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Access, NodeDefinition } from '../tree/index.js';
import { managementObjects } from './objects.js';
import { Names, type MoKey } from './names.js';

/**
 * A row: path below the root of the object, format, occurrence (1 one, ? zero or one, * many), access (G Get, R Replace,
 * A Add, D Delete, X Exec), scope (P permanent, D dynamic).
 */
const TABLES: Readonly<Record<MoKey, string>> = {
  DevInfo: `
    .                       node 1 G P
    DevId                   chr  1 G P
    Man                     chr  1 G P
    Mod                     chr  1 G P
    DmV                     chr  1 G P
    Lang                    chr  1 G P`,
  DevDetail: `
    .                       node 1 G P
    DevTyp                  chr  1 G P
    OEM                     chr  1 G P
    FwV                     chr  1 G P
    SwV                     chr  1 G P
    HwV                     chr  1 G P
    LrgObj                  bool 1 G P
    URI                     node 1 G P
    URI/MaxDepth            chr  1 G P
    URI/MaxTotLen           chr  1 G P
    URI/MaxSegLen           chr  1 G P`,
  DMAcc: `
    .                       node 1 G P
    <x>                     node * G D
    <x>/AppID               chr  1 G D
    <x>/ServerID            chr  1 G D
    <x>/Name                chr  1 GR D
    <x>/AAuthPref           chr  1 G D
    <x>/AppAddr             node 1 G D
    <x>/AppAddr/<x>         node * G D
    <x>/AppAddr/<x>/Addr    chr  1 GR D
    <x>/AppAddr/<x>/AddrType chr 1 G D
    <x>/AppAuth             node 1 G D
    <x>/AppAuth/<x>         node * G D
    <x>/AppAuth/<x>/AAuthLevel chr 1 G D
    <x>/AppAuth/<x>/AAuthType chr 1 G D
    <x>/AppAuth/<x>/AAuthName chr 1 GR D
    <x>/AppAuth/<x>/AAuthSecret chr 1 R D`,
  ImageInventory: `
    .                       node 1 G P
    <x>                     node * GAD D
    <x>/ImageID             chr  ? GRA D
    <x>/Name                chr  ? GRA D
    <x>/Version             chr  ? GRA D
    <x>/Description         chr  ? GRA D
    <x>/ImageURI            chr  ? GRA D
    <x>/Data                bin  ? RA D
    <x>/Digest              chr  ? GRA D
    <x>/Signature           chr  ? GRA D
    <x>/Priority            int  ? GRA D
    <x>/Size                chr  1 G D
    <x>/ContentType         chr  1 G D
    <x>/LocalImageURI       chr  1 G D
    <x>/State               int  1 G D
    <x>/Received            chr  1 G D
    <x>/Result              int  1 G D
    <x>/ResultText          chr  1 G D
    <x>/Pinned              bool ? GRA D
    <x>/Delivered           int  1 G D
    <x>/Delivery            node 1 G D
    <x>/Delivery/<x>        node * G D
    <x>/Delivery/<x>/DeviceID chr 1 G D
    <x>/Delivery/<x>/Ambiguous bool 1 G D
    <x>/Delivery/<x>/Bytes  chr  1 G D
    <x>/Delivery/<x>/Ranges chr  1 G D
    <x>/Delivery/<x>/Complete bool 1 G D
    <x>/Delivery/<x>/FirstTime chr 1 G D
    <x>/Delivery/<x>/Time   chr  1 G D
    <x>/Operations          node 1 G D
    <x>/Operations/Download null 1 X D
    <x>/Operations/Cancel   null 1 X D
    <x>/Operations/Remove   null 1 X D`,
  DeviceInventory: `
    .                       node 1 G P
    <x>                     node * GAD D
    <x>/DeviceID            chr  1 GA D
    <x>/ComponentType       chr  ? GRA D
    <x>/Mode                chr  ? GRA D
    <x>/Address             chr  ? GRA D
    <x>/Encapsulation       chr  ? GRA D
    <x>/Groups              chr  ? GRA D
    <x>/Name                chr  ? GRA D
    <x>/Source              chr  1 G D
    <x>/LastSeen            chr  1 G D
    <x>/Reachable           bool 1 G D`,
  Fanout: `
    .                       node 1 G P
    <x>                     node * GAD D
    <x>/Type                chr  ? GRA D
    <x>/Targets             chr  ? GRA D
    <x>/Notification        bin  ? RA D
    <x>/Target              node 1 G D
    <x>/Target/<x>          node * GAD D
    <x>/Target/<x>/DeviceID chr  ? GRA D
    <x>/Target/<x>/Notification bin ? RA D
    <x>/Target/<x>/Status   int  1 G D
    <x>/Target/<x>/Reacted  bool ? RA D
    <x>/Repeat              int  ? GRA D
    <x>/Interval            int  ? GRA D
    <x>/Lifetime            int  ? GRA D
    <x>/Rate                int  ? GRA D
    <x>/WaveSize            int  ? GRA D
    <x>/AbortAfterFailures  int  ? GRA D
    <x>/ImageRef            chr  ? GRA D
    <x>/State               int  1 G D
    <x>/Result              node 1 G D
    <x>/Result/Total        int  1 G D
    <x>/Result/Sent         int  1 G D
    <x>/Result/Reacted      int  1 G D
    <x>/Result/Failed       int  1 G D
    <x>/Operations          node 1 G D
    <x>/Operations/Start    null 1 X D
    <x>/Operations/Stop     null 1 X D`,
  Storage: `
    .                       node 1 G P
    Total                   chr  1 G P
    Free                    chr  1 G P
    Reserved                chr  1 G P
    Quota                   chr  1 G P`,
  Config: `
    .                       node 1 G P
    session                 node 1 G P
    session/intervalSeconds int  1 GR P
    retrieve                node 1 G P
    retrieve/maxBytesPerSecond int 1 GR P
    retrieve/maxBytesPerSecondPerImage int 1 GR P
    retrieve/windows        chr  1 GR P
    store                   node 1 G P
    store/quotaMiB          int  1 GR P
    fanout                  node 1 G P
    fanout/repeat           int  1 GR P
    fanout/intervalSeconds  int  1 GR P
    fanout/lifetimeSeconds  int  1 GR P
    fanout/ratePerSecond    int  1 GR P`,
};

/** Where each object stands, what it calls itself, and the ACL of its root where its definition has one. */
const ROOTS: Readonly<Record<MoKey, readonly [place: string, type: string, acl: string | undefined]>> = {
  DevInfo: ['DevInfo', 'urn:oma:mo:oma-dm-devinfo:1.0', undefined],
  DevDetail: ['DevDetail', 'urn:oma:mo:oma-dm-devdetail:1.0', undefined],
  DMAcc: ['DMAcc', 'urn:oma:mo:oma-dm-dmacc:1.0', undefined],
  ImageInventory: ['GwMO/ImageInventory', 'org.dmgw/1.0/ImageInventory', 'Add=*&Get=*'],
  DeviceInventory: ['GwMO/DeviceInventory', 'org.dmgw/1.0/DeviceInventory', 'Add=*&Get=*'],
  Fanout: ['GwMO/Fanout', 'org.dmgw/1.0/Fanout', 'Add=*&Get=*'],
  // Depends on the administrators: the provider's.
  Storage: ['GwMO/Storage', 'org.dmgw/1.0/Storage', undefined],
  Config: ['GwMO/Config', 'org.dmgw/1.0/Config', undefined],
};

const LETTERS: Readonly<Record<Access, string>> = {
  Get: 'G',
  Replace: 'R',
  Add: 'A',
  Delete: 'D',
  Exec: 'X',
  Copy: '', // what can be read can be copied
};
const OCCURRENCE = { One: '1', ZeroOrOne: '?', ZeroOrMore: '*', OneOrMore: '+' };

describe('the management objects', () => {
  const names = Names.parse({});
  assert.ok(names.ok);
  const objects = managementObjects(names.value);
  it('are those of the documentation, no more', () => {
    assert.deepEqual(objects.map(({ definition }) => definition.key).sort(), Object.keys(TABLES).sort());
  });
  for (const { place, definition } of objects) {
    const mo = definition.key as MoKey;
    it(`${mo} has the nodes of its table, with their formats and access`, () => {
      const table = TABLES[mo]
        .trim()
        .split('\n')
        .map((row) => row.trim().replace(/ +/g, ' '));
      assert.deepEqual(rowsOf(definition).sort(), table.sort());
    });
    it(`${mo} stands at its place, with its identifier and ACL`, () => {
      assert.deepEqual([place.join('/'), definition.type, definition.acl], ROOTS[mo]);
    });
  }
  it('that a server adds to belong to it alone', () => {
    const owned = objects.flatMap(({ definition }) =>
      (definition.children ?? []).flatMap(({ ownedByCreator }) => (ownedByCreator ? [definition.key] : [])),
    );
    assert.deepEqual(owned.sort(), ['DeviceInventory', 'Fanout', 'ImageInventory']);
  });
});

function rowsOf(node: NodeDefinition, path = '.'): string[] {
  const letters = node.access.map((access) => LETTERS[access]);
  const access = ['G', 'R', 'A', 'D', 'X'].filter((letter) => letters.includes(letter)).join('');
  const row = `${path} ${node.format} ${OCCURRENCE[node.occurrence]} ${access} ${node.scope.charAt(0)}`;
  const above = path === '.' ? '' : `${path}/`;
  return [row, ...(node.children ?? []).flatMap((child) => rowsOf(child, `${above}${child.name ?? '<x>'}`))];
}
