/**
 * The tokens of WBXML for SyncML DM: the global ones, those of the documents, and the three code pages (facts 11.1, 11.2).
 */
import type { Namespace } from './element.js';
import { makeName, type ElementName } from './element-name.js';

/** WBXML 1.3 §7.1, global tokens. EXT, PI and LITERAL are not named: whatever else has a low number is one of them. */
export const Global = { SWITCH_PAGE: 0x00, END: 0x01, ENTITY: 0x02, STR_I: 0x03, STR_T: 0x83, OPAQUE: 0xc3 } as const;

/** WBXML 1.3 §5.8.2, a tag: six bits of token, below 5 global; flags for attributes and for content. */
export const Tag = { TOKEN: 0x3f, FIRST: 0x05, WITH_CONTENT: 0x40, WITH_ATTRIBUTES: 0x80 } as const;

/** Octets that say the version: 1.1, 1.2, 1.3. A receiver understands all three (facts 1.3); we write the last. */
export const VERSIONS: readonly number[] = [0x01, 0x02, 0x03];
export const VERSION_WRITTEN = 0x03;

/** IANA MIBenum of UTF-8. */
export const CHARSET_UTF8 = 106;

/** A public identifier with this number stands as text in the string table. */
export const LITERAL_ID = 0x00;
/** What we write for messages. */
export const SYNCML_1_2 = 0x1201;
/** Unknown, SyncML 1.0, 1.1 and 1.2: all with the code pages below, as far as they reach. */
export const KNOWN_IDS: readonly number[] = [0x01, 0x0fd1, 0x0fd3, SYNCML_1_2];
/** DM DDF and TNDS have no number. */
export const DDF_LITERAL = '-//OMA//DTD-DM-DDF 1.2//EN';
export const KNOWN_LITERALS = /^-\/\/(?:SYNCML\/\/DTD SyncML|OMA\/\/DTD-DM-DDF) /i;

/** Names in the order of their tokens, the first of which is 05; the number of a page is its place. `-` is reserved. */
const PAGES: readonly (readonly [Namespace, string])[] = [
  [
    'syncml',
    `Add Alert Archive Atomic Chal Cmd CmdID CmdRef Copy Cred Data Delete Exec Final Get Item Lang LocName LocURI Map
    MapItem Meta MsgID MsgRef NoResp NoResults Put Replace RespURI Results Search Sequence SessionID SftDel Source
    SourceRef Status Sync SyncBody SyncHdr SyncML Target TargetRef - VerDTD VerProto NumberOfChanges MoreData Field
    Filter Record FilterType SourceParent TargetParent Move Correlator`,
  ],
  [
    'metinf',
    `Anchor EMI Format FreeID FreeMem Last Mark MaxMsgSize Mem MetInf Next NextNonce SharedMem Size Type Version
    MaxObjSize FieldLevel`,
  ],
  [
    'dmddf',
    `AccessType ACL Add b64 bin bool chr CaseSense CIS Copy CS date DDFName DefaultValue Delete Description DFFormat
    DFProperties DFTitle DFType Dynamic Exec float Format Get int Man MgmtTree MIME Mod Name Node node NodeName null
    Occurrence One OneOrMore OneOrN Path Permanent Replace RTProperties Scope Size time Title TStamp Type Value VerDTD
    VerNo xml ZeroOrMore ZeroOrN ZeroOrOne`,
  ],
];

/** The elements whose opaques are values; some peers give a nonce as it is, not as base64 (libwbxml reads it so). */
const HOLDING_OCTETS: Readonly<Partial<Record<Namespace, string>>> = {
  syncml: 'Data',
  metinf: 'NextNonce',
  dmddf: 'Value',
};

/** The names of a code page. */
interface Page {
  readonly byToken: readonly (ElementName | undefined)[];
  readonly byName: ReadonlyMap<string, ElementName>;
}

/** Each is made by the first document that needs it: a start has none. */
const pages: Page[] = [];

function pageAt(place: number): Page | undefined {
  const listed = PAGES[place];
  return listed && (pages[place] ??= makePage(...listed));
}

function makePage(namespace: Namespace, list: string): Page {
  const byToken = Array<ElementName | undefined>(Tag.FIRST);
  const byName = new Map<string, ElementName>();
  for (const name of list.split(/\s+/)) {
    const token = byToken.length;
    const tokens = { empty: String.fromCharCode(token), start: String.fromCharCode(token | Tag.WITH_CONTENT) };
    const known = name === '-' ? undefined : makeName(namespace, name, tokens, HOLDING_OCTETS[namespace] === name);
    byToken.push(known);
    if (known) byName.set(name, known);
  }
  return { byToken, byName };
}

/** The element that a token stands for on a code page; an element of no known namespace where the page has no such token. */
export function nameOfToken(page: number, token: number): Pick<ElementName, 'namespace' | 'name' | 'holdsOctets'> {
  const known = pageAt(page)?.byToken[token];
  return known ?? { namespace: 'other', name: `unknown-${page}-${token.toString(16)}`, holdsOctets: true };
}

/** The name of an element. It has a token where the page of its namespace has one for it. */
export function nameOf(namespace: Namespace, name: string): ElementName {
  const known = namespace === 'other' ? undefined : pageAt(PAGE_OF[namespace])?.byName.get(name);
  return known ?? makeName(namespace, name, undefined, false);
}

/** The code page of a namespace that has tokens. */
export const PAGE_OF: Readonly<Record<Exclude<Namespace, 'other'>, number>> = { syncml: 0, metinf: 1, dmddf: 2 };
