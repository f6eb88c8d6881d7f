/**
 * Documents for the tests of WBXML: vectors of which both forms are known octet by octet (facts 15.3, 15.4), and real
 * messages out of the files of other rooms.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { parseXml, wbxmlFragmentSize, type DocumentLimits, type Element } from './index.js';

export interface Vector {
  readonly name: string;
  readonly hex: string;
  /** The same document in XML, as a reader would see it. */
  readonly xml: string;
  /** What stands in Data where the XML says `{octets}`. */
  readonly octets?: string;
}

const syncml = (header: string, body: string): string =>
  '<SyncML xmlns="SYNCML:SYNCML1.2" xmlns:m="syncml:metinf"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto>' +
  `${header}</SyncHdr><SyncBody>${body}<Final/></SyncBody></SyncML>`;
const from = (target: string, source: string): string =>
  '<SessionID>1</SessionID><MsgID>1</MsgID>' +
  `<Target><LocURI>${target}</LocURI></Target><Source><LocURI>${source}</LocURI></Source>`;

/** T1 as it is, and inside the Data of T2. */
const TNDS_HEX =
  '0300006a1b2d2f2f4f4d412f2f4454442d444d2d44444620312e322f2f454e000002607703312e3200016466034100016f5c0b0175' +
  '6103746578742f706c61696e000101017603686900010101';

export const VECTORS: readonly Vector[] = [
  {
    name: 'W1',
    hex:
      '03a4016a006d6c7103312e3200017203444d2f312e32000165033132333400015b033200016e5703687474703a2f2f732f646d0001' +
      '0167570375726e3a783a31000101016b694b033100015c033100014c033000014a0353796e6348647200014f03323132000101624b' +
      '033200015c033100014c03330001546757032e2f410001015a0001470363687200015303746578742f706c61696e00010100004f03' +
      '686900010101120101',
    xml: syncml(
      '<SessionID>1234</SessionID><MsgID>2</MsgID><Target><LocURI>http://s/dm</LocURI></Target>' +
        '<Source><LocURI>urn:x:1</LocURI></Source>',
      '<Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>212</Data></Status>' +
        '<Results><CmdID>2</CmdID><MsgRef>1</MsgRef><CmdRef>3</CmdRef><Item><Source><LocURI>./A</LocURI></Source>' +
        '<Meta><m:Format>chr</m:Format><m:Type>text/plain</m:Type></Meta><Data>hi</Data></Item></Results>',
    ),
  },
  {
    name: 'W2',
    hex:
      '03a4016a006d6c7103312e3200017203444d2f312e32000165033100015b033100016e570373000101675703640001560367773030' +
      '310001014e5a000147036236340001530373796e636d6c3a617574682d6d643500010100004f033342394d64412b5461316a304736' +
      '4e5a2b61302b55773d3d0001015a00014c0334303936000155033130303030300001010100006b464b033100014f03313232360001' +
      '7c0363310001546757032e2f410001015a00014703696e74000153037400014b037761726e696e6700010100004f03323030000101' +
      '01120101',
    xml: syncml(
      '<SessionID>1</SessionID><MsgID>1</MsgID><Target><LocURI>s</LocURI></Target>' +
        '<Source><LocURI>d</LocURI><LocName>gw001</LocName></Source>' +
        '<Cred><Meta><m:Format>b64</m:Format><m:Type>syncml:auth-md5</m:Type></Meta>' +
        '<Data>3B9MdA+Ta1j0G6NZ+a0+Uw==</Data></Cred>' +
        '<Meta><m:MaxMsgSize>4096</m:MaxMsgSize><m:MaxObjSize>100000</m:MaxObjSize></Meta>',
      '<Alert><CmdID>1</CmdID><Data>1226</Data><Correlator>c1</Correlator><Item><Source><LocURI>./A</LocURI></Source>' +
        '<Meta><m:Format>int</m:Format><m:Type>t</m:Type><m:Mark>warning</m:Mark></Meta><Data>200</Data></Item></Alert>',
    ),
  },
  {
    name: 'W3',
    hex:
      '03a4016a006d6c7103312e3200017203444d2f312e32000165033100015b033100016e57037300010167570364000101016b604b03' +
      '340001546e57032e2f420001015a0001470362696e00010100004fc304deadbeef010101120101',
    xml: syncml(
      from('s', 'd'),
      '<Replace><CmdID>4</CmdID><Item><Target><LocURI>./B</LocURI></Target>' +
        '<Meta><m:Format>bin</m:Format></Meta><Data>{octets}</Data></Item></Replace>',
    ),
    octets: 'deadbeef',
  },
  {
    name: 'T1',
    hex: TNDS_HEX,
    xml:
      '<MgmtTree xmlns="syncml:dmddf1.2"><VerDTD>1.2</VerDTD><Node><NodeName>A</NodeName><RTProperties>' +
      '<Format><chr/></Format><Type><MIME>text/plain</MIME></Type></RTProperties><Value>hi</Value></Node></MgmtTree>',
  },
  {
    name: 'T2',
    hex:
      '03a4016a006d6c7103312e3200017203444d2f312e32000165033100015b033100016e57036400010167570373000101016b454b03' +
      '310001546e57032e2f410001015a00014703786d6c000153036170706c69636174696f6e2f766e642e73796e636d6c2e646d746e64' +
      `732b7762786d6c00010100004fc34d${TNDS_HEX}010101120101`,
    xml: syncml(
      from('d', 's'),
      '<Add><CmdID>1</CmdID><Item><Target><LocURI>./A</LocURI></Target><Meta><m:Format>xml</m:Format>' +
        '<m:Type>application/vnd.syncml.dmtnds+wbxml</m:Type></Meta><Data>{octets}</Data></Item></Add>',
    ),
    octets: TNDS_HEX,
  },
];

export interface Message {
  readonly name: string;
  readonly root: Element;
}

/** Every message of the conversations and of the test data of `dm/` that is well-formed, without what has no token. */
export function realMessages(): readonly Message[] {
  return [...testdataMessages(), ...conversationMessages()].map(({ name, root }) => ({ name, root: withTokens(root) }));
}

const DM = new URL('../dm/', import.meta.url);
const LIMITS: DocumentLimits = { maxBytes: 1_000_000, maxDepth: 64, maxElements: 50_000 };

function testdataMessages(): Message[] {
  return ['testdata/', 'testdata/bad/'].flatMap((folder) =>
    readdirSync(new URL(folder, DM))
      .filter((name) => name.endsWith('.xml'))
      .flatMap((name) => {
        const parsed = parseXml(readFileSync(new URL(folder + name, DM)), LIMITS);
        return parsed.ok && parsed.value.name === 'SyncML' ? [{ name: folder + name, root: parsed.value }] : [];
      }),
  );
}

/** A section of a conversation that tells a message begins with its SyncHdr, perhaps incomplete. */
function conversationMessages(): Message[] {
  return readdirSync(new URL('conversations/', DM))
    .filter((name) => name.endsWith('.txt'))
    .flatMap((name) => {
      const sections = readFileSync(new URL(`conversations/${name}`, DM), 'utf8').split(/^(?:>>>|<<<|===) .*$/m);
      const messages = sections.map((section) => section.trim()).filter((section) => section.startsWith('<SyncHdr'));
      return messages.map((text, index) => ({ name: `${name} #${index + 1}`, root: toldMessage(text) }));
    });
}

function toldMessage(text: string): Element {
  const told = text.replace(
    /\{(\w+) ?([^{}]*)\}/g,
    (_, word: string, rest: string) => PLACEHOLDERS[word]?.(rest) ?? word,
  );
  const parsed = parseXml(Buffer.from(`<SyncML xmlns="SYNCML:SYNCML1.2">${told}</SyncML>`), LIMITS);
  assert.ok(parsed.ok, `${parsed.ok ? '' : parsed.error.text}\n${told}`);
  const [header, ...body] = parsed.value.children;
  const children = [...(header ? [header] : []), { ...parsed.value, name: 'SyncBody', children: body }];
  return withMetinf({ ...parsed.value, children });
}

const CREDENTIALS =
  '<Meta><Format>b64</Format><Type>syncml:auth-md5</Type></Meta><Data>Zz6EivR3yeaaENcRN6lpAQ==</Data>';
/** What the placeholders of the conversations stand for, as far as their form matters here. */
const PLACEHOLDERS: Readonly<Record<string, (rest: string) => string>> = {
  DevInfo: () =>
    '<Item><Source><LocURI>./DevInfo/Man</LocURI></Source><Meta><Format>chr</Format></Meta><Data>A</Data></Item>',
  cred: () => `<Cred>${CREDENTIALS}</Cred>`,
  chal: () => '<Chal><Meta><Type>syncml:auth-md5</Type><NextNonce>Tm9uY2U=</NextNonce></Meta></Chal>',
  letters: (count) => 'x'.repeat(Number(count)),
};

function withMetinf(root: Element): Element {
  const children = root.children.map(withMetinf);
  const inMeta = (one: Element): Element => ({ ...one, namespace: 'metinf' });
  return { ...root, children: root.name === 'Meta' ? children.map(inMeta) : children };
}

function withTokens(root: Element): Element {
  const hasToken = (one: Element): boolean => {
    try {
      return wbxmlFragmentSize({ ...one, text: '', children: [] }) > 0;
    } catch {
      return false;
    }
  };
  return { ...root, children: root.children.filter(hasToken).map(withTokens) };
}
