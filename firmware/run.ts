/**
 * The daemon as a process: starts the gateway, stops it on a signal, never goes on after a defect.
 * Leaves to the gateway what runs, and to the service manager to start it again.
 */
import { extname, join } from 'node:path';
import { runInNewContext } from 'node:vm';
import {
  loadConfiguration,
  loadPlaces,
  preparePlaces,
  resolveDevId,
  type Configuration,
  type ConfigurationFiles,
  type Places,
} from './config/index.js';
import { checkNamed, ExitCode, isMarked, resetIfMarked } from './cli/index.js';
import { startGateway, type Gateway } from './gateway/index.js';
import { lateV8 } from './late/index.js';
import { createLog, LogRing, type Logger } from './log/index.js';
import { AddonError, native } from './native/index.js';
import { askStatus } from './ops/index.js';
import { describeThrown, failure, success, type CodedError, type Outcome } from './outcome/index.js';
import { BUILD_TIME_MS, VERSION } from './version.js';

/** A stop that takes longer is given up: service managers kill after about as long. */
const STOP_WITHIN_MS = 5000;

/** The program that speaks with the system's mDNS daemon: beside this one, as a bundle or as its source. */
const MDNS_HELPER = `dmgw-mdns${extname(import.meta.filename)}`;

/**
 * Why a gateway does not start, where no later start would do better: tmpfs, a bad name or DevId, no certificate, a
 * database of a newer version.
 */
const NEEDS_OTHER_CONFIGURATION: ReadonlySet<string> = new Set([
  'in-memory',
  'not-a-folder',
  'bad-name',
  'malformed',
  'not-a-certificate',
  'not-a-key',
  'newer-schema',
]);

/**
 * Runs until SIGTERM or SIGINT; SIGHUP starts the gateway anew with the configuration as it is then, if that is right.
 * @param complain writes one line for a person
 * @param onReady called after each start
 * @returns the exit code
 * @throws AddonError where an addon cannot be loaded
 */
export async function runDaemon(
  files: ConfigurationFiles,
  complain: (line: string) => void,
  onReady: () => void,
): Promise<number> {
  native(); // the first client would be too late
  const begun = resetAndRead(files);
  if (!begun.ok) return refuseStart(begun.error, complain);
  let { configuration, removed } = begun.value;
  /** What the gateway ran with before a reload, as long as the new one has not started. */
  let before: Configuration | undefined;
  const lines = new LogRing(configuration.log.keepKiB * 1024);
  let log = logsOf(configuration, lines)('process');
  exitOnDefect(() => log);
  const wishes = new Wishes(() => log);
  process.on('SIGUSR2', () => void logStatus(configuration.controlSocket, log));

  for (;;) {
    if (removed) log.warn('reset as a mark asked for', { removed: removed.join(' ') });
    const started = await startGateway(configuration, {
      log: logsOf(configuration, lines),
      lines,
      version: VERSION,
      buildTimeMs: BUILD_TIME_MS,
      mdnsHelper: [process.execPath, ...process.execArgv, join(import.meta.dirname, MDNS_HELPER)],
      collectGarbage: (generation) => collect(generation === 'young' ? { type: 'minor' } : undefined),
      onFatal: (thrown) => exitFatally(log, thrown),
      onReload: () => {
        const checked = checkAgain(files);
        if (checked.ok) setTimeout(() => wishes.reload(), ANSWER_MS);
        return checked.ok ? success({ done: true }) : checked;
      },
    });
    if (!started.ok && before) {
      log.error('does not start with the changed configuration, and goes on with the one before', {
        reason: started.error.text,
      });
      configuration = before;
      [before, removed] = [undefined, undefined];
      log = logsOf(configuration, lines)('process');
      continue;
    }
    if (!started.ok) {
      complain(`${files.file}: ${started.error.text}`);
      return NEEDS_OTHER_CONFIGURATION.has(started.error.code) ? ExitCode.usage : ExitCode.failed;
    }
    before = undefined;
    onReady();
    for (let isSound = false; !isSound;) {
      const wish = await wishes.next();
      if (wish !== 'reload') {
        log.info('stopping', { signal: wish });
        return stop(started.value, log);
      }
      const checked = checkAgain(files);
      if (!checked.ok) log.error('the changed configuration is not taken', { reason: checked.error.text });
      isSound = checked.ok;
    }
    log.info('starting anew with the configuration as it is now');
    if ((await stop(started.value, log)) !== ExitCode.done) return ExitCode.failed;
    const again = resetAndRead(files);
    if (!again.ok) return refuseStart(again.error, complain);
    before = configuration;
    ({ configuration, removed } = again.value);
    log = logsOf(configuration, lines)('process');
  }
}

interface Begun {
  readonly configuration: Configuration;
  /** Undefined: there was no reset. */
  readonly removed: readonly string[] | undefined;
}

/** Reads the configuration; anew where a mark had the gateway reset first: what is wrong with it may be gone by then. */
function resetAndRead(files: ConfigurationFiles): Outcome<Begun, CodedError> {
  const uid = process.getuid?.() ?? 0;
  let loaded = loadConfiguration(files, uid);
  let removed: string[] | undefined;
  try {
    const places = loaded.ok ? success(loaded.value.configuration) : loadPlaces(files);
    // Before its disk is there, nothing is known of its images. A full one is a reason to reset.
    if (places.ok && isMarked(places.value) && isMounted(places.value)) removed = resetIfMarked(places.value);
  } catch (thrown) {
    return failure('not-reset', `cannot be reset: ${describeThrown(thrown)}`);
  }
  if (removed) loaded = loadConfiguration(files, uid);
  return loaded.ok ? success({ configuration: loaded.value.configuration, removed }) : loaded;
}

/** Whether the folders are where they should be, though perhaps nothing can be written there. */
function isMounted(places: Places): boolean {
  const prepared = preparePlaces(places);
  return prepared.ok || prepared.error.code === 'not-writable';
}

/** @returns the exit code */
function refuseStart({ code, text }: CodedError, complain: (line: string) => void): number {
  complain(text);
  return code === 'not-reset' ? ExitCode.failed : ExitCode.usage;
}

/** The answer to whoever asks for a reload is to leave before its socket closes. */
const ANSWER_MS = 100;

function logsOf({ log: { level, timestamps } }: Configuration, lines: LogRing): (component: string) => Logger {
  return createLog({
    level,
    write: (line) => {
      standardError().write(`${line}\n`);
      lines.push(line);
    },
    ...(timestamps && { wallMs: () => Date.now() }),
  });
}

let heard: NodeJS.WriteStream | undefined;
/** Made by the first line: a start has none. Its reader may go away; that is no reason to end. */
const standardError = (): NodeJS.WriteStream => (heard ??= process.stderr.on('error', () => {}));

/** What a start would find wrong with the configuration as it is now, as far as it can be told beside a running gateway. */
function checkAgain(files: ConfigurationFiles): Outcome<unknown, CodedError> {
  const places = loadPlaces(files);
  // What is wrong may be gone with the reset.
  if (places.ok && isMarked(places.value)) return success();
  const uid = process.getuid?.() ?? 0;
  const loaded = loadConfiguration(files, uid);
  if (!loaded.ok) return loaded;
  const { configuration } = loaded.value;
  const named = checkNamed(configuration, uid);
  return named.ok ? resolveDevId(configuration.device) : named;
}

type CollectGarbage = (options?: { type: 'minor' }) => void;

let collector: CollectGarbage | undefined;
/** With `--expose-gc` from the start it is there; without, it takes a context of its own, 0.3 MB, made by the first who asks. */
const collect: CollectGarbage = (options) => {
  if (!collector) {
    lateV8().setFlagsFromString('--expose-gc');
    collector = (globalThis.gc ?? runInNewContext('gc')) as CollectGarbage;
  }
  collector(options);
};

/** What a start needed and nothing needs any more, 2 MB, would else stay for as long as little happens. */
export function tidyUpSoon(): void {
  const tidyUp = (): void => {
    collect();
    // What the first time has only found to be unused for a while.
    collect();
  };
  setTimeout(tidyUp, TIDY_AFTER_MS).unref();
}

/** By then the first sessions have begun. */
const TIDY_AFTER_MS = 1000;

async function stop(gateway: Gateway, log: Logger): Promise<number> {
  const giveUp = setTimeout(() => {
    log.error('stop took too long', { within_ms: STOP_WITHIN_MS });
    native().end(ExitCode.failed);
  }, STOP_WITHIN_MS);
  try {
    await gateway.close();
    log.info('stopped');
    return ExitCode.done;
  } catch (thrown) {
    log.error('stop failed', { reason: describeThrown(thrown) });
    return ExitCode.failed;
  } finally {
    clearTimeout(giveUp);
  }
}

const STOP_SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const;

/** What the process is told to do: to stop, by the first signal that asks for it (the second ends it at once), or to reload. */
class Wishes {
  #wish: string | undefined;
  #told: (() => void) | undefined;

  constructor(log: () => Logger) {
    for (const [signal, number] of Object.entries(STOP_SIGNALS)) {
      process.on(signal, () => {
        if (this.#stops) {
          log().warn('stopped at once', { signal });
          native().end(128 + number);
        }
        this.#stops = true;
        this.#tell(signal);
      });
    }
    process.on('SIGHUP', () => this.reload());
  }

  #stops = false;

  reload(): void {
    if (!this.#stops) this.#tell('reload');
  }

  /** `reload`, or the name of a signal. */
  async next(): Promise<string> {
    if (this.#wish === undefined) await new Promise<void>((resolve) => (this.#told = resolve));
    const wish = this.#wish ?? 'reload';
    this.#wish = undefined;
    return wish;
  }

  #tell(wish: string): void {
    this.#wish = wish;
    this.#told?.();
  }
}

function exitOnDefect(log: () => Logger): void {
  process.on('uncaughtException', (thrown) => exitFatally(log(), thrown));
  process.on('unhandledRejection', (thrown) => exitFatally(log(), thrown));
}

/** After a defect or a failed disk the state in memory cannot be trusted; what was promised is on disk. An addon may be needed late. */
function exitFatally(log: Logger, thrown: unknown): never {
  log.error('cannot go on', {
    reason: describeThrown(thrown),
    stack: thrown instanceof Error ? thrown.stack : undefined,
  });
  return native().end(thrown instanceof AddonError ? ExitCode.usage : ExitCode.fatal);
}

async function logStatus(socket: string, log: Logger): Promise<void> {
  const resources = new Map<string, number>();
  for (const name of process.getActiveResourcesInfo()) resources.set(name, (resources.get(name) ?? 0) + 1);
  log.info('resources', Object.fromEntries(resources));
  const asked = await askStatus(socket);
  if (!asked.ok) {
    log.warn('no status', { reason: asked.error.text });
    return;
  }
  const { memory, images, fanouts, devices, serve, accounts, uptimeSeconds } = asked.value;
  log.info('status', {
    uptime_s: uptimeSeconds,
    rss_bytes: memory.residentBytes,
    anon_bytes: memory.anonymousBytes ?? undefined,
    heap_bytes: memory.heapUsedBytes,
    buffer_bytes: memory.bufferBytes,
    images: images.length,
    fanouts: fanouts.length,
    devices: devices.known,
    connections: serve.connections,
    alerts_waiting: accounts.reduce((sum, { alertsWaiting }) => sum + alertsWaiting, 0),
  });
}
