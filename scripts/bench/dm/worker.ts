/**
 * The process that is measured. Arguments: folder for the databases; messages of the memory run, 0 for none; the one
 * case to measure (`get 5 KiB xml`), for a profile of it, or `none`. What it tells stands in protocol.ts.
 */
import { join } from 'node:path';
import type { DocumentLimits } from '../../../firmware/codec/index.js';
import { WIRES, type Message } from '../../../firmware/dm/index.js';
import { setFlags } from '../../../firmware/flags.js';
import { memoryOf } from '../proc.js';
import { tell } from '../worker.js';
import { bareCommits } from './bare-commits.js';
import { BenchClient } from './client.js';
import { sessionMessages } from './messages.js';
import { nameOf, type Case, type Phases, type WorkerLine } from './protocol.js';

const CASES: readonly Case[] = [5 * 1024, 64 * 1024].flatMap((bytes) =>
  (['xml', 'wbxml'] as const).flatMap((encoding) =>
    (['get', 'replace'] as const).map((content) => ({ encoding, content, bytes })),
  ),
);

/** Octets of the messages of one session, so that all of it is made before the time is taken. */
const SESSION_BYTES = 128 * 1024;
/** But so many messages at least. */
const LEAST_MESSAGES = 8;
/** Of processor time: on a machine that is busy with other things as much work is done. */
const WARM_UP_MS = 2_000;
const MEASURED_MS = 3_000;
const COMMITS_MS = 2_000;
/** Samples of the memory over its run. */
const SAMPLES = 100;
/** Of a part by itself. */
const PHASE_WARM_UP_MS = 300;
const PHASE_MEASURED_MS = 500;

const LIMITS: DocumentLimits = { maxBytes: 16_000_000, maxDepth: 64, maxElements: 1_000_000 };

const [folder = '.', memoryMessages = '0', only] = process.argv.slice(2);
process.env.TMPDIR = folder;

setFlags();
say({ kind: 'ready' });
for (const one of CASES.filter((candidate) => only === undefined || nameOf(candidate) === only)) {
  if (one.content === 'replace')
    say({ kind: 'commits', perSecond: await bareCommits(join(folder, 'bare.db'), COMMITS_MS) });
  await measure(one);
}
if (Number(memoryMessages) > 0)
  await watchMemory({ encoding: 'xml', content: 'get', bytes: 5 * 1024 }, Number(memoryMessages));

function say(line: WorkerLine | { readonly kind: 'ready' }): void {
  tell(line);
}

async function measure(one: Case): Promise<void> {
  const client = new BenchClient();
  try {
    const messages = messagesOf(one);
    await repeat(client, one, messages, WARM_UP_MS);
    const startMs = performance.now();
    const { handled, cpuMs, bestMs } = await repeat(client, one, messages, MEASURED_MS);
    const perSecond = (handled * 1000) / (performance.now() - startMs);
    say({ kind: 'rate', of: one, commands: commandsIn(one, messages), perSecond, cpuMs, bestMs });
    say({ kind: 'phases', of: one, ms: await phases(client, one, messages, cpuMs) });
  } finally {
    await client.close();
  }
}

/** What messages have cost, in ms of wall clock or processor for each. */
interface Cost {
  readonly handled: number;
  readonly cpuMs: number;
  /** In the fastest session, by wall clock: what the machine gives when nobody else wants it. */
  readonly bestMs: number;
}

/** Sessions, one after the other, for so much processor time. */
async function repeat(
  client: BenchClient,
  one: Case,
  messages: readonly Uint8Array[],
  forCpuMs: number,
): Promise<Cost> {
  const cpu = process.cpuUsage();
  // The message that ends the session is none of them.
  const each = messages.length - 1;
  let [handled, spentMs, bestMs] = [0, 0, Infinity];
  while (spentMs < forCpuMs) {
    const startMs = performance.now();
    await client.session(messages, one.encoding);
    bestMs = Math.min(bestMs, (performance.now() - startMs) / each);
    handled += each;
    spentMs = cpuMsSince(cpu);
  }
  return { handled, cpuMs: spentMs / handled, bestMs };
}

function cpuMsSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

function messagesOf({ encoding, content, bytes }: Case): Uint8Array[] {
  return sessionMessages(encoding, content, bytes, Math.max(LEAST_MESSAGES, Math.ceil(SESSION_BYTES / bytes)));
}

function commandsIn({ encoding }: Case, messages: readonly Uint8Array[]): number {
  const read = messages[0] && WIRES[encoding].decode(messages[0], LIMITS);
  return read?.ok ? read.value.body.length - 1 : 0;
}

/** What the codec takes by itself; the rest of the whole is execution. */
async function phases(
  client: BenchClient,
  { encoding }: Case,
  messages: readonly Uint8Array[],
  wholeMs: number,
): Promise<Phases> {
  const wire = WIRES[encoding];
  const answers: Message[] = [];
  await client.session(messages, encoding, (octets) => {
    const answer = wire.decode(octets, LIMITS);
    if (!answer.ok) throw new Error(answer.error.text);
    answers.push(answer.value);
  });
  const decode = perMessage(messages, (octets) => wire.decode(octets, LIMITS));
  const write = perMessage(answers, ({ header, body }) => {
    const { before, after } = wire.envelope(header);
    let text = before;
    for (const command of body) {
      const written = wire.write(command);
      text += written.before + command.cmdId + written.after;
    }
    return wire.octetsOf(text + wire.final + after);
  });
  return { decode, execute: wholeMs - decode - write, write };
}

/** Processor time of some work on each of these, in ms; warmed up. */
function perMessage<T>(inputs: readonly T[], work: (input: T) => unknown): number {
  const rounds = (forCpuMs: number): number => {
    const cpu = process.cpuUsage();
    let [done, spentMs] = [0, 0];
    for (; spentMs < forCpuMs; done += inputs.length, spentMs = cpuMsSince(cpu))
      for (const input of inputs) work(input);
    return spentMs / done;
  };
  rounds(PHASE_WARM_UP_MS);
  return rounds(PHASE_MEASURED_MS);
}

/** As many messages as asked for, with a look at the memory now and then. */
async function watchMemory(one: Case, total: number): Promise<void> {
  const client = new BenchClient();
  try {
    const messages = messagesOf(one);
    let next = 0;
    for (let handled = 0; handled <= total; handled += messages.length - 1) {
      if (handled >= next) {
        const rssAnonBytes = memoryOf('self')?.rssAnonBytes ?? 0;
        say({ kind: 'memory', messages: handled, rssAnonBytes, heapBytes: process.memoryUsage().heapUsed });
        next += total / SAMPLES;
      }
      await client.session(messages, one.encoding);
    }
  } finally {
    await client.close();
  }
}
