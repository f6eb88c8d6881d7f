import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { describe, it } from 'node:test';
import { ipFamily } from './family.js';

describe('the version of an IP address', () => {
  for (const text of [
    '0.0.0.0 127.0.0.1 192.168.1.255 10.0.0.256 1.2.3 1.2.3.4.5 01.2.3.4 1.2.3.4/8 1.2.3.4%lo 0x1.2.3.4 localhost',
    '1.2.3.00 1.2.3. .1.2.3 1..2.3 1.2.3.-1 1.2.3.+4 1.2.3.1e1 1.2.3.NaN 1.2.3.256 1.2.3.260 1.2.3.4294967296 ... 4',
    ':: ::1 1:: fe80::1 fe80::1%eth0 fe80::1% FD00:1::ABCD ::ffff:10.0.0.1 64:ff9b::10.0.0.1 ::10.0.0.256 1.2.3.4::',
    'fe80::1%br-lan fe80::1%br_lan fe80::1%eth0.1 fe80::1%E:0 fe80::1%%0 fe80::1%a%b fe80::1%é %lo ::ffff:10.0.0.1%lo',
    '1:2:3:4:5:6:7:8 1:2:3:4:5:6:7 1:2:3:4:5:6:7:8:9 1::2::3 ::12345 ::g [::1] ::1] ::]/x[:: ::1/64 ::1:80. : :::',
  ]) {
    it(`is what Node.js says it is: ${text}`, () => {
      for (const one of ['', ...text.split(' ')]) assert.equal(ipFamily(one), isIP(one), `'${one}'`);
    });
  }
});
