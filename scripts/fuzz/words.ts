/** Texts that a message may carry and that mean something to the one who reads it. */
import { PLACES } from '../../firmware/conversations/places.js';

const NAMES = ['a', 'a', 'a', 'b', 'b', '1', '%C3%A9', 'a b', '%2E%2E', 'constructor', '__proto__', 'x'.repeat(130)];

const QUERIES = [
  '?prop=ACL',
  '?prop=Name',
  '?prop=Type',
  '?prop=Title',
  '?prop=Format',
  '?prop=Size',
  '?prop=TStamp',
  '?prop=VerNo',
  '?list=Struct',
  '?list=StructData',
  '?list=TNDS',
  '?list=TNDS+Value',
  '?list=TNDS-ACL-Format',
  '?list=TNDS+Value-ACL',
  '?',
  '?prop',
  '?prop=',
];

/** The URI of a node, perhaps with a query. @param pick three numbers that choose */
export function uriFrom(pick: readonly [number, number, number]): string {
  const [place, name, query] = pick;
  let names = name;
  const uri = choose(PLACES, place).replaceAll('#', () => choose(NAMES, names++));
  // One in eight asks for a property or a list.
  return query % 8 === 0 ? `${uri}${choose(QUERIES, Math.floor(query / 8))}` : uri;
}

export const ACLS = [
  'Get=*&Replace=dmserver&Add=dmserver&Delete=dmserver&Exec=dmserver',
  'Get=other',
  'Add=*&Get=*',
  'Replace=dmserver',
  'Get=dmserver+other+a+b',
  'Get',
  'Get=',
  'Get=*+a',
  'Get=a&Get=b',
  '',
  Array.from({ length: 200 }, (_, n) => `s${n}`).join('+'),
  `Get=${Array.from({ length: 200 }, (_, n) => `s${n}`).join('+')}`,
];

const TNDS =
  '<MgmtTree xmlns="syncml:dmddf1.2"><VerDTD>1.2</VerDTD><Node><NodeName>a</NodeName><RTProperties><Format><node/></Format>' +
  '</RTProperties><Node><NodeName>Name</NodeName><RTProperties><Format><chr/></Format><Type><MIME>text/plain</MIME></Type>' +
  '</RTProperties><Value>tnds</Value></Node></Node></MgmtTree>';

export const VALUES = [
  '',
  '1',
  '-1',
  '99999999999',
  'true',
  'a',
  'fw',
  'AQID',
  'AQI',
  'http://images.example/fw',
  'http://images.example/fw\nhttp://images.example/fw2',
  'http://127.0.0.1/',
  'not a url',
  'urn:uuid:1',
  'udp://192.168.1.7:2948',
  'udp://8.8.8.8:1',
  'notification',
  '*',
  'group:g',
  ...ACLS,
  `sha-256=:${Buffer.alloc(32).toString('base64')}:`,
  '\u{1F600}',
  '\0',
  '\r\n',
  'x'.repeat(256),
  'x'.repeat(16 * 1024 + 1),
  TNDS,
  TNDS.slice(0, -11),
  TNDS.replace('</MgmtTree>', TNDS.slice(TNDS.indexOf('<Node>'))),
  `<MgmtTree xmlns="syncml:dmddf1.2">${'<Node>'.repeat(200)}${'</Node>'.repeat(200)}</MgmtTree>`,
  '<!DOCTYPE MgmtTree [<!ENTITY a "b">]><MgmtTree xmlns="syncml:dmddf1.2">&a;</MgmtTree>',
];

export const FORMATS = ['b64', 'bin', 'bool', 'chr', 'int', 'node', 'null', 'xml', 'date', 'time', 'float', 'nonsense'];

export const TYPES = [
  'text/plain',
  'application/octet-stream',
  'application/vnd.syncml.dmtnds+xml',
  'application/vnd.syncml.dmtnds+wbxml',
  'syncml:auth-md5',
  'syncml:auth-basic',
  'syncml:auth-MAC',
  'org.dmgw.imageinventory.retrieved',
];

export const ALERT_CODES = [
  '1100',
  '1101',
  '1102',
  '1104',
  '1200',
  '1201',
  '1222',
  '1223',
  '1224',
  '1225',
  '1226',
  '0',
  'x',
];

/** Numbers at the edges of what somebody may have reserved for them. */
export const NUMBERS = [
  '0',
  '1',
  '2',
  '-1',
  '00',
  '65535',
  '65536',
  '2147483647',
  '2147483648',
  '4294967295',
  '9007199254740993',
  '18446744073709551616',
  '9'.repeat(400),
  '1e9',
  '0x10',
  ' 7 ',
  '٣',
  'NaN',
];

/** Names of elements, of SyncML and others. */
export const ELEMENT_NAMES = [
  'Status',
  'Results',
  'Get',
  'Add',
  'Replace',
  'Delete',
  'Exec',
  'Copy',
  'Alert',
  'Atomic',
  'Sequence',
  'Put',
  'Item',
  'Meta',
  'Data',
  'CmdID',
  'CmdRef',
  'Final',
  'LocURI',
  'Target',
  'Source',
  'Cred',
  'Chal',
  'MoreData',
  'NoResp',
  'Correlator',
  'SyncHdr',
  'SyncBody',
  'MetInf',
  'Size',
  'Format',
  'MaxMsgSize',
  'MaxObjSize',
  'MgmtTree',
  'Vendor',
];

/** One of a list that is not empty, by any number from 0. */
export function choose<T>(list: readonly T[], pick: number): T {
  return list[pick % list.length] as T;
}
