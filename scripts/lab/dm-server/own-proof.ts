import {
  DEFAULT_NONCE,
  formatHmac,
  macOf,
  makeCred,
  readChallenge,
  Status,
  type Cred,
  type StatusCommand,
} from '../../../firmware/dm/index.js';
import type { Device, Scheme } from './devices.js';
import type { Faults } from './faults.js';

/** Challenges of the device that are answered in one session (facts 5.3). */
const MAX_CHALLENGES = 2;

/** A stronger scheme than the account's may be asked for, a weaker one not. */
const STRENGTH: Readonly<Record<Scheme, number>> = { none: 0, basic: 1, md5: 2, mac: 3 };

/** What the device said of the server's credentials. */
export type ProofAnswer =
  | 'nothing' // its message has no Status for our header, or one that is not about credentials
  | 'accepted'
  | 'again' // they are asked for with another nonce
  | 'refused'; // for good

/** How the server proves itself to one device in one session (SRVCRED). */
export class OwnProof {
  #scheme: Scheme;
  #nonce: Uint8Array;
  #acceptedForSession = false;
  #challenges = 0;

  /** @param faults asked for each message: whether its proof is made with another secret, or left out */
  constructor(
    private readonly device: Device,
    defaultNonce: boolean,
    private readonly faults: Faults,
  ) {
    this.#scheme = device.server.scheme;
    this.#nonce = defaultNonce ? DEFAULT_NONCE : device.serverNonce;
  }

  /** Name for Source/LocName; undefined where no credentials are in use. */
  get name(): string | undefined {
    return this.#scheme === 'none' ? undefined : this.device.server.user;
  }

  /**
   * Credentials for the next message; undefined where none are needed, or where they do not stand in the message.
   * @param peerProven false: the message may go to anyone, so it shows no password
   */
  cred(peerProven: boolean): Cred | undefined {
    if (this.#scheme === 'none' || this.#scheme === 'mac' || this.#acceptedForSession) return undefined;
    if (this.#scheme === 'basic' && !peerProven) return undefined;
    if (this.faults.take('no-credentials', this.device.id)) return undefined;
    return makeCred(this.#scheme, this.device.server.user, this.#password(), this.#nonce);
  }

  /** `x-syncml-hmac` for the octets of the message that leaves; undefined under another scheme. */
  hmac(body: Uint8Array): string | undefined {
    if (this.#scheme !== 'mac' || this.faults.take('no-credentials', this.device.id)) return undefined;
    const { user } = this.device.server;
    return formatHmac({ name: user, mac: macOf(user, this.#password(), this.#nonce, body) });
  }

  /**
   * The Status of the device for the header of our last message.
   * @param peerProven the nonce for the next session is kept only if the device has proved itself (5.7)
   */
  answered(status: StatusCommand | undefined, peerProven: boolean): ProofAnswer {
    if (!status) return 'nothing';
    const code = Number(status.data);
    const asked = status.chal && readChallenge(status.chal);
    if (code === Status.INVALID_CREDENTIALS || code === Status.AUTHENTICATION_REQUIRED) {
      this.#challenges += 1;
      if (!asked || this.#challenges > MAX_CHALLENGES || !this.#complies(asked.scheme)) return 'refused';
      this.#acceptedForSession = false;
      this.#use(asked.nonce, peerProven);
      return 'again';
    }
    if (code !== Status.OK && code !== Status.AUTHENTICATED) return 'nothing';
    if (this.#scheme === 'none') return 'accepted';
    this.#acceptedForSession = code === Status.AUTHENTICATED;
    this.#use(asked?.nonce, peerProven);
    return 'accepted';
  }

  /** A challenge may be the last that the device says of it: the message that answers it may end the session. */
  #use(asked: Uint8Array | undefined, peerProven: boolean): void {
    this.#nonce = asked ?? this.#nonce;
    // The default nonce is good for one resynchronisation only.
    if (peerProven && this.#nonce !== DEFAULT_NONCE) this.device.serverNonce = this.#nonce;
  }

  #password(): string {
    const { id, server } = this.device;
    return this.faults.take('wrong-credentials', id) ? `${server.password}-wrong` : server.password;
  }

  #complies(scheme: Exclude<Scheme, 'none'>): boolean {
    const own = this.device.server.scheme;
    if (own === 'none' || STRENGTH[scheme] < STRENGTH[own]) return false;
    this.#scheme = scheme;
    return true;
  }
}
