import type { Namespace } from './element.js';

/** The name of an element with what the encodings make of it: documents repeat a few names again and again. */
export interface ElementName {
  readonly namespace: Namespace;
  readonly name: string;
  /** Of its code page in WBXML; undefined: it has none. */
  readonly tokens: Tokens | undefined;
  /** Whether an opaque of WBXML in it stays octets, because they may be a value of a node and not a text. */
  readonly holdsOctets: boolean;
  /** Start tags of XML where the namespace is the enclosing element's, and where it is declared. */
  readonly inherited: StartTags;
  readonly declared: StartTags;
  /** End tag of XML. */
  readonly end: string;
}

export interface StartTags {
  readonly start: string;
  /** Start and end tag in one, for an element without content. */
  readonly empty: string;
}

/** One character for each octet. */
export interface Tokens {
  readonly empty: string;
  readonly start: string;
}

/** Declared where the namespace changes: on SyncML, on each child of Meta, on MgmtTree. `other` is never declared. */
const DECLARATION: Readonly<Record<Namespace, string>> = {
  syncml: ' xmlns="SYNCML:SYNCML1.2"',
  metinf: ' xmlns="syncml:metinf"',
  dmddf: ' xmlns="syncml:dmddf1.2"',
  other: '',
};

export function makeName(
  namespace: Namespace,
  name: string,
  tokens: Tokens | undefined,
  holdsOctets: boolean,
): ElementName {
  const inherited = tags(name, '');
  const declared = tags(name, DECLARATION[namespace]);
  return { namespace, name, tokens, holdsOctets, inherited, declared, end: `</${name}>` };
}

function tags(name: string, declaration: string): StartTags {
  return { start: `<${name}${declaration}>`, empty: `<${name}${declaration}/>` };
}
