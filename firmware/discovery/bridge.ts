/**
 * The helper process that speaks with the system's mDNS daemon through the addon `mdns`: the only file that imports it.
 *
 * It is a process of its own because the addon's calls go to the daemon over D-Bus and wait: one that stands still holds
 * up its caller for 25 s, at each call. Here that holds up nobody, and whoever waits for an answer in vain kills the helper.
 */
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type mdns from 'mdns';
import { describeThrown, failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import type { BridgeCommand, BridgeNews, BridgeService } from './bridge-protocol.js';

/** One request that the daemon works on. `stop` frees its thread and its D-Bus client. */
interface DaemonRequest {
  readonly serviceRef: unknown;
  start(): void;
  stop(): void;
}

type Resolved = (
  ref: unknown,
  flags: number,
  interfaceIndex: number,
  errorCode: number,
  fullName: string,
  host: string,
  port: number,
  txt: Buffer,
) => void;

/** What the types of the package leave out. */
type Addon = Omit<typeof mdns, 'dns_sd'> & {
  readonly MDNSService: new () => DaemonRequest;
  readonly dns_sd: {
    DNSServiceResolve(
      ref: unknown,
      flags: number,
      interfaceIndex: number,
      instance: string,
      type: string,
      domain: string,
      resolved: Resolved,
      context: null,
    ): void;
  };
};

/** mDNSResponder goes on for ever, Avahi gives up after five seconds by itself. */
const RESOLVE_WITHIN_MS = 6_000;

/** So long a probe asks; the daemon delays its question at random by up to 120 ms (RFC 6762 section 5.2). */
const PROBE_MS = 500;

/** Services that are announced. */
const MAX_ANNOUNCED = 4;

/**
 * Serves until `input` ends, then ends the process; the daemon forgets what was announced.
 * @param tell writes one line to whoever started it, before it returns
 */
export async function runBridge(input: Readable, tell: (line: string) => void): Promise<never> {
  const news = (one: BridgeNews): void => tell(`${JSON.stringify(one)}\n`);
  const addon = await loadAddon();
  if (!addon.ok) {
    news({ is: 'failed', code: addon.error.code, text: addon.error.text });
    process.exit(0);
  }
  const bridge = new Bridge(addon.value, news, (thrown) => {
    news({ is: 'failed', code: 'daemon', text: describeThrown(thrown) });
    process.exit(0);
  });
  // Ctrl-C goes to all processes of a terminal: it is the gateway that ends the helper.
  process.on('SIGINT', () => {});
  news({ is: 'ready' });
  for await (const line of createInterface({ input })) bridge.take(JSON.parse(line) as BridgeCommand);
  process.exit(0);
}

/** @returns the addon, or why there is none */
async function loadAddon(): Promise<Outcome<Addon, CodedError<'no-addon'>>> {
  // Avahi would complain on standard error that it is spoken to through its compatibility library.
  process.env.AVAHI_COMPAT_NOWARN = '1';
  try {
    const loaded = (await import('mdns')) as unknown as { readonly default: Addon };
    return success(loaded.default);
  } catch (thrown) {
    return failure('no-addon', `the package mdns does not load: ${describeThrown(thrown)}`, thrown);
  }
}

class Bridge {
  readonly #announced = new Map<string, mdns.Advertisement>();
  #browser: mdns.Browser | undefined;

  constructor(
    private readonly addon: Addon,
    private readonly tell: (news: BridgeNews) => void,
    /** The daemon is gone. */
    private readonly fail: (thrown: unknown) => never,
  ) {}

  take(command: BridgeCommand): void {
    try {
      if (command.do === 'browse') this.#browse(command.type);
      else if (command.do === 'resolve') this.#resolve(command);
      else if (command.do === 'announce') this.#announce(command.key, command.service);
      else if (command.do === 'withdraw') this.#withdraw(command.key);
      else this.#probe(command.type);
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  #browse(type: string): void {
    this.#browser?.stop();
    // Nothing is resolved by itself: how many at a time is decided by who asks, and the package's own sequence of
    // resolvers aborts the process on Node.js 20.
    const browser = this.addon.createBrowser(this.addon.makeServiceType(type), { resolverSequence: [] });
    this.#browser = browser;
    browser.on('serviceUp', ({ name, replyDomain, networkInterface, interfaceIndex }) => {
      if (name === undefined) return;
      this.tell({ is: 'up', instance: name, domain: replyDomain, link: networkInterface, interfaceIndex });
    });
    browser.on('serviceDown', ({ name, networkInterface }) => {
      if (name !== undefined) this.tell({ is: 'down', instance: name, link: networkInterface });
    });
    browser.on('error', this.fail);
    browser.start();
  }

  #resolve({ id, instance, type, domain, interfaceIndex }: Extract<BridgeCommand, { do: 'resolve' }>): void {
    const request = new this.addon.MDNSService();
    const end = (news: BridgeNews): void => {
      clearTimeout(timer);
      request.stop();
      this.tell(news);
    };
    const timer = setTimeout(() => end({ is: 'unresolved', id, text: 'no answer' }), RESOLVE_WITHIN_MS);
    const resolved: Resolved = (_ref, _flags, _index, errorCode, _fullName, host, port, txt) => {
      if (errorCode !== 0) end({ is: 'unresolved', id, text: `error ${errorCode}` });
      else end({ is: 'resolved', id, host: host.replace(/\.$/, ''), port, txt: txt.toString('base64') });
    };
    this.addon.dns_sd.DNSServiceResolve(request.serviceRef, 0, interfaceIndex, instance, type, domain, resolved, null);
    request.start();
  }

  #announce(key: string, { instance, type, port, txt }: BridgeService): void {
    this.#withdraw(key);
    if (this.#announced.size >= MAX_ANNOUNCED) return;
    const options = { name: instance, txtRecord: Buffer.from(txt, 'base64') };
    const announced = this.addon.createAdvertisement(this.addon.makeServiceType(type), port, options);
    announced.on('error', this.fail);
    announced.start();
    this.#announced.set(key, announced);
  }

  #withdraw(key: string): void {
    this.#announced.get(key)?.stop();
    this.#announced.delete(key);
  }

  #probe(type: string): void {
    const probe = this.addon.createBrowser(this.addon.makeServiceType(type), { resolverSequence: [] });
    probe.on('error', this.fail);
    probe.start();
    setTimeout(() => {
      probe.stop();
      this.tell({ is: 'probed' });
    }, PROBE_MS);
  }
}
