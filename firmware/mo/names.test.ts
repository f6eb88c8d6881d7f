import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatNodeUri, URI_LIMITS } from '../tree/index.js';
import { Names } from './names.js';
import { parseNames } from './objects.js';

function names(overrides: Readonly<Record<string, string>>): Names {
  const parsed = Names.parse(overrides);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.error.text);
  return parsed.value;
}

describe('Names', () => {
  it('are the standard ones where nothing else is said', () => {
    const standard = names({});
    assert.deepEqual(standard.place('DevInfo'), ['DevInfo']);
    assert.deepEqual(standard.place('ImageInventory'), ['GwMO', 'ImageInventory']);
    assert.equal(standard.type('DMAcc'), 'urn:oma:mo:oma-dm-dmacc:1.0');
    assert.equal(standard.node('ImageInventory', 'ImageURI'), 'ImageURI');
  });
  it('change place, identifier and node of one object, and of no other', () => {
    const changed = names({
      ImageInventory: './Vendor/Images',
      'ImageInventory:type': 'com.example/1.0/Images',
      'ImageInventory/State': 'Phase',
    });
    assert.deepEqual(changed.place('ImageInventory'), ['Vendor', 'Images']);
    assert.equal(changed.type('ImageInventory'), 'com.example/1.0/Images');
    assert.equal(changed.node('ImageInventory', 'State'), 'Phase');
    assert.equal(changed.node('Fanout', 'State'), 'State');
    assert.deepEqual(changed.place('Fanout'), ['GwMO', 'Fanout']);
  });

  const refused: readonly (readonly [what: string, overrides: Readonly<Record<string, string>>])[] = [
    ['an object that does not exist', { Images: './Images' }],
    ['a node of an object that does not exist', { 'Images/Name': 'N' }],
    ['an inherited property of JavaScript', { constructor: './x' }],
    ['an object that OMA fixes', { DevInfo: './Vendor/DevInfo' }],
    ['a node that OMA fixes', { 'DMAcc/Name': 'N' }],
    ['the identifier of the accounts', { 'DMAcc:type': 'x' }],
    ['an alert that does not exist', { 'alert:noon': 'x' }],
    ['an alert type with a space', { 'alert:fanoutFinished': 'a b' }],
    ['a long place', { Fanout: `./${'x'.repeat(60)}/${'y'.repeat(60)}` }],
    ['an identifier that OMA fixes', { 'DevDetail:type': 'x' }],
    ['an empty identifier', { 'Fanout:type': '' }],
    ['the root as a place', { Fanout: '.' }],
    ['a place without its dot', { Fanout: '/Vendor/Fanout' }],
    ['a place with a trailing slash', { Fanout: './Vendor/' }],
    ['a place that leads up', { Fanout: './../Fanout' }],
    ['a place with a dot for a name', { Fanout: './Vendor/.' }],
    ['a place with a space', { Fanout: './My Fanout' }],
    ['a node with a slash', { 'Fanout/State': 'a/b' }],
    ['a node without a name', { 'Fanout/State': '' }],
    ['two objects at one place', { Fanout: './GwMO/Storage' }],
    ['two objects at one new place', { Fanout: './X', Storage: './X' }],
    ['an object inside another', { Fanout: './GwMO/Storage/Fanout' }],
    ['an object around others', { Fanout: './GwMO' }],
    ['an object at the place of one that OMA fixes', { Fanout: './DevInfo' }],
  ];
  for (const [what, overrides] of refused) {
    it(`refuse ${what}`, () => {
      const parsed = Names.parse(overrides);
      assert.equal(parsed.ok ? 'taken' : parsed.error.code, 'bad-name');
    });
  }
  it('let the accounts stand elsewhere, and change the types of alerts', () => {
    const changed = names({ DMAcc: './Vendor/Accounts', 'alert:fanoutFinished': 'com.example.done' });
    assert.deepEqual(changed.place('DMAcc'), ['Vendor', 'Accounts']);
    assert.equal(changed.alertType('fanoutFinished'), 'com.example.done');
    assert.equal(changed.alertType('imageRetrieved'), 'org.dmgw.imageinventory.retrieved');
  });
  it('leave every node within the limits of URIs, wherever its object stands', () => {
    const place = `./${'p'.repeat(58)}/${'q'.repeat(59)}`;
    const parsed = parseNames({
      Fanout: place,
      'Fanout/Target': 't'.repeat(64),
      'Fanout/Notification': 'n'.repeat(64),
    });
    assert.ok(parsed.ok && place.length === 120);
    const [x, y] = ['x'.repeat(URI_LIMITS.maxSegmentLength), 'y'.repeat(URI_LIMITS.maxSegmentLength)];
    const uri = formatNodeUri([
      ...parsed.value.place('Fanout'),
      x,
      parsed.value.node('Fanout', 'Target'),
      y,
      parsed.value.node('Fanout', 'Notification'),
    ]);
    assert.ok(uri.length <= URI_LIMITS.maxTotalLength, String(uri.length));
  });
  for (const [what, overrides] of [
    ['a node that does not exist', { 'ImageInventory/Nonsense': 'N' }],
    ['a node of another object', { 'Storage/State': 'N' }],
    ['two siblings of one name', { 'ImageInventory/State': 'Phase', 'ImageInventory/Result': 'Phase' }],
    ['the name of a sibling', { 'Fanout/State': 'Result' }],
  ] as const) {
    it(`of nodes: refuse ${what}`, () => assert.equal(parseNames(overrides).ok, false));
  }
  it('of nodes may be exchanged', () => {
    assert.ok(parseNames({ 'ImageInventory/State': 'Result', 'ImageInventory/Result': 'State' }).ok);
  });
  it('take a place whose name begins like another one', () => {
    assert.ok(Names.parse({ Fanout: './GwMO/StorageFanout' }).ok);
  });
});
