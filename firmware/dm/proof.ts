import type { Account, Accounts, AuthScheme } from './accounts.js';
import { challengeMeta, DEFAULT_NONCE, makeCred, newNonce, readChallenge, verifyCred } from './auth.js';
import { Status } from './codes.js';
import type { Cred, Header, Meta } from './message.js';

/** Challenges answered, and made, in one session: the first nonce may be stale, so one more is given (facts 5.3). */
const MAX_CHALLENGES = 2;

/** How this client proves itself to the server in one session (CLCRED). */
export class ClientProof {
  #scheme: AuthScheme;
  #nonce: Uint8Array;
  #nonceIsNew = false;
  #challenges = 0;
  #acceptedForSession = false;

  constructor(
    private readonly account: Account,
    defaultNonce: boolean,
  ) {
    this.#scheme = account.client.scheme;
    this.#nonce = defaultNonce ? DEFAULT_NONCE : account.client.nonce;
  }

  /** Credentials for the next message; undefined where none are needed. */
  cred(): Cred | undefined {
    if (this.#scheme === 'none' || this.#acceptedForSession) return undefined;
    const { name, secret } = this.account.client;
    return makeCred(this.#scheme, name, secret, this.#nonce);
  }

  /**
   * The server answered 401 or 407.
   * @returns `answerable`, or one sentence why the session must end. The scheme is never lowered below the account's.
   */
  challenged(chal: Meta | undefined): string {
    const asked = chal && readChallenge(chal);
    if (!asked) return 'the server refused the credentials without a challenge';
    const allowed: AuthScheme = this.account.client.scheme;
    const { scheme } = asked;
    if (scheme === 'mac' || allowed === 'none' || (scheme === 'basic' && allowed === 'md5')) {
      return `the server asks for ${scheme}, the account has ${allowed}`;
    }
    this.#challenges += 1;
    if (this.#challenges > MAX_CHALLENGES) return 'the server does not accept the name and secret of the account';
    this.#scheme = scheme;
    this.#acceptedForSession = false;
    this.#takeNonce(asked.nonce);
    return 'answerable';
  }

  /**
   * The server accepted our last message: with 212 for the session, with 200 for that message only. After a 212, a 200
   * takes nothing back: no Cred went out with the message that it answers.
   */
  accepted(code: number, chal: Meta | undefined): void {
    if (code === Status.AUTHENTICATED) this.#acceptedForSession = true;
    this.#takeNonce(chal && readChallenge(chal)?.nonce);
  }

  /** Keeps the newest nonce for the next session; called only once the server has proved itself (facts 5.7). */
  persist(accounts: Accounts): void {
    if (this.#nonceIsNew) accounts.setClientNonce(this.account.serverId, this.#nonce);
    this.#nonceIsNew = false;
  }

  #takeNonce(nonce: Uint8Array | undefined): void {
    if (nonce === undefined) return;
    this.#nonce = nonce;
    this.#nonceIsNew = true;
  }
}

/** How the server proves itself to this client in one session (SRVCRED). */
export class ServerProof {
  readonly #scheme: AuthScheme;
  #nonce: Uint8Array;
  #state: 'missing' | 'wrong' | 'proven';
  #challenges = 0;
  #next: Uint8Array | undefined;

  constructor(
    private readonly account: Account,
    defaultNonce: boolean,
    private readonly randomBytes: (count: number) => Uint8Array,
  ) {
    this.#scheme = account.server.scheme;
    this.#nonce = defaultNonce ? DEFAULT_NONCE : account.server.nonce;
    this.#state = this.#scheme === 'none' ? 'proven' : 'missing';
  }

  /** True when commands of this server may be executed. */
  get proven(): boolean {
    return this.#state === 'proven';
  }

  /**
   * Looks at a message of the server. A message that wants nothing of us is not challenged (facts 5.6).
   * @returns `failed` when the server has used up its tries
   */
  check(header: Header, wantsSomething: boolean): 'continue' | 'failed' {
    if (this.proven) return 'continue';
    if (header.cred && this.#proves(header.cred)) {
      this.#state = 'proven';
      if (this.#scheme === 'md5') this.#next = newNonce(this.randomBytes);
      return 'continue';
    }
    if (!wantsSomething && !header.cred) return 'continue';
    this.#state = header.cred ? 'wrong' : 'missing';
    this.#challenges += 1;
    if (this.#challenges > MAX_CHALLENGES) return 'failed';
    this.#nonce = newNonce(this.randomBytes);
    return 'continue';
  }

  /** Status of the server's header, with the challenge or the nonce for its next session. */
  verdict(): { readonly code: number; readonly chal?: Meta } {
    if (this.#scheme === 'none') return { code: Status.OK };
    if (!this.proven) {
      const code = this.#state === 'wrong' ? Status.INVALID_CREDENTIALS : Status.AUTHENTICATION_REQUIRED;
      return { code, chal: challengeMeta(this.#scheme, this.#nonce) };
    }
    return { code: Status.AUTHENTICATED, ...(this.#next && { chal: challengeMeta(this.#scheme, this.#next) }) };
  }

  /**
   * Keeps the nonce that the server will use next: the one announced by `verdict()` when that goes out with a message,
   * else the one that it has just used. Call before the message leaves.
   */
  persist(accounts: Accounts, verdictLeaves: boolean): void {
    if (!this.proven || this.#scheme !== 'md5') return;
    const nonce = (verdictLeaves ? this.#next : undefined) ?? this.#nonce;
    // DMSEC: the default nonce is good for one resynchronisation only; kept, it would be accepted for ever.
    if (nonce !== DEFAULT_NONCE) accounts.setServerNonce(this.account.serverId, nonce);
    if (verdictLeaves && this.#next) {
      this.#nonce = this.#next;
      this.#next = undefined;
    }
  }
  /** By the scheme of the account: a server cannot choose a weaker one. */
  #proves(cred: Cred): boolean {
    if (this.#scheme === 'none') return false;
    const { name, secret } = this.account.server;
    return verifyCred(cred, this.#scheme, name, secret, this.#nonce);
  }
}
