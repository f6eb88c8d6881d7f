/**
 * The process that is measured: the parts of the gateway that find and notify devices, put together as in the gateway,
 * with its database. Arguments: folder, port of the devices, their number, those of them that warm up, rounds.
 */
import { createSocket } from 'node:dgram';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../../firmware/clock/index.js';
import {
  AddressBook,
  DeviceInventory,
  DiscoveredDevices,
  END_DEVICE_TYPE,
  Recognition,
} from '../../../firmware/device/index.js';
import { BuiltinDiscovery } from '../../../firmware/discovery/index.js';
import {
  buildNotification,
  NOTIFICATION_VERSION,
  parseNotification,
  sessionIdText,
  UiMode,
  wrapWsp,
} from '../../../firmware/dm/index.js';
import { setFlags } from '../../../firmware/flags.js';
import { silentLog } from '../../../firmware/log/index.js';
import { loadOutside, NATIVE, type Native } from '../../../firmware/native/index.js';
import { Prefixes } from '../../../firmware/net/index.js';
import { Fanouts, Forwarder, MAX_SENDS_IN_FLIGHT, type SendNotification } from '../../../firmware/notify/index.js';
import { databaseSchema } from '../../../firmware/schema.js';
import { openTestStore } from '../../../firmware/store/store.fixture.js';
import { PROJECT_ROOT } from '../../flow/project.js';
import { memoryOf } from '../proc.js';
import { tell } from '../worker.js';
import {
  deviceAddress,
  deviceIdOf,
  LAN_SECOND_OCTET,
  markOf,
  type SettledMemory,
  type WorkerLine,
} from './protocol.js';

/** The process is left alone so long before memory is read. */
const SETTLE_MS = 4_000;
const POLL_MS = 50;
/** Progress is told so often. */
const TELL_MS = 1_000;
/** Repetitions would mix with the first notifications. */
const INTERVAL_SECONDS = 600;

const [folder = '.', portText = '0', devicesText = '0', warmText = '0', roundsText = '0'] = process.argv.slice(2);
const [port, devices, warm, rounds] = [portText, devicesText, warmText, roundsText].map(Number) as [
  number,
  number,
  number,
  number,
];

const lan = Prefixes.parse([`127.${LAN_SECOND_OCTET}.0.0/16`]);
if (!lan.ok) throw new Error(lan.error.text);
const clock = systemClock(0);
const fail = (thrown: unknown): never => {
  throw thrown;
};

const store = openTestStore({ file: join(folder, 'dmgw.db'), schema: databaseSchema, log: silentLog });
const inventory = new DeviceInventory({ store, clock, log: silentLog, lan: lan.value });
const recognition = new Recognition({
  store,
  clock,
  log: silentLog,
  lan: lan.value,
  inventory,
  discovered: new DiscoveredDevices({ store, clock, inventory, lan: lan.value, maxDiscovered: 2 * devices }),
  takeoverGraceMs: 0,
  verify: () => {},
  onFault: fail,
});
const discovery = new BuiltinDiscovery({
  links: { names: [], lan: lan.value, own: [`127.${LAN_SECOND_OCTET}.255.1`] },
  clock,
  random: Math.random,
  log: silentLog,
  browse: { type: END_DEVICE_TYPE, listener: recognition },
});
const { sendDatagram } = loadOutside(join(PROJECT_ROOT, 'build', `${NATIVE}.node`)) as Native;
const forwarder = new Forwarder({
  clock,
  log: silentLog,
  lan: lan.value,
  wrap: (notification, encapsulation) => (encapsulation === 'raw' ? notification : wrapWsp(notification, 1)),
  sendNow: sendDatagram,
});
let sends = 0;
let onAllSent: () => void = () => {};
const send: SendNotification = (...sending) => {
  sends += 1;
  if (sends === devices) onAllSent();
  return forwarder.send(...sending);
};
const fanouts = new Fanouts({
  store,
  clock,
  log: silentLog,
  book: new AddressBook(store),
  capacity: { free: () => 0 },
  reactions: {
    onFetched: () => () => {},
    onSession: (listener) => recognition.onSession(listener),
  },
  appearances: {
    onAppeared: (listener) => recognition.onAppeared(listener),
    presenceOf: (deviceId) => (recognition.isPresent(deviceId) ? 'present' : 'absent'),
  },
  sessionIdOf: (notification) => {
    const parsed = parseNotification(notification);
    return parsed.ok ? sessionIdText(parsed.value.sessionId) : undefined;
  },
  defaults: { repeat: 2, interval: INTERVAL_SECONDS, lifetime: 2 * INTERVAL_SECONDS, rate: -1 },
  send,
  onFault: fail,
});
fanouts.resume();
discovery.start();
setFlags();
say({ kind: 'ready' });

await untilPresent(warm);
say({ kind: 'warm', ...(await settledMemory()) });
await untilPresent(devices);
say({ kind: 'found', devices: inventory.count(), ...(await settledMemory()) });

const fanout = fanouts.create('bench', 'bench');
if (!fanout.ok) throw new Error(fanout.error.text);
// The first round is not counted: V8 compiles the code of both loops while they run, and the one of the fanout is longer.
for (let round = 1; round <= 1 + rounds; round += 1) {
  await bareRound(2 * round - 1);
  await fanoutRound(fanout.value.id, 2 * round);
}

await discovery.close();
recognition.flush();
inventory.flush();
await fanouts.close();
await forwarder.close();
await store.close();

function say(line: WorkerLine): void {
  tell(line);
}

async function untilPresent(count: number): Promise<void> {
  const found = (): number => Math.min(recognition.presentCount, inventory.count());
  let toldMs = performance.now();
  while (found() < count) {
    await sleep(POLL_MS);
    if (performance.now() - toldMs < TELL_MS) continue;
    toldMs = performance.now();
    say({ kind: 'present', devices: found() });
  }
  say({ kind: 'present', devices: count });
}

async function settledMemory(): Promise<SettledMemory> {
  const rssAnon = (): number => memoryOf('self')?.rssAnonBytes ?? 0;
  await sleep(SETTLE_MS);
  const rssAnonBytes = rssAnon();
  // Twice: what the first one frees may hold something outside of the heap.
  for (let times = 0; times < 2; times += 1) {
    globalThis.gc?.();
    await sleep(POLL_MS);
  }
  return { rssAnonBytes, collectedBytes: rssAnon() };
}

function notificationFor(round: number, index: number): Uint8Array {
  return buildNotification(
    {
      version: NOTIFICATION_VERSION,
      uiMode: UiMode.BACKGROUND,
      initiator: 'server',
      sessionId: round,
      serverId: 'bench',
      vendor: markOf(round, index),
    },
    'secret',
    new Uint8Array(8),
  );
}

/** The same datagrams to the same addresses with nothing around them: what Node.js takes for that. */
async function bareRound(round: number): Promise<void> {
  const payloads = Array.from({ length: devices }, (_, index) => wrapWsp(notificationFor(round, index), 1));
  const addresses = Array.from({ length: devices }, (_, index) => deviceAddress(index));
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, resolve));
  await sleep(500);
  const cpu = process.cpuUsage();
  const startNs = process.hrtime.bigint();
  await new Promise<void>((resolve, reject) => {
    let [next, done] = [0, 0];
    const sendNext = (): void => {
      const index = next;
      if (index >= devices) return;
      next += 1;
      socket.send(payloads[index] ?? '', port, addresses[index], (error) => {
        if (error) reject(error);
        done += 1;
        if (done === devices) resolve();
        else sendNext();
      });
    };
    for (let started = 0; started < MAX_SENDS_IN_FLIGHT; started += 1) sendNext();
  });
  say({ kind: 'bare', round, startNs: String(startNs), cpuMs: cpuMsSince(cpu) });
  socket.close();
  await sleep(500);
}

async function fanoutRound(id: number, round: number): Promise<void> {
  store.transaction(() => {
    for (let index = 0; index < devices; index += 1) {
      const name = `t${index}`;
      if (!fanouts.target(id, name)) {
        expectOk(fanouts.addTarget(id, name));
        expectOk(fanouts.setTargetLeaf(id, name, 'deviceId', deviceIdOf(index)));
      }
      expectOk(fanouts.setTargetLeaf(id, name, 'notification', notificationFor(round, index)));
    }
  });
  await store.durable();
  await sleep(1_000);
  const allSent = new Promise<void>((resolve) => (onAllSent = resolve));
  const ended = new Promise<WorkerLine>((resolve) => {
    const unsubscribe = fanouts.onEvent(({ kind, counters }) => {
      unsubscribe();
      const { total, sent, reacted, failed } = counters;
      resolve({ kind: 'finished', round, end: kind, total, sent, reacted, failed, delayMaxMs: 0 });
    });
  });
  sends = 0;
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const cpu = process.cpuUsage();
  const startNs = process.hrtime.bigint();
  expectOk(fanouts.start(id, 'bench'));
  const startMs = Number(process.hrtime.bigint() - startNs) / 1e6;
  await allSent;
  // The delay of the last turn is seen by the timer after it.
  await sleep(POLL_MS);
  say({
    kind: 'sent',
    round,
    startNs: String(startNs),
    startMs,
    cpuMs: cpuMsSince(cpu),
    delayMaxMs: delay.max / 1e6,
    delayP99Ms: delay.percentile(99) / 1e6,
    rssAnonBytes: memoryOf('self')?.rssAnonBytes ?? 0,
  });
  delay.reset();
  const telling = setInterval(
    () => say({ kind: 'reacted', round, devices: fanouts.counters(id)?.reacted ?? 0 }),
    TELL_MS,
  );
  const line = await ended;
  clearInterval(telling);
  await sleep(POLL_MS);
  delay.disable();
  if (line.kind === 'finished') say({ ...line, delayMaxMs: delay.max / 1e6 });
}

function cpuMsSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

function expectOk(outcome: { readonly ok: boolean }): void {
  if (!outcome.ok) throw new Error(JSON.stringify(outcome));
}
