import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { aclFor, formatAcl, grants, parseAcl, withoutServer } from './acl.js';

function parsed(text: string): string {
  const acl = parseAcl(text);
  return acl.ok ? formatAcl(acl.value) : acl.error.code;
}

describe('parseAcl', () => {
  const cases: readonly (readonly [text: string, expected: string])[] = [
    ['', ''],
    ['Get=*', 'Get=*'],
    ['Replace=A+B&Add=*', 'Add=*&Replace=A+B'],
    ['Get=A+A', 'Get=A'],
    ['Add=x&Delete=x&Exec=x&Get=x&Replace=x', 'Add=x&Delete=x&Exec=x&Get=x&Replace=x'],
    ['Get=http://dm.example:8080/dm', 'Get=http://dm.example:8080/dm'],
    ['Get', 'bad-value'],
    ['Get=', 'bad-value'],
    ['Get=A+', 'bad-value'],
    ['Get=A B', 'bad-value'],
    ['Get=*+A', 'bad-value'],
    ['Get=A*', 'bad-value'],
    ['Get=A=B', 'bad-value'],
    ['Get=A&Get=B', 'bad-value'],
    ['Get=A&', 'bad-value'],
    ['Copy=A', 'bad-value'],
    ['get=A', 'bad-value'],
    [`Get=${'a'.repeat(3000)}`, 'too-large'],
  ];
  for (const [text, expected] of cases) {
    it(`'${text.slice(0, 40)}': '${expected}'`, () => assert.equal(parsed(text), expected));
  }
});

describe('grants', () => {
  const acl = parseAcl('Get=*&Replace=A+B');
  assert.ok(acl.ok);
  it('every server what stands under *, the named ones the rest, nobody what is not named', () => {
    assert.ok(grants(acl.value, 'Get', 'Z'));
    assert.ok(grants(acl.value, 'Replace', 'B'));
    assert.ok(!grants(acl.value, 'Replace', 'C'));
    assert.ok(!grants(acl.value, 'Delete', 'A'));
  });
  it('nothing to a server that calls itself *', () => assert.ok(!grants(acl.value, 'Replace', '*')));
  it('all to the owner of aclFor', () => assert.equal(aclFor('S'), 'Add=S&Delete=S&Exec=S&Get=S&Replace=S'));
});

describe('withoutServer', () => {
  it('takes the server out and drops what is left empty', () => {
    const acl = parseAcl('Add=*&Get=A+B&Replace=A');
    assert.ok(acl.ok);
    assert.equal(formatAcl(withoutServer(acl.value, 'A')), 'Add=*&Get=B');
  });
});
