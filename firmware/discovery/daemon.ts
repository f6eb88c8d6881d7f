import { Backoff, type TimerHandle } from '../clock/index.js';
import { nextState, type TransitionTable } from '../machine/index.js';
import { MAX_RESOLUTIONS, type BridgeNews } from './bridge-protocol.js';
import { BuiltinDiscovery, type BuiltinOptions } from './builtin.js';
import { DaemonLink } from './daemon-link.js';
import { MAX_INSTANCES } from './instances.js';
import type { AnnouncedService, DaemonState, Discovery, DiscoveryStatus } from './service.js';
import { readStrings, writeTxt } from './txt.js';

type DaemonEvent = 'try' | 'proved' | 'lost';

/** Every way out of `away` is a new helper, so that nothing of the one before is left. */
const STATES = {
  away: { try: 'joining' },
  joining: { proved: 'working', lost: 'away' },
  working: { lost: 'away' },
} as const satisfies TransitionTable<DaemonState, DaemonEvent>;

/** A helper that starts on a slow router, and a daemon that answers its first question. */
const JOIN_WITHIN_MS = 15_000;

/** Between two tries to join; doubled up to a minute. */
const RETRY = { firstMs: 1_000, maxMs: 60_000 };

/** How often it is asked whether the daemon still lives, and how long it may take for that. */
const PROBE_EVERY_MS = 20_000;
const PROBE_WITHIN_MS = 5_000;

/** Probes in a row that were not heard on the network, of a daemon that answers: one may be lost. */
const MAX_UNHEARD = 2;

/** Of what the daemon is asked in a probe. Nobody has such a service. */
export const PROBE_TYPE = '_dmgw-probe._udp';

/** The daemon has told what it knows, and has asked for the rest. */
const SETTLE_MS = 10_000;

/** The daemon tells of an instance once: what could not be taken then is told again so often. */
const BROWSE_AGAIN_MS = 600_000;

/** Tries to resolve one instance, and the pause between them. */
const MAX_TRIES = 3;
const RETRY_RESOLVE_MS = 2_000;

/** A daemon that is started anew is back by then: before that nobody stands in for it. */
const STAND_IN_AFTER_MS = 10_000;

/** A record that was said goodbye to lives for another second (RFC 6762 section 10.1): then its name is free. */
const GOODBYE_MS = 1_500;

export interface DaemonOptions extends BuiltinOptions {
  /** Program and arguments of the helper process, see `runBridge`. */
  readonly command: readonly string[];
  /** While there is no daemon that works, devices are found, and services announced, in this process. */
  readonly standIn: boolean;
}

/** An instance that is to be resolved. */
interface Wanted {
  readonly instance: string;
  readonly domain: string;
  readonly link: string;
  readonly interfaceIndex: number;
  readonly tries: number;
}

/**
 * Discovery through the daemon of the system (Avahi, mDNSResponder). It says which instances there are, and announces
 * our services, so that the machine has one responder (RFC 6762 section 15). Addresses are asked for, and what devices
 * say of themselves is heard, in this process: the daemon's interface has no working way to the first, and no way to the
 * second.
 *
 * It works when it answers and its question is heard on an interface of the LAN; that is asked again and again. One that
 * has ended, stands still or speaks elsewhere is left, and joined anew as soon as it works again.
 */
export class DaemonDiscovery implements Discovery {
  readonly #ears: BuiltinDiscovery;
  readonly #services = new Map<string, AnnouncedService>();
  readonly #backoff: Backoff;
  readonly #wanted = new Map<string, Wanted>();
  readonly #resolving = new Map<number, Wanted>();
  /** What it has told since it was last asked for all; until the others are looked after. */
  #told: Set<string> | undefined;
  #state: DaemonState = 'away';
  #link: DaemonLink | undefined;
  readonly #timers = new Set<TimerHandle>();
  #standInTimer: TimerHandle | undefined;
  #isStandingIn = false;
  #nextId = 1;
  #answered = false;
  #heard = false;
  #unheard = 0;
  /** Said of the present time without a daemon. */
  #complained = false;
  #closed = false;

  constructor(private readonly options: DaemonOptions) {
    this.#backoff = new Backoff(RETRY, options.random);
    this.#ears = new BuiltinDiscovery({
      ...options,
      authority: 'daemon',
      onOwnQuery: (type) => {
        if (type !== PROBE_TYPE) return;
        this.#heard = true;
        this.#prove();
      },
      onLinks: () => this.#browse(),
    });
  }

  start(): void {
    this.#ears.start();
    this.#try();
  }

  announce(key: string, service: AnnouncedService): void {
    this.#services.set(key, service);
    if (this.#isStandingIn) this.#ears.announce(key, service);
    else if (this.#state === 'working') this.#announce(key, service);
  }

  status(): DiscoveryStatus {
    const { links, dropped } = this.#ears.status();
    return { backend: this.#isStandingIn ? 'builtin' : 'daemon', daemon: this.#state, links, dropped };
  }

  verify(identities: ReadonlySet<string>): void {
    this.#ears.verify(identities);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTimers();
    this.#standInTimer?.cancel();
    await this.#link?.close();
    await this.#ears.close();
  }

  #move(event: DaemonEvent): void {
    this.#state = nextState<DaemonState, DaemonEvent>(STATES, this.#state, event, 'mDNS daemon');
    this.options.log.debug('mDNS daemon', { state: this.#state });
  }

  #after(delayMs: number, task: () => void): void {
    const timer = this.options.clock.after(delayMs, () => {
      this.#timers.delete(timer);
      task();
    });
    this.#timers.add(timer);
  }

  #cancelTimers(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }

  #try(): void {
    this.#move('try');
    this.#cancelTimers();
    const link: DaemonLink = new DaemonLink({
      command: this.options.command,
      clock: this.options.clock,
      onNews: (news) => {
        if (link === this.#link) this.#take(news);
      },
      onEnd: (reason) => {
        if (link === this.#link) this.#lose(reason);
      },
    });
    this.#link = link;
    this.#after(JOIN_WITHIN_MS, () => this.#lose(this.#answered ? UNHEARD : UNANSWERED));
  }

  #take(news: BridgeNews): void {
    if (news.is === 'ready') return this.#probe();
    if (news.is === 'probed') {
      this.#answered = true;
      return this.#prove();
    }
    if (news.is === 'up') return this.#want({ ...news, tries: 0 });
    if (news.is === 'down') return this.#ears.browserOn(news.link)?.untold(news.instance);
    if (news.is === 'failed') return this.#lose(news.text, news.code === 'no-addon');
    const wanted = this.#resolving.get(news.id);
    this.#resolving.delete(news.id);
    if (wanted && !(news.is === 'resolved' && this.#tell(wanted, news))) this.#wantAgain(wanted);
    this.#resolve();
  }

  /** @returns whether it was taken, or nobody can take it */
  #tell({ link, instance }: Wanted, { host, port, txt }: Extract<BridgeNews, { is: 'resolved' }>): boolean {
    const browser = this.#ears.browserOn(link);
    return browser?.told(instance, { host, port, txt: readStrings(Buffer.from(txt, 'base64')) }) ?? true;
  }

  #probe(): void {
    this.#answered = false;
    this.#heard = false;
    this.#link?.send({ do: 'probe', type: PROBE_TYPE });
  }

  /** The daemon has answered, or its question was heard. */
  #prove(): void {
    if (this.#state !== 'joining' || !this.#answered || !this.#heard) return;
    this.#move('proved');
    this.#cancelTimers();
    this.#backoff.reset();
    this.#unheard = 0;
    this.#complained = false;
    this.#standInTimer?.cancel();
    this.#standInTimer = undefined;
    this.options.log.info('devices are found through the mDNS daemon');
    const announceAll = (): void => {
      for (const [key, service] of this.#services) this.#announce(key, service);
    };
    if (this.#isStandingIn) {
      this.#isStandingIn = false;
      this.#ears.follow('daemon');
      for (const key of this.#services.keys()) this.#ears.withdraw(key);
      this.#after(GOODBYE_MS, announceAll);
    } else announceAll();
    this.#browse();
    this.#after(PROBE_EVERY_MS, () => this.#probeAgain());
  }

  #probeAgain(): void {
    this.#probe();
    this.#after(PROBE_WITHIN_MS, () => {
      if (!this.#answered) return this.#lose(UNANSWERED);
      this.#unheard = this.#heard ? 0 : this.#unheard + 1;
      if (this.#unheard >= MAX_UNHEARD) return this.#lose(UNHEARD);
      this.#after(PROBE_EVERY_MS, () => this.#probeAgain());
    });
  }

  /** Has it tell of all instances; those that it knows no more are looked after then. */
  #browse(): void {
    const { browse } = this.options;
    if (this.#state !== 'working' || !browse) return;
    const told = new Set<string>();
    this.#told = told;
    this.#link?.send({ do: 'browse', type: browse.type });
    this.#after(SETTLE_MS, () => {
      if (this.#told !== told) return;
      this.#told = undefined;
      for (const link of this.#ears.status().links) {
        this.#ears.browserOn(link)?.untoldBut((instance) => told.has(keyOf(link, instance)));
      }
      this.#after(BROWSE_AGAIN_MS, () => this.#browse());
    });
  }

  #announce(key: string, { instance, type, port, txt }: AnnouncedService): void {
    const strings = writeTxt(txt).flatMap((string) => [Buffer.of(string.length), string]);
    const service = { instance, type, port, txt: Buffer.concat(strings).toString('base64') };
    this.#link?.send({ do: 'announce', key, service });
  }

  #want(wanted: Wanted): void {
    const { link, instance } = wanted;
    const browser = this.#ears.browserOn(link);
    if (!browser) return;
    const key = keyOf(link, instance);
    if (this.#told && this.#told.size < MAX_INSTANCES) this.#told.add(key);
    if (browser.knows(instance) || this.#wanted.size >= MAX_INSTANCES) return;
    this.#wanted.set(key, wanted);
    this.#resolve();
  }

  #wantAgain(wanted: Wanted): void {
    const tries = wanted.tries + 1;
    if (tries < MAX_TRIES) this.#after(RETRY_RESOLVE_MS, () => this.#want({ ...wanted, tries }));
  }

  /** As many at a time as the daemon is asked for. */
  #resolve(): void {
    const { browse } = this.options;
    if (!browse) return;
    for (const [key, wanted] of this.#wanted) {
      if (this.#resolving.size >= MAX_RESOLUTIONS) return;
      this.#wanted.delete(key);
      const { instance, domain, interfaceIndex } = wanted;
      const id = this.#nextId++;
      this.#resolving.set(id, wanted);
      this.#link?.send({ do: 'resolve', id, instance, type: browse.type, domain, interfaceIndex });
    }
  }

  /** The daemon does not work. @param forGood no later try would do better */
  #lose(reason: string, forGood = false): void {
    if (this.#closed || this.#state === 'away') return;
    const worked = this.#state === 'working';
    this.#move('lost');
    this.#cancelTimers();
    this.#link?.kill();
    this.#link = undefined;
    this.#told = undefined;
    this.#wanted.clear();
    this.#resolving.clear();
    if (this.options.standIn && !this.#isStandingIn) {
      this.#standInTimer ??= this.options.clock.after(worked ? STAND_IN_AFTER_MS : 0, () => this.#standIn(reason));
    }
    if (!this.#complained && (worked || !this.options.standIn)) {
      this.options.log.warn('the mDNS daemon does not work', { reason });
      this.#complained = true;
    }
    if (!forGood) this.#after(this.#backoff.nextMs(true), () => this.#try());
  }

  #standIn(reason: string): void {
    this.options.log.info('devices are found without an mDNS daemon', { reason });
    this.#isStandingIn = true;
    this.#ears.follow('network');
    for (const [key, service] of this.#services) this.#ears.announce(key, service);
  }
}

const UNANSWERED = 'it does not answer';
const UNHEARD = 'it does not speak on the interfaces of the LAN';

function keyOf(link: string, instance: string): string {
  return `${link} ${instance.toLowerCase()}`;
}
