import { createSocket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import type { Clock, Random } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { Browser, type Authority } from './browser.js';
import { LinkBudget } from './budget.js';
import { LinkSocket, type OpenSocket } from './link-socket.js';
import { LinkWatch, type Link, type LinkChoice, type NetworkInterfaces } from './links.js';
import { Responder } from './responder.js';
import {
  typeOf,
  type AnnouncedService,
  type Discovery,
  type DiscoveryStatus,
  type ServiceListener,
} from './service.js';

export interface BuiltinOptions {
  readonly links: LinkChoice;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** What is browsed, and who wants to know; absent for one that only announces. */
  readonly browse?: { readonly type: string; readonly listener: ServiceListener };
  /** Default: the system's. */
  readonly interfaces?: NetworkInterfaces;
  /** Default: the system's. */
  readonly openSocket?: OpenSocket;
  /** Processor time used so far, see `LinkBudget`. Default: that of this process. */
  readonly processorMs?: () => number;
  /** Who says which instances there are; default `network`. */
  readonly authority?: Authority;
  /** Told when this machine asks for a type: somebody else on it does, where nothing is asked for here. */
  readonly onOwnQuery?: (type: string) => void;
  /** Told when a link has come or has changed: nothing is known on it. */
  readonly onLinks?: () => void;
}

/** The parts that work on one link. */
interface LinkParts {
  readonly sockets: readonly LinkSocket[];
  readonly budget: LinkBudget;
  readonly responder: Responder;
  readonly browser: Browser | undefined;
}

/**
 * mDNS in this process (RFC 6762, 6763): no daemon is needed, one that runs beside it does no harm. It is also the ears
 * beside a daemon, where nothing is asked for or announced here, see `authority`.
 */
export class BuiltinDiscovery implements Discovery {
  readonly #links = new Map<string, LinkParts>();
  readonly #services = new Map<string, AnnouncedService>();
  readonly #watch: LinkWatch;
  #authority: Authority;
  #closing: Promise<void> | undefined;
  /** Sockets of links that went. */
  readonly #ending = new Set<Promise<void>>();

  constructor(private readonly options: BuiltinOptions) {
    const { authority = 'network', clock, links, interfaces = networkInterfaces } = options;
    this.#authority = authority;
    this.#watch = new LinkWatch(interfaces, links, clock, (fresh, gone) => {
      for (const name of gone) this.#end(name, 'gone');
      for (const link of fresh) this.#begin(link);
      if (fresh.length > 0) options.onLinks?.();
    });
  }

  start(): void {
    this.#watch.start();
    if (this.#links.size === 0) this.options.log.warn('no interface is in the LAN yet: nothing is discovered');
  }

  /** Announces a service on every link, or tells of its change. @param key by which it is changed and withdrawn */
  announce(key: string, service: AnnouncedService): void {
    this.#services.set(key, service);
    for (const { responder } of this.#links.values()) responder.set(key, service);
  }

  withdraw(key: string): void {
    this.#services.delete(key);
    for (const { responder } of this.#links.values()) responder.remove(key);
  }

  status(): DiscoveryStatus {
    let dropped = 0;
    for (const { budget } of this.#links.values()) dropped += budget.dropped;
    return { backend: 'builtin', links: [...this.#links.keys()], dropped };
  }

  verify(identities: ReadonlySet<string>): void {
    for (const { browser } of this.#links.values()) browser?.verify(identities);
  }

  /** Another one says from now on which instances there are. */
  follow(authority: Authority): void {
    this.#authority = authority;
    for (const { browser } of this.#links.values()) browser?.follow(authority);
  }

  /** Undefined where nothing is browsed. */
  browserOn(link: string): Browser | undefined {
    return this.#links.get(link)?.browser;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#watch.stop();
    for (const name of [...this.#links.keys()]) this.#end(name, 'closing');
    await Promise.all(this.#ending);
  }

  /** A link that has changed is begun anew: its addresses stand in our records. What was found on it is found again. */
  #begin(link: Link): void {
    const { browse, clock, links, log, onOwnQuery, openSocket = createSocket, processorMs, random } = this.options;
    this.#end(link.name, 'gone');
    const budget = new LinkBudget(clock, processorMs);
    const families: (4 | 6)[] = [
      ...(link.address4 === undefined ? [] : [4 as const]),
      ...(link.hasIPv6 ? [6 as const] : []),
    ];
    const sockets: LinkSocket[] = families.map(
      (family) =>
        new LinkSocket(
          link,
          family,
          budget,
          {
            query: (query, from, socket) => {
              if (onOwnQuery && link.addresses.includes(from.address.split('%')[0] ?? '')) {
                for (const { name } of query.questions) onOwnQuery(typeOf(name));
              }
              responder.take(query, from, socket);
            },
            response: (records) => {
              responder.watch(records);
              browser?.take(records);
            },
            missed: () => browser?.missed(),
          },
          clock,
          log,
          openSocket,
        ),
    );
    const responder = new Responder({
      clock,
      random,
      log,
      link: link.name,
      addresses: link.addresses.filter((address) => links.lan.contains(address)),
      own: new Set(link.addresses),
      sockets,
    });
    const browser =
      browse &&
      new Browser({
        ...browse,
        authority: this.#authority,
        link: link.name,
        clock,
        random,
        log,
        ask: (questions, known) => {
          for (const socket of sockets) socket.sendQuery(questions, known);
        },
      });
    this.#links.set(link.name, { sockets, budget, responder, browser });
    for (const socket of sockets) socket.open();
    browser?.start();
    for (const [key, service] of this.#services) responder.set(key, service);
    log.info('mDNS on an interface', { interface: link.name, families: families.join(',') });
  }

  #end(name: string, why: 'gone' | 'closing'): void {
    const parts = this.#links.get(name);
    if (!parts) return;
    this.#links.delete(name);
    if (why === 'gone') parts.browser?.abandon();
    parts.browser?.close();
    parts.responder.close();
    const ending = Promise.all(parts.sockets.map((socket) => socket.close())).then(() => {
      this.#ending.delete(ending);
    });
    this.#ending.add(ending);
    if (why === 'gone') this.options.log.info('mDNS on an interface ended', { interface: name });
  }
}
