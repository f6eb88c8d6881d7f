import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DESCRIPTOR_LIMITS, isDescriptor, parseDescriptor } from './descriptor.js';

const BASE = new URL('https://dl.example/fw/image.dd?x=1');
const TYPE = '<type>application/x-firmware</type>';
const SIZE = '<size>1000</size>';
const OBJECT = '<objectURI>image.bin?token=1</objectURI>';
const NOTIFY = '<installNotifyURI>/report</installNotifyURI>';

const media = (...elements: string[]): string =>
  `<?xml version="1.0"?><media xmlns="http://www.openmobilealliance.org/xmlns/dd">${elements.join('')}</media>`;

function read(text: string) {
  return parseDescriptor(Buffer.from(text), BASE);
}

describe('a download descriptor', () => {
  it('gives types, size and URLs, relative ones against its own', () => {
    assert.deepEqual(read(media(TYPE, SIZE, OBJECT, NOTIFY)), {
      ok: true,
      value: {
        types: ['application/x-firmware'],
        size: 1000,
        objectUri: 'https://dl.example/fw/image.bin?token=1',
        installNotifyUri: 'https://dl.example/report',
      },
    });
  });

  const taken: readonly (readonly [name: string, text: string])[] = [
    ['without installNotifyURI', media(TYPE, SIZE, OBJECT)],
    ['with unknown elements', media(TYPE, SIZE, OBJECT, '<future a="b"><deep>1</deep></future>')],
    [
      'with what is for people',
      media(TYPE, SIZE, OBJECT, '<name>n</name><vendor>v</vendor><nextURL>http://a/</nextURL><installParam/>'),
    ],
    ['of version 1.0', media('<DDVersion>1.0</DDVersion>', TYPE, SIZE, OBJECT)],
    ['of version 1.9', media('<DDVersion> 1.9 </DDVersion>', TYPE, SIZE, OBJECT)],
    [
      'with several types, in any case, with parameters',
      media('<type>Application/X-A; v=1</type>', TYPE, SIZE, OBJECT),
    ],
    ['with white space', media(TYPE, '<size>\n1000\n</size>', '<objectURI>\n http://a.example/x \n</objectURI>')],
    [
      'with prefixes',
      `<d:media xmlns:d="urn:x"><d:type>a/b</d:type><d:size>1</d:size><d:objectURI>x</d:objectURI></d:media>`,
    ],
  ];
  for (const [name, text] of taken) {
    it(`is taken ${name}`, () => {
      const parsed = read(text);
      assert.ok(parsed.ok, parsed.ok ? '' : parsed.error.text);
    });
  }

  const refused: readonly (readonly [name: string, text: string, code: string, notified?: boolean])[] = [
    ['empty', '', 'descriptor-invalid'],
    ['no XML', '{"size": 1}', 'descriptor-invalid'],
    ['cut', media(TYPE, SIZE, OBJECT).slice(0, -4), 'descriptor-invalid'],
    ['of another kind', `<html>${TYPE}${SIZE}${OBJECT}</html>`, 'descriptor-invalid'],
    ['of DLOTA 2', '<product><mediaObject/></product>', 'descriptor-invalid'],
    ['with entities', `<!DOCTYPE media [<!ENTITY a "b">]>${media(TYPE, SIZE, OBJECT)}`, 'descriptor-invalid'],
    ['that is a bomb', `<media>${'<a>'.repeat(10)}${'</a>'.repeat(10)}</media>`, 'descriptor-invalid'],
    ['with too many elements', media(TYPE, SIZE, OBJECT, '<x/>'.repeat(300)), 'descriptor-invalid'],
    [
      'too long',
      media(TYPE, SIZE, OBJECT, `<name>${'n'.repeat(DESCRIPTOR_LIMITS.maxBytes)}</name>`),
      'descriptor-invalid',
    ],
    ['of version 2.0', media('<DDVersion>2.0</DDVersion>', TYPE, SIZE, OBJECT, NOTIFY), 'descriptor-version', true],
    ['of a version that is none', media('<DDVersion>one</DDVersion>', TYPE, SIZE, OBJECT), 'descriptor-version'],
    [
      'of two versions',
      media('<DDVersion>1.0</DDVersion><DDVersion>1.0</DDVersion>', TYPE, SIZE, OBJECT),
      'descriptor-version',
    ],
    ['with an empty objectURI', media(TYPE, SIZE, '<objectURI/>'), 'descriptor-invalid'],
    ['with two installNotifyURIs', media(TYPE, OBJECT, NOTIFY, NOTIFY), 'descriptor-invalid'],
    ['without type', media(SIZE, OBJECT, NOTIFY), 'descriptor-invalid', true],
    ['with a type that is none', media('<type>firmware</type>', SIZE, OBJECT), 'descriptor-invalid'],
    ['without size', media(TYPE, OBJECT, NOTIFY), 'descriptor-invalid', true],
    ['with a size that is none', media(TYPE, '<size>-1</size>', OBJECT), 'descriptor-invalid'],
    ['with a size beyond all numbers', media(TYPE, '<size>99999999999999999999</size>', OBJECT), 'descriptor-invalid'],
    ['with two sizes', media(TYPE, SIZE, '<size>2000</size>', OBJECT), 'descriptor-invalid'],
    ['without objectURI', media(TYPE, SIZE, NOTIFY), 'descriptor-invalid', true],
    ['with an object in a file', media(TYPE, SIZE, '<objectURI>file:///etc/passwd</objectURI>'), 'descriptor-invalid'],
    ['with an object in the same message', media(TYPE, SIZE, '<objectURI>cid:1</objectURI>'), 'descriptor-invalid'],
    [
      'of a descriptor',
      media('<type>application/vnd.oma.dd+xml</type>', SIZE, OBJECT, NOTIFY),
      'content-refused',
      true,
    ],
    ['of a multipart', media(TYPE, '<type>multipart/related</type>', SIZE, OBJECT), 'content-refused'],
  ];
  for (const [name, text, code, notified = false] of refused) {
    it(`is refused ${name}: ${code}`, () => {
      const parsed = read(text);
      assert.ok(!parsed.ok);
      assert.equal(parsed.error.code, code);
      assert.equal(parsed.error.installNotifyUri, notified ? 'https://dl.example/report' : undefined);
    });
  }

  it('is known by its type', () => {
    for (const type of ['application/vnd.oma.dd+xml', 'Application/VND.OMA.dd+xml; charset=utf-8']) {
      assert.ok(isDescriptor({ 'content-type': type }));
    }
    for (const type of [undefined, '', 'application/xml', 'application/vnd.oma.dd+xmlx']) {
      assert.ok(!isDescriptor(type === undefined ? {} : { 'content-type': type }));
    }
  });
});
