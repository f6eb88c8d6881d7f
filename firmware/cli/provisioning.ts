import { createReadStream } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfiguration, loadPlaces, provision, PROVISIONED_FILE, readJson, type Places } from '../config/index.js';
import { isBootstrap, readBootstrap } from '../dm/index.js';
import { askStatus, operate, type AskError } from '../ops/index.js';
import { describeThrown, failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { filesOf, noAnswer, ownUid, present, withSocket } from './ask.js';
import type { Call, Command } from './command.js';
import { ExitCode } from './exit.js';
import { isInUse, isMarked, KEPT, markReset, RESET_MARK, resetIfMarked } from './reset.js';
import { complain, type Terminal } from './terminal.js';

/** Longest document that is read. */
const MAX_DOCUMENT_BYTES = 1024 * 1024;

/** From a reload to the first answer. */
const RELOAD_WITHIN_MS = 20_000;
const LOOK_MS = 200;

export const PROVISIONING_COMMANDS: readonly Command[] = [
  {
    name: 'provision',
    summary: 'take what only this device has: accounts, secrets, certificates',
    details: `FILE (- is standard input) is JSON with the keys accounts, device and retrieve of the configuration. An account is laid over
the one with the same serverId: an image for all devices has its URL, this its secrets. ca, cert and key of an account, and
ca of retrieve, may hold PEM; "remove": true takes an account away. Or FILE is a bootstrap document of OMA DM, in XML or WBXML: a
message with a DMAcc for ./Inbox, or its TNDS alone. Checked as a whole, then written to
<stateDir>/${PROVISIONED_FILE}, for its owner only; the same again changes nothing. A running gateway takes it over at once. An
old secret serves until the new one has worked. What root provisions belongs to the owner of stateDir: a gateway with a user of
its own is started once before, or that folder made for its user.`,
    options: ['config', 'board', 'socket', 'json'],
    operands: ['FILE'],
    run: provisionDevice,
  },
  {
    name: 'reload',
    summary: 'have the running gateway take the configuration as it is now',
    details:
      'As SIGHUP: it starts anew within the process, with everything durable. A wrong configuration is refused, and it goes on.',
    options: ['config', 'board', 'socket', 'json'],
    run: (call) =>
      withSocket(call, async (socket) => {
        const reloaded = await reload(socket);
        if (!reloaded.ok) return noAnswer(call, reloaded.error);
        await present(call, { reloaded: true }, ['the gateway has started anew']);
        return ExitCode.done;
      }),
  },
  {
    name: 'factory-reset',
    summary: 'forget everything that the gateway has learnt',
    details: `Removes the database (accounts as servers changed them, nonces, devices, fanouts, alerts that wait), what was provisioned, and
the stored images. The configuration file stays, and so does all that is not the gateway's. A gateway that runs starts anew
with it; cut off, it goes on at the next start. Other software makes an empty file ${RESET_MARK} in stateDir or storeDir: the
next start does the same, and keeps what every such file names in it (${KEPT.join(', ')}).`,
    options: ['config', 'board', 'yes', ...KEPT, 'json'],
    run: factoryReset,
  },
];

async function provisionDevice(call: Call): Promise<number> {
  const { terminal, given } = call;
  const document = await readDocument(call.operands[0] ?? '', terminal);
  const written = document.ok ? await provision(filesOf(given), document.value, ownUid()) : document;
  if (!written.ok) {
    complain(terminal, written.error.text);
    return ExitCode.usage;
  }
  return withSocket(call, async (socket) => {
    const changed = written.value;
    const reloaded = changed ? await reload(socket) : success();
    const runs = reloaded.ok || reloaded.error.code !== 'not-running';
    if (!reloaded.ok && runs) return noAnswer(call, reloaded.error);
    const taken = changed && runs;
    const text = changed ? `provisioned${taken ? ', the gateway has taken it over' : ''}` : 'nothing has changed';
    await present(call, { changed, taken }, [text]);
    return ExitCode.done;
  });
}

async function readDocument(file: string, terminal: Terminal): Promise<Outcome<unknown, CodedError>> {
  const name = file === '-' ? 'standard input' : file;
  try {
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of file === '-' ? terminal.input : (createReadStream(file) as AsyncIterable<Uint8Array>)) {
      bytes += piece.byteLength;
      if (bytes > MAX_DOCUMENT_BYTES) return failure('too-large', `${name} has more than ${MAX_DOCUMENT_BYTES} bytes`);
      pieces.push(piece);
    }
    const octets = Buffer.concat(pieces);
    if (isBootstrap(octets)) {
      const accounts = readBootstrap(octets);
      return accounts.ok ? success({ accounts: accounts.value }) : failure('syntax', `${name}: ${accounts.error.text}`);
    }
    const json = readJson(octets.toString('utf8'));
    if (json.ok) return json;
    const { line, column, text } = json.error;
    return failure('syntax', `${name}: line ${line}, column ${column}: ${text}`);
  } catch (thrown) {
    return failure('unreadable', `${name} cannot be read (${describeThrown(thrown)})`);
  }
}

/** Resolves when the gateway answers with what it has taken over. @param isOver nobody will answer any more */
async function reload(socket: string, isOver = (): boolean => false): Promise<Outcome<undefined, AskError>> {
  const before = await askStatus(socket);
  const asked = before.ok ? await operate(socket, 'reload', {}) : before;
  if (!asked.ok) return asked;
  const lateMs = performance.now() + RELOAD_WITHIN_MS;
  while (performance.now() < lateMs && !isOver()) {
    await sleep(LOOK_MS);
    const now = await askStatus(socket);
    if (now.ok && before.ok && now.value.startedAt !== before.value.startedAt) return success();
  }
  return failure('broken', 'the gateway has not come back: see its log');
}

async function factoryReset(call: Call): Promise<number> {
  const { terminal, given } = call;
  if (given.yes !== true) {
    complain(terminal, "'factory-reset' removes what cannot be brought back: say --yes; see: dmgw help factory-reset");
    return ExitCode.usage;
  }
  // What was provisioned may be what is wrong, and goes.
  const places = loadPlaces(filesOf(given));
  if (!places.ok) {
    complain(terminal, places.error.text);
    return ExitCode.usage;
  }
  const { controlSocket } = places.value;
  try {
    const isRunning = (await askStatus(controlSocket)).ok;
    if (!isRunning && isInUse(places.value)) {
      complain(terminal, `the database is in use, but nobody answers at ${controlSocket}: stop the gateway first`);
      return ExitCode.failed;
    }
    const marked = await markReset(places.value, given);
    if (!marked.ok) {
      complain(terminal, marked.error.text);
      return ExitCode.failed;
    }
    if (isRunning) return await resetRunning(call, places.value);
    const removed = resetIfMarked(places.value) ?? [];
    await present(call, { removed }, [removed.length === 0 ? 'nothing to remove' : `removed ${removed.join(', ')}`]);
    return ExitCode.done;
  } catch (thrown) {
    complain(terminal, describeThrown(thrown));
    return ExitCode.failed;
  }
}

/** With its mark in place, the gateway resets itself when it starts anew. @throws the system's error */
async function resetRunning(call: Call, places: Places): Promise<number> {
  const { terminal, given } = call;
  const whatIsLeft = (): ReturnType<typeof loadConfiguration> => loadConfiguration(filesOf(given), ownUid());
  const reloaded = await reload(places.controlSocket, () => !isMarked(places) && !whatIsLeft().ok);
  if (reloaded.ok) {
    await present(call, { reset: true, running: true }, ['everything is forgotten, the gateway has started anew']);
    return ExitCode.done;
  }
  if (isMarked(places)) {
    complain(terminal, `nothing is forgotten yet, the next start does it; ${reloaded.error.text}`);
    return ExitCode.failed;
  }
  const left = whatIsLeft();
  if (left.ok) {
    complain(terminal, `everything is forgotten; ${reloaded.error.text}`);
    return ExitCode.failed;
  }
  const text = `everything is forgotten, the gateway waits to be provisioned (${left.error.text})`;
  await present(call, { reset: true, running: false }, [text]);
  return ExitCode.done;
}
