/** Documents of which both forms are known octet by octet (facts 15.3, 15.4), for the tests of WBXML. */
import { readFileSync } from 'node:fs';

export interface Vector {
  readonly name: string;
  readonly hex: string;
  /** The same document in XML, as a reader would see it. */
  readonly xml: string;
  /** What stands in Data where the XML says `{octets}`. */
  readonly octets?: string;
}

export const VECTORS = JSON.parse(
  readFileSync(new URL('testdata/wbxml-vectors.json', import.meta.url), 'utf8'),
) as readonly Vector[];
