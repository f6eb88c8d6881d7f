import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import libxml from 'libxmljs2';
import { PROGRAMS } from '../flow/project.js';

const folder = mkdtempSync(join(tmpdir(), 'ddf-'));
after(() => rmSync(folder, { recursive: true }));

function ddf(...words: string[]): string {
  return execFileSync(process.execPath, [PROGRAMS.gateway, 'ddf', ...words], {
    encoding: 'utf8',
  });
}

const grammar = libxml.parseXml(readFileSync(join(import.meta.dirname, 'ddf.rng'), 'utf8'));

function isValid(text: string): boolean {
  const document = libxml.parseXml(text, { nonet: true });
  // The type declarations of libxmljs2 have forgotten it.
  return (document as typeof document & { rngValidate(schema: unknown): boolean }).rngValidate(grammar);
}

const standard = ddf();

describe('dmgw ddf', () => {
  it('prints a document of the structure of a DDF', () => {
    assert.ok(isValid(standard));
    assert.match(
      standard,
      /^<\?xml version="1.0" encoding="UTF-8"\?>\n<!DOCTYPE MgmtTree PUBLIC "-\/\/OMA\/\/DTD-DM-DDF 1.2\/\/EN"/,
    );
  });

  const mutations: readonly (readonly [what: string, from: string | RegExp, to: string])[] = [
    ['of another version', '<VerDTD>1.2<', '<VerDTD>1.1<'],
    ['without a version', '<VerDTD>1.2</VerDTD>', ''],
    ['of another namespace', 'syncml:dmddf1.2', 'syncml:dmddf1.1'],
    ['with a node without a name', '<NodeName>DevId</NodeName>', ''],
    ['with a name that is a path', '<NodeName>DevId<', '<NodeName>Dev/Id<'],
    ['with a node without properties', /<DFProperties>[^]*?<\/DFProperties>/, ''],
    ['without AccessType', /<AccessType>.*?<\/AccessType>/, ''],
    ['with an unknown access', '<Copy/><Get/>', '<Copy/><Put/>'],
    ['with access in another order', '<Copy/><Get/>', '<Get/><Copy/>'],
    ['with an unknown format', '<DFFormat><chr/>', '<DFFormat><string/>'],
    ['with two formats', '<DFFormat><chr/>', '<DFFormat><chr/><int/>'],
    ['without a format', /<DFFormat><chr\/><\/DFFormat>/, ''],
    ['with an interior node called chr', '<DFFormat><node/>', '<DFFormat><chr/>'],
    ['with a leaf called node', '<DFFormat><chr/>', '<DFFormat><node/>'],
    ['with an unknown occurrence', '<One/>', '<Two/>'],
    ['with ZeroOrN of nothing', '<ZeroOrMore/>', '<ZeroOrN/>'],
    ['with an unknown scope', '<Permanent/>', '<Eternal/>'],
    ['without a type', /<DFType>.*?<\/DFType>/, ''],
    ['with a type that is no media type', 'text/plain', 'text'],
    ['with properties in another order', /(<Occurrence>.*?<\/Occurrence>)(\s*)(<Scope>.*?<\/Scope>)/, '$3$2$1'],
    ['with something unknown', '<Description>', '<Remark/><Description>'],
  ];
  for (const [what, from, to] of mutations) {
    it(`and a document ${what} is none`, () => {
      const changed = standard.replace(from, to);
      assert.notEqual(changed, standard);
      assert.equal(isValid(changed), false);
    });
  }
  it('takes ZeroOrN with a number, because implementations may narrow', () => {
    assert.ok(isValid(standard.replace('<ZeroOrMore/>', '<ZeroOrN>1024</ZeroOrN>')));
  });

  it('prints the names of a board profile, and the maker of a configuration', () => {
    const names = {
      ImageInventory: './Vendor/Images',
      'ImageInventory/ImageURI': 'Url',
      'Fanout:type': 'com.example/1.0/F',
    };
    const board = join(folder, 'board.json');
    writeFileSync(board, JSON.stringify({ names }));
    const renamed = ddf('--board', board);
    assert.ok(isValid(renamed));
    assert.match(renamed, /<NodeName>Vendor<\/NodeName>[^]*<NodeName>Images<\/NodeName>[^]*<NodeName>Url<\/NodeName>/);
    assert.match(renamed, /<DFTitle>ImageURI<\/DFTitle>/);
    assert.match(renamed, /<DDFName>com.example\/1.0\/F<\/DDFName>/);
    assert.doesNotMatch(renamed, /<NodeName>ImageURI</);
    const config = join(folder, 'dmgw.json');
    const minimal = {
      stateDir: '/srv/state',
      storeDir: '/srv/store',
      device: { devId: 'IMEI:1', manufacturer: 'Smith & Sons', model: 'R<1>' },
      lan: { prefixes: ['127.0.0.0/8'] },
      serve: { listen: ['127.0.0.1'] },
    };
    writeFileSync(config, JSON.stringify(minimal), { mode: 0o600 });
    const both = ddf('--config', config, '--board', board);
    assert.ok(isValid(both));
    assert.match(both, /<Man>Smith &amp; Sons<\/Man>\n {2}<Mod>R&lt;1&gt;<\/Mod>/);
    assert.match(both, /<NodeName>Url<\/NodeName>/);
  });
});
