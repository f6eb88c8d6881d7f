import { randomBytes } from 'node:crypto';
import {
  challengeMeta,
  DEFAULT_NONCE,
  newNonce,
  Status,
  verifyCred,
  type CredScheme,
  type Header,
  type Meta,
} from '../../../firmware/dm/index.js';
import type { Device } from './devices.js';

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
   * Looks at the header of a message. When it accepts a digest it puts the nonce for the next one into the device.
   * @param refuse refuses right credentials too
   */
  check({ cred }: Header, refuse: boolean): Verdict {
    const { device } = this;
    if (device && !refuse) {
      if (device.client.scheme === 'none') return { accepted: true, code: Status.OK, last: false, checked: false };
      if (this.#acceptedForSession) return { accepted: true, code: Status.AUTHENTICATED, last: false, checked: false };
      const { scheme, user, password } = device.client;
      if (cred && verifyCred(cred, scheme, user, password, this.#nonce)) return this.#accept(device, scheme);
    }
    return this.#challenge(cred !== undefined);
  }

  #accept(device: Device, scheme: CredScheme): Verdict {
    this.#acceptedForSession = !device.proofPerMessage;
    const code = device.proofPerMessage ? Status.OK : Status.AUTHENTICATED;
    if (scheme === 'basic') return { accepted: true, code, last: false, checked: true };
    this.#nonce = newNonce(randomBytes);
    device.clientNonce = this.#nonce;
    return { accepted: true, code, chal: challengeMeta(scheme, this.#nonce), last: false, checked: true };
  }

  #challenge(hadCred: boolean): Verdict {
    this.#challenges += 1;
    this.#nonce = newNonce(randomBytes);
    this.#acceptedForSession = false;
    const scheme = this.device?.client.scheme === 'basic' ? 'basic' : 'md5';
    return {
      accepted: false,
      code: hadCred ? Status.INVALID_CREDENTIALS : Status.AUTHENTICATION_REQUIRED,
      // 401 and 407 must carry Chal, also the last one.
      chal: challengeMeta(scheme, this.#nonce),
      last: this.#challenges > MAX_CHALLENGES,
      checked: true,
    };
  }
}
