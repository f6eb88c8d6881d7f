/** Who may do what before any server has changed an ACL (management-objects: initial ACL). */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { Bench } from './bench.js';

describe('the initial ACL', () => {
  const own = 'Add=dmserver&Delete=dmserver&Exec=dmserver&Get=dmserver&Replace=dmserver';
  const bench = new Bench(
    ['ImageInventory/a/Name', 'DeviceInventory/d/DeviceID', 'Fanout/f/Targets'].map(
      (leaf) => ['given', `dmserver adds ./GwMO/${leaf} = urn:uuid:1`] as const,
    ),
  );
  after(() => bench.close());

  const ACLS: readonly (readonly [uri: string, acl: string])[] = [
    ['.', 'Get=*'],
    ['./DevInfo', ''],
    ['./DevDetail', ''],
    ['./DMAcc', ''],
    ['./DMAcc/dmserver', 'Get=dmserver&Replace=dmserver'],
    ['./DMAcc/other', 'Get=other&Replace=other'],
    ['./GwMO', ''],
    ['./GwMO/ImageInventory', 'Add=*&Get=*'],
    ['./GwMO/ImageInventory/a', own],
    ['./GwMO/ImageInventory/a/Name', ''],
    ['./GwMO/DeviceInventory', 'Add=*&Get=*'],
    ['./GwMO/DeviceInventory/d', own],
    ['./GwMO/Fanout', 'Add=*&Get=*'],
    ['./GwMO/Fanout/f', own],
    ['./GwMO/Storage', 'Get=*&Replace=dmserver'],
    ['./GwMO/Config', 'Get=*&Replace=dmserver'],
    ['./GwMO/Config/fanout/repeat', ''],
  ];
  for (const [uri, acl] of ACLS) {
    it(`of ${uri} is ${acl === '' ? 'that above it' : acl}`, () => {
      const found = bench.tree.get('local', `${uri}?prop=ACL`);
      assert.equal(found.ok ? found.value.data : found.error.code, acl);
    });
  }

  const value = { format: undefined, type: undefined, data: '1' };
  const CASES: readonly (readonly [server: string, what: string, uri: string, outcome: string])[] = [
    ['other', 'get', './GwMO/ImageInventory', 'ok'],
    ['other', 'get', './GwMO/ImageInventory/a', 'permission-denied'],
    ['other', 'get', './GwMO/ImageInventory/a/Name', 'permission-denied'],
    ['other', 'replace', './GwMO/ImageInventory/a/Name', 'permission-denied'],
    ['other', 'delete', './GwMO/Fanout/f', 'permission-denied'],
    ['other', 'get', './DMAcc/dmserver/Name', 'permission-denied'],
    ['other', 'get', './GwMO/Config/fanout/repeat', 'ok'],
    ['other', 'replace', './GwMO/Config/fanout/repeat', 'permission-denied'],
    ['other', 'replace', './GwMO/Config?prop=ACL', 'permission-denied'],
    ['other', 'replace', './GwMO/Storage?prop=Title', 'permission-denied'],
    ['dmserver', 'replace', './GwMO/Storage?prop=Title', 'ok'],
    ['dmserver', 'replace', './GwMO/Config/fanout/repeat', 'ok'],
    ['dmserver', 'replace', './.?prop=ACL', 'bad-uri'],
    ['dmserver', 'replace', '.?prop=ACL', 'permission-denied'],
    ['dmserver', 'replace', './GwMO/ImageInventory?prop=ACL', 'permission-denied'],
  ];
  for (const [serverId, what, uri, expected] of CASES) {
    it(`lets ${serverId} ${what} ${uri}: ${expected}`, () => {
      const outcome = bench.store.tentative(() => {
        if (what === 'get') return bench.tree.get({ serverId }, uri);
        if (what === 'delete') return bench.tree.delete({ serverId }, uri);
        return bench.tree.replace({ serverId }, uri, value);
      });
      assert.equal(outcome.ok ? 'ok' : outcome.error.code, expected);
    });
  }
});
