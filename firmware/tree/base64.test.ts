import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Base64Decoder, decodeBase64 } from './base64.js';

const octets = Uint8Array.from({ length: 100 }, (_, n) => (n * 37) % 256);

describe('Base64Decoder', () => {
  for (const length of [0, 1, 2, 3, 4, 97, 98, 99]) {
    it(`gives ${length} octets back, wherever the text is cut`, () => {
      const wanted = octets.slice(0, length);
      const text = Buffer.from(wanted)
        .toString('base64')
        .replace(/(.{76})/g, '$1\r\n');
      for (let cut = 0; cut <= text.length; cut += 1) {
        const decoder = new Base64Decoder();
        const first = decoder.write(text.slice(0, cut));
        const second = decoder.write(text.slice(cut));
        assert.ok(first && second && decoder.complete);
        assert.deepEqual(new Uint8Array(Buffer.concat([first, second])), wanted);
      }
    });
  }
  it('refuses whatever follows the padding, in a later piece too', () => {
    const decoder = new Base64Decoder();
    assert.ok(decoder.write('AA=='));
    assert.ok(decoder.write(' \n'));
    assert.equal(decoder.write('AAEC'), undefined);
  });
  it('does not end within a group', () => {
    const decoder = new Base64Decoder();
    assert.ok(decoder.write('AAEC AA'));
    assert.equal(decoder.complete, false);
    assert.equal(decodeBase64('AAECAA'), undefined);
  });
  for (const text of ['AA-_', 'A===', '====', 'AA=A', 'é', 'A A=']) {
    it(`'${text}' is no base64`, () => assert.equal(decodeBase64(text), undefined));
  }
});
