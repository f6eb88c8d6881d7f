import {
  DEFAULT_NONCE,
  makeCred,
  readChallenge,
  Status,
  type Cred,
  type CredScheme,
  type StatusCommand,
} from '../../../firmware/dm/index.js';
import type { Device } from './devices.js';

/** Challenges of the device that are answered in one session (facts 5.3). */
const MAX_CHALLENGES = 2;

/** What the device said of the server's credentials. */
export type ProofAnswer =
  | 'nothing' // its message has no Status for our header, or one that is not about credentials
  | 'accepted'
  | 'again' // they are asked for with another nonce
  | 'refused'; // for good

/** How the server proves itself to one device in one session (SRVCRED). */
export class OwnProof {
  #scheme: CredScheme | 'none';
  #nonce: Uint8Array;
  #acceptedForSession = false;
  #challenges = 0;

  constructor(
    private readonly device: Device,
    defaultNonce: boolean,
  ) {
    this.#scheme = device.server.scheme;
    this.#nonce = defaultNonce ? DEFAULT_NONCE : device.serverNonce;
  }

  /** Name for Source/LocName; undefined where no credentials are in use. */
  get name(): string | undefined {
    return this.#scheme === 'none' ? undefined : this.device.server.user;
  }

  /**
   * Credentials for the next message; undefined where none are needed.
   * @param peerProven false: the message may go to anyone, so it shows no password
   * @param wrong makes them with another secret
   */
  cred(peerProven: boolean, wrong: () => boolean): Cred | undefined {
    if (this.#scheme === 'none' || this.#acceptedForSession) return undefined;
    if (this.#scheme === 'basic' && !peerProven) return undefined;
    const { user, password } = this.device.server;
    return makeCred(this.#scheme, user, wrong() ? `${password}-wrong` : password, this.#nonce);
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
      this.#nonce = asked.nonce ?? this.#nonce;
      return 'again';
    }
    if (code !== Status.OK && code !== Status.AUTHENTICATED) return 'nothing';
    if (this.#scheme === 'none') return 'accepted';
    this.#acceptedForSession = code === Status.AUTHENTICATED;
    this.#nonce = asked?.nonce ?? this.#nonce;
    // The default nonce is good for one resynchronisation only.
    if (peerProven && this.#nonce !== DEFAULT_NONCE) this.device.serverNonce = this.#nonce;
    return 'accepted';
  }

  /** A digest may be asked for instead of a password, never the other way round. */
  #complies(scheme: 'basic' | 'md5' | 'mac'): boolean {
    if (this.device.server.scheme === 'none' || scheme === 'mac') return false;
    if (scheme === 'basic' && this.device.server.scheme !== 'basic') return false;
    this.#scheme = scheme;
    return true;
  }
}
