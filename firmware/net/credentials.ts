import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';

/** What a server is shown of us, and to whom else nobody is. */
export interface Credential {
  /** Scheme, host and port (RFC 6454): `https://images.example.com:8443`. */
  readonly origin: string;
  readonly scheme: 'basic' | 'bearer';
  /** User name of basic; without colon. */
  readonly name?: string | undefined;
  /** Password or token. */
  readonly secret: string;
}

/** The Authorization of each origin. Where a redirect leads to another origin nothing goes along. */
export class Credentials {
  readonly #headers = new Map<string, string>();

  private constructor() {}

  /** Fails naming the first origin whose credential cannot be sent. */
  static of(list: readonly Credential[]): Outcome<Credentials, CodedError<'bad-credential'>> {
    const credentials = new Credentials();
    for (const { origin, scheme, name, secret } of list) {
      const url = URL.canParse(origin) ? new URL(origin) : undefined;
      if (!url || !/^https?:$/.test(url.protocol) || `${url.origin}/` !== url.href) {
        return failure('bad-credential', `'${origin}' is not an origin such as https://images.example.com`);
      }
      const header = scheme === 'basic' ? basic(name ?? '', secret) : bearer(secret);
      if (header === undefined) return failure('bad-credential', `the ${scheme} credential of ${origin} is malformed`);
      credentials.#headers.set(url.origin, header);
    }
    return success(credentials);
  }

  /** Value of Authorization for a request to this URL; undefined: none. */
  for(url: URL): string | undefined {
    return this.#headers.get(url.origin);
  }
}

/** RFC 7617 §2: UTF-8; a colon in the user name would end it. */
export function basic(name: string, secret: string): string | undefined {
  return name.includes(':') ? undefined : `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`;
}

/** RFC 6750 §2.1: b64token. */
function bearer(secret: string): string | undefined {
  return /^[A-Za-z0-9._~+/-]+=*$/.test(secret) ? `Bearer ${secret}` : undefined;
}
