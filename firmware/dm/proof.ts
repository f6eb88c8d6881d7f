import type { Account, Accounts, AuthScheme } from './accounts.js';
import {
  challengeMeta,
  DEFAULT_NONCE,
  formatHmac,
  macOf,
  makeCred,
  newNonce,
  parseHmac,
  readChallenge,
  verifyCred,
  verifyMac,
} from './auth.js';
import { Status } from './codes.js';
import type { Cred, Header, Meta } from './message.js';

/** Challenges answered, and made, in one session: the first nonce may be stale, so one more is given (facts 5.3). */
const MAX_CHALLENGES = 2;

/** What each scheme is worth: one that proves less than the account's is never taken instead. */
const STRENGTH: Readonly<Record<AuthScheme, number>> = { none: 0, basic: 1, md5: 2, mac: 3 };

/** How this client proves itself to the server in one session (CLCRED). */
export class ClientProof {
  #scheme: AuthScheme;
  #nonce: Uint8Array;
  #nonceIsNew = false;
  /** The secret that is shown, which may be the one before the newest. */
  #secret: string;
  #challenges = 0;
  #accepted = false;
  #acceptedForSession = false;
  /** A nonce for the next session that is not in the database yet, and whether one of this session is. */
  #unwritten: Uint8Array | undefined;
  #written = false;

  constructor(
    private readonly account: Account,
    defaultNonce: boolean,
  ) {
    this.#scheme = account.client.scheme;
    this.#nonce = defaultNonce ? DEFAULT_NONCE : account.client.nonce;
    this.#secret = account.client.secret;
  }

  /** Credentials for the next message; undefined where none are needed, or they stand in the HTTP header. */
  cred(): Cred | undefined {
    if (this.#scheme === 'none' || this.#scheme === 'mac' || this.#acceptedForSession) return undefined;
    return makeCred(this.#scheme, this.account.client.name, this.#secret, this.#nonce);
  }

  /** Makes `x-syncml-hmac` of the octets of the next message; undefined where the scheme is another. */
  signer(): ((body: Uint8Array) => string) | undefined {
    if (this.#scheme !== 'mac') return undefined;
    const { name } = this.account.client;
    const secret = this.#secret;
    const nonce = this.#nonce;
    return (body) => formatHmac({ name, mac: macOf(name, secret, nonce, body) });
  }

  /**
   * The server answered 401 or 407.
   * @returns `answerable`, or one sentence why the session must end. The scheme is never lowered below the account's.
   */
  challenged(chal: Meta | undefined): string {
    const asked = chal && readChallenge(chal);
    if (!asked) return 'the server refused the credentials without a challenge';
    const allowed = this.account.client.scheme;
    const { scheme } = asked;
    if (allowed === 'none' || STRENGTH[scheme] < STRENGTH[allowed]) {
      return `the server asks for ${scheme}, the account has ${allowed}`;
    }
    this.#challenges += 1;
    if (this.#challenges > MAX_CHALLENGES) return 'the server does not accept the name and secret of the account';
    // Each secret has its tries: the first one was asked for a fresh nonce, and is refused with it too.
    const { secret, secretBefore } = this.account.client;
    if (secretBefore !== undefined && this.#secret === secret && this.#challenges === MAX_CHALLENGES) {
      this.#secret = secretBefore;
      this.#challenges = 1;
    }
    this.#scheme = scheme;
    this.#acceptedForSession = false;
    this.#takeNonce(asked.nonce);
    return 'answerable';
  }

  /**
   * The server accepted our last message: with 212 for the session, with 200 for that message only. After a 212, a 200
   * takes nothing back: no Cred went out with the message that it answers. A mac is needed in every message (5.4).
   */
  accepted(code: number, chal: Meta | undefined): void {
    this.#accepted = true;
    if (code === Status.AUTHENTICATED) this.#acceptedForSession = true;
    this.#takeNonce(chal && readChallenge(chal)?.nonce);
  }

  /**
   * The server has proved itself: the newest nonce is for the next session too (facts 5.7). A mac brings a new one with
   * each message: those between the first and the last wear no flash, at the price of a challenge in the next session
   * if the power fails in this one.
   */
  persist(accounts: Accounts): void {
    const { secret, secretBefore } = this.account.client;
    if (this.#accepted && secretBefore !== undefined && this.#secret === secret) {
      accounts.secretWorked(this.account.serverId, 'client', secret);
    }
    if (!this.#nonceIsNew) return;
    this.#nonceIsNew = false;
    this.#unwritten = this.#nonce;
    if (this.#scheme !== 'mac' || !this.#written) this.close(accounts);
  }

  /** The session has ended: writes what `persist` has left. */
  close(accounts: Accounts): void {
    if (this.#unwritten) accounts.setClientNonce(this.account.serverId, this.#unwritten);
    this.#written ||= this.#unwritten !== undefined;
    this.#unwritten = undefined;
  }

  #takeNonce(nonce: Uint8Array | undefined): void {
    if (nonce === undefined) return;
    this.#nonce = nonce;
    this.#nonceIsNew = true;
  }
}

/** What a message of the server brings to prove who made it. */
export interface Evidence {
  readonly header: Header;
  /** The octets of the HTTP entity, and `x-syncml-hmac` over them. */
  readonly body: Uint8Array;
  readonly hmac?: string;
}

/** How the server proves itself to this client in one session (SRVCRED). */
export class ServerProof {
  readonly #scheme: AuthScheme;
  #nonce: Uint8Array;
  #state: 'missing' | 'wrong' | 'proven';
  #everProven = false;
  /** It knows the newest secret, not only the one before. */
  #knowsNewest = false;
  #challenges = 0;
  #next: Uint8Array | undefined;
  /** What the account has: the nonce that is stored now. */
  #stored: Uint8Array;

  constructor(
    private readonly account: Account,
    defaultNonce: boolean,
    private readonly randomBytes: (count: number) => Uint8Array,
  ) {
    this.#scheme = account.server.scheme;
    this.#stored = account.server.nonce;
    this.#nonce = defaultNonce ? DEFAULT_NONCE : account.server.nonce;
    this.#state = this.#scheme === 'none' ? 'proven' : 'missing';
  }

  /** True when commands of this server may be executed. With a mac, it is said of the message that was looked at last. */
  get proven(): boolean {
    return this.#state === 'proven';
  }

  /** Whether what the last message says may count, if only once the server has proved itself. A mac vouches for its own. */
  get mayVouch(): boolean {
    return this.proven || this.#scheme !== 'mac';
  }

  /**
   * Looks at a message of the server. A message that wants nothing of us is not challenged (facts 5.6).
   * @returns `failed` when the server has used up its tries
   */
  check(evidence: Evidence, wantsSomething: boolean): 'continue' | 'failed' {
    if (this.#scheme === 'none' || (this.proven && this.#scheme !== 'mac')) return 'continue';
    const shown = this.#scheme === 'mac' ? evidence.hmac !== undefined : evidence.header.cred !== undefined;
    if (shown && this.#proves(evidence)) {
      this.#state = 'proven';
      this.#everProven = true;
      if (this.#scheme !== 'basic') this.#next = newNonce(this.randomBytes);
      return 'continue';
    }
    this.#state = shown ? 'wrong' : 'missing';
    if (!wantsSomething && !shown) return 'continue';
    this.#challenges += 1;
    if (this.#challenges > MAX_CHALLENGES) return 'failed';
    this.#nonce = newNonce(this.randomBytes);
    return 'continue';
  }

  /** Status of the server's header, with the challenge or the nonce for its next message (mac) or session (md5). */
  verdict(): { readonly code: number; readonly chal?: Meta } {
    if (this.#scheme === 'none') return { code: Status.OK };
    if (!this.proven) {
      const code = this.#state === 'wrong' ? Status.INVALID_CREDENTIALS : Status.AUTHENTICATION_REQUIRED;
      return { code, chal: challengeMeta(this.#scheme, this.#nonce) };
    }
    const chal = this.#next && { chal: challengeMeta(this.#scheme, this.#next) };
    // DMSEC: a mac is accepted for its own message only.
    return { code: this.#scheme === 'mac' ? Status.OK : Status.AUTHENTICATED, ...chal };
  }

  /** The verdict goes out: from now on the server uses the nonce that it announces. Call before the message leaves. */
  verdictLeaves(accounts: Accounts): void {
    if (this.proven && this.#next) {
      this.#nonce = this.#next;
      this.#next = undefined;
      // As with the client's: of the nonces of a mac, the first and the last are written.
      if (this.#scheme !== 'mac' || this.#stored === this.account.server.nonce) this.#store(accounts);
    }
    // That of a challenge is not stored before the server has shown that it has it.
    if (this.#isNew) accounts.giveServerNonce(this.account.serverId, this.#nonce);
  }

  /** The session has ended: keeps the nonce that the server will use next. */
  close(accounts: Accounts): void {
    accounts.giveServerNonce(this.account.serverId, undefined);
    const { secret, secretBefore } = this.account.server;
    if (this.#knowsNewest && secretBefore !== undefined) accounts.secretWorked(this.account.serverId, 'server', secret);
    if (this.#everProven) this.#store(accounts);
  }

  /** The server uses a nonce that is not stored, and may be. */
  get #isNew(): boolean {
    // DMSEC: the default nonce is good for one resynchronisation only; kept, it would be accepted for ever.
    return this.#scheme !== 'basic' && this.#nonce !== DEFAULT_NONCE && this.#nonce !== this.#stored;
  }

  #store(accounts: Accounts): void {
    if (!this.#isNew) return;
    // Notifications made before this session are known by the nonce with which it began.
    accounts.setServerNonce(this.account.serverId, this.#nonce, this.account.server.nonce);
    this.#stored = this.#nonce;
  }

  /** By the scheme of the account: a server cannot choose a weaker one. */
  #proves(evidence: Evidence): boolean {
    const { secret, secretBefore } = this.account.server;
    const newest = this.#provesBy(evidence, secret);
    this.#knowsNewest ||= newest;
    return newest || (secretBefore !== undefined && this.#provesBy(evidence, secretBefore));
  }

  #provesBy({ header, body, hmac }: Evidence, secret: string): boolean {
    const { name } = this.account.server;
    if (this.#scheme === 'none') return false;
    if (this.#scheme !== 'mac') {
      return header.cred !== undefined && verifyCred(header.cred, this.#scheme, name, secret, this.#nonce);
    }
    const mac = hmac === undefined ? undefined : parseHmac(hmac);
    // The user name is that of Source/LocName (facts 5.5); a server that leaves it out there is believed by its mac.
    if (!mac || (header.source.name !== undefined && header.source.name !== mac.name)) return false;
    return verifyMac(mac, name, secret, this.#nonce, body);
  }
}
