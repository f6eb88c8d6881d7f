import { randomBytes } from 'node:crypto';
import {
  challengeMeta,
  DEFAULT_NONCE,
  newNonce,
  parseHmac,
  Status,
  verifyCred,
  verifyMac,
  type Header,
  type Meta,
} from '../../../firmware/dm/index.js';
import type { Device, Scheme } from './devices.js';

/** Challenges in one session: the first nonce may be stale, so one more is given (facts 5.3). */
const MAX_CHALLENGES = 2;

/** What the SyncHdr of a device's message is answered. */
export interface Verdict {
  readonly accepted: boolean;
  readonly code: number;
  readonly chal?: Meta;
  /** The device has used up its tries: the session is over. */
  readonly last: boolean;
  /** Credentials were looked at, not only remembered. */
  readonly checked: boolean;
}

/** A message as far as it proves who sent it. */
export interface Sealed {
  readonly header: Header;
  /** The octets of the HTTP entity. */
  readonly body: Uint8Array;
  /** Content of `x-syncml-hmac`. */
  readonly hmac: string | undefined;
}

/** Whether the device is who it says, in one session. An unknown device is treated like one with a wrong secret. */
export class DeviceCheck {
  #nonce: Uint8Array;
  #acceptedForSession = false;
  #challenges = 0;

  /** @param device undefined: nobody that we know */
  constructor(
    private readonly device: Device | undefined,
    defaultNonce: boolean,
  ) {
    this.#nonce = defaultNonce ? DEFAULT_NONCE : (device?.clientNonce ?? new Uint8Array());
  }

  /**
   * Looks at what a message proves. When it accepts a digest it puts the nonce for the next one into the device.
   * @param refuse refuses right credentials too
   */
  check(sealed: Sealed, refuse: boolean): Verdict {
    const { device } = this;
    if (device && !refuse) {
      const { scheme } = device.client;
      if (scheme === 'none') return { accepted: true, code: Status.OK, last: false, checked: false };
      if (this.#acceptedForSession) return { accepted: true, code: Status.AUTHENTICATED, last: false, checked: false };
      if (this.#proves(device, scheme, sealed)) return this.#accept(device, scheme);
    }
    return this.#challenge(sealed.header.cred !== undefined || sealed.hmac !== undefined);
  }

  /** By the scheme of the account, and no other. */
  #proves({ client }: Device, scheme: Exclude<Scheme, 'none'>, { header, body, hmac }: Sealed): boolean {
    const { user, password } = client;
    if (scheme !== 'mac')
      return header.cred !== undefined && verifyCred(header.cred, scheme, user, password, this.#nonce);
    const mac = parseHmac(hmac ?? '');
    return mac !== undefined && verifyMac(mac, user, password, this.#nonce, body);
  }

  #accept(device: Device, scheme: Exclude<Scheme, 'none'>): Verdict {
    // DMSEC: a MAC is asked for in every message, so its Status is 200 and never 212 (facts 5.4).
    const eachTime = device.proofPerMessage || scheme === 'mac';
    this.#acceptedForSession = !eachTime;
    const code = eachTime ? Status.OK : Status.AUTHENTICATED;
    if (scheme === 'basic') return { accepted: true, code, last: false, checked: true };
    this.#nonce = newNonce(randomBytes);
    device.clientNonce = this.#nonce;
    return { accepted: true, code, chal: challengeMeta(scheme, this.#nonce), last: false, checked: true };
  }

  #challenge(hadProof: boolean): Verdict {
    this.#challenges += 1;
    this.#nonce = newNonce(randomBytes);
    this.#acceptedForSession = false;
    const known = this.device?.client.scheme ?? 'none';
    return {
      accepted: false,
      code: hadProof ? Status.INVALID_CREDENTIALS : Status.AUTHENTICATION_REQUIRED,
      // 401 and 407 must carry Chal, also the last one.
      chal: challengeMeta(known === 'none' ? 'md5' : known, this.#nonce),
      last: this.#challenges > MAX_CHALLENGES,
      checked: true,
    };
  }
}
