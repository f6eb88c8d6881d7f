/** Whether another host than that of the account may be given messages of its sessions. */
export type MayMoveTo = (hostname: string) => boolean;

/**
 * Where the messages of one session go: to the URL of the account, until the server moves it by RespURI or by a redirect
 * (facts 1.4). It may move within its own origin, and to the hosts that the account allows, never from https to http.
 */
export class ServerAddress {
  readonly #home: URL;
  #now: URL;

  /** @param url of the account: http or https */
  constructor(
    url: string,
    private readonly mayMoveTo: MayMoveTo,
  ) {
    this.#home = new URL(url);
    this.#now = this.#home;
  }

  /** For the next message. */
  get url(): string {
    return this.#now.href;
  }

  /** @returns false for a place that this server may not send us to */
  move(to: string): boolean {
    const place = this.resolve(to, this.url);
    if (place !== undefined) this.#now = new URL(place);
    return place !== undefined;
  }

  /**
   * @param to as the server wrote it, absolute or relative to `from`
   * @returns the URL; undefined for a place that this server may not send us to
   */
  resolve(to: string, from: string): string | undefined {
    if (!URL.canParse(to, from)) return undefined;
    const place = new URL(to, from);
    return place.username === '' && place.password === '' && this.#isAllowed(place) ? place.href : undefined;
  }

  #isAllowed({ origin, protocol, hostname }: URL): boolean {
    if (origin === this.#home.origin) return true;
    if (protocol !== 'https:' && !(protocol === 'http:' && this.#home.protocol === 'http:')) return false;
    return this.mayMoveTo(hostname);
  }
}
