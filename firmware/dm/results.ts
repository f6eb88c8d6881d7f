import type { Listing, NodeValue } from '../tree/index.js';
import type { Item, ResultsCommand } from './message.js';
import type { Wire } from './wire.js';

/** Results without the number that the session gives when it puts it into a message. */
export type ResultsAnswer = Omit<ResultsCommand, 'cmdId'>;

/** Which Get is answered. */
export interface GetReference {
  readonly msgRef: string;
  readonly cmdRef: string;
  /** As the server wrote it. */
  readonly uri: string;
}

/** What a Get of a value, of child names, or of a property gives. */
export function resultsOfValue(get: GetReference, { format, type, data }: NodeValue): ResultsAnswer {
  // DMTND: a property is plain text without Meta.
  const isProperty = get.uri.includes('?prop=');
  return resultsOf(get, [{ source: { uri: get.uri }, ...(!isProperty && { meta: { format, type } }), data }]);
}

/**
 * What a Get with `?list=` gives (facts 7.6): one Results with an Item for each node, or several where one would not fit
 * into a message; one Item with the whole document for TNDS.
 * @param room octets that a message has for answers
 * @param sizeOf octets of an answer in a message
 */
export function resultsOfList(
  get: GetReference,
  listing: Listing,
  wire: Wire,
  room: number,
  sizeOf: (answer: ResultsAnswer) => number,
): ResultsAnswer[] {
  if (listing.kind === 'tnds') {
    const { type, data } = wire.tnds(listing.document);
    return [resultsOf(get, [{ source: { uri: get.uri }, meta: { format: 'xml', type }, data }])];
  }
  const empty = sizeOf(resultsOf(get, []));
  const answers: Item[][] = [];
  let left = 0;
  for (const { uri, format, type, data } of listing.nodes) {
    // Most interior nodes have no type.
    const meta = { format, ...(type !== '' && { type }) };
    const item = { source: { uri }, meta, ...(data !== undefined && { data }) };
    const size = sizeOf(resultsOf(get, [item])) - empty;
    const open = answers.at(-1);
    if (open && size <= left) {
      open.push(item);
      left -= size;
    } else {
      answers.push([item]);
      left = room - empty - size;
    }
  }
  return answers.map((items) => resultsOf(get, items));
}

function resultsOf({ msgRef, cmdRef }: GetReference, items: readonly Item[]): ResultsAnswer {
  return { kind: 'Results', msgRef, cmdRef, items };
}
