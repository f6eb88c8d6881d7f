import { createReadStream, openSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../clock/index.js';
import { asOwnerOf } from '../files/index.js';
import { BlobStore, seedImage, systemDisk } from '../image/index.js';
import { silentLog } from '../log/index.js';
import {
  follow,
  formatBytes,
  operate,
  printable,
  sendContent,
  type AskError,
  type ImageDetail,
  type Verification,
} from '../ops/index.js';
import { describeThrown, type Outcome } from '../outcome/index.js';
import { ask, noAnswer, present, withConfiguration, withSocket } from './ask.js';
import type { Call, Command } from './command.js';
import { ExitCode } from './exit.js';
import { list } from './list.js';
import { wholeNumber, type OptionName } from './options.js';
import { ProgressLine } from './progress.js';
import { isInUse } from './reset.js';
import { complain } from './terminal.js';

const ASKING = ['config', 'board', 'socket', 'json'] as const satisfies readonly OptionName[];

const LEAVES = ['name', 'description', 'image-version', 'digest', 'signature', 'priority', 'pinned'] as const;

/** The gateway is asked so often how far it is. */
const LOOK_MS = 400;

export const IMAGE_COMMANDS: readonly Command[] = [
  {
    name: 'images list',
    summary: 'the images, their state and where devices fetch them',
    details: 'In the order of their nodes.',
    options: ASKING,
    run: (call) =>
      list(
        call,
        'images/list',
        {},
        {
          headings: ['IMAGE', 'STATE', 'RECEIVED', 'SIZE', 'DELIVERED', 'LOCALIMAGEURI'],
          none: 'no image',
          cells: (image) => [
            image.imageId,
            image.resultText === '' || image.state === 'available'
              ? image.state
              : `${image.state} (${image.resultText})`,
            formatBytes(image.arrivedBytes),
            image.sizeBytes === null ? '?' : formatBytes(image.sizeBytes),
            String(image.delivered),
            image.localImageURI || '-',
          ],
        },
      ),
  },
  {
    name: 'images show',
    summary: 'all about one image',
    details: 'ID is the ImageID or the name of its node. URLs are shown without user, password and query.',
    options: ASKING,
    operands: ['ID'],
    run: (call) => onImage(call, 'images/show'),
  },
  {
    name: 'images add',
    summary: 'add an image: a file, or a URL to fetch it from',
    details: `With FILE its content comes from that file, else from --uri. No DM Server is told of it,
all may read it, none may change it. With --store DIR no gateway and no configuration are needed: FILE is put into a storeDir for
a factory image, and the next start takes it from there. Where the gateway does not run, the storeDir of the
configuration is meant. What root puts there belongs to the owner of that folder.`,
    options: [...ASKING, 'store', 'id', 'uri', ...LEAVES],
    operands: ['[FILE]'],
    run: addImage,
  },
  {
    name: 'images fetch',
    summary: 'fetch an image now, and watch how it comes in',
    details: `Starts its retrieval, or goes on with it at once, with --uri from another URL. Shows how far it is until it has ended: exit
code 0 when it is stored, 1 when it has failed. The retrieval goes on when this command is interrupted. Windows and
meters hold it as ever; what it waits for is said.`,
    options: [...ASKING, 'uri', 'no-wait'],
    operands: ['ID'],
    run: fetchImage,
  },
  {
    name: 'images pin',
    summary: 'never remove an image to make room',
    details: '',
    options: ASKING,
    operands: ['ID'],
    run: (call) => onImage(call, 'images/pin', { pinned: true }),
  },
  {
    name: 'images unpin',
    summary: 'take the pin off again',
    details: '',
    options: ASKING,
    operands: ['ID'],
    run: (call) => onImage(call, 'images/pin', { pinned: false }),
  },
  {
    name: 'images remove',
    summary: 'remove an image',
    details: 'The DM Server that asked for it is told (alert). Devices that are fetching it finish.',
    options: ASKING,
    operands: ['ID'],
    run: (call) =>
      ask(
        call,
        (socket) => operate(socket, 'images/remove', { id: idOf(call) }),
        () => `removed ${printable(idOf(call))}\n`,
      ),
  },
  {
    name: 'images verify',
    summary: 'read a stored image again and compare it with its SHA-256',
    details: `Exit code 0: sound; 1: it has changed on the disk, or could not be read. A rotten one is taken out of use and retrieved again.`,
    options: ASKING,
    operands: ['ID'],
    run: verifyImage,
  },
];

function idOf({ operands: [id = ''] }: Call): string {
  return id;
}

function onImage<Name extends 'images/show' | 'images/pin'>(
  call: Call,
  name: Name,
  more?: Name extends 'images/pin' ? { readonly pinned: boolean } : undefined,
): Promise<number> {
  const asked = { id: idOf(call), ...more } as Parameters<typeof operate<Name>>[2];
  return ask(call, (socket) => operate(socket, name, asked) as Promise<Outcome<ImageDetail, AskError>>, renderImage);
}

/** What was given of the leaves of an image. @returns or what is wrong */
function leavesOf({ given }: Call): Omit<Parameters<typeof operate<'images/add'>>[2], 'id' | 'uri'> | string {
  const { name, description, digest, signature, pinned } = given;
  const version = given['image-version'];
  const priority = given.priority === undefined ? undefined : wholeNumber(given.priority);
  if (given.priority !== undefined && priority === undefined) return '--priority takes a whole number';
  return {
    ...(name !== undefined && { name }),
    ...(version !== undefined && { version }),
    ...(description !== undefined && { description }),
    ...(digest !== undefined && { digest }),
    ...(signature !== undefined && { signature }),
    ...(priority !== undefined && { priority }),
    ...(pinned === true && { pinned }),
  };
}

async function addImage(call: Call): Promise<number> {
  const { given, terminal } = call;
  const [file] = call.operands;
  const { id, uri } = given;
  const leaves = leavesOf(call);
  const wrong =
    id === undefined
      ? "'images add' needs --id ID"
      : (file === undefined) === (uri === undefined)
        ? "'images add' needs either FILE or --uri URL"
        : uri !== undefined && given.store !== undefined
          ? "'images add' takes --store with FILE only: nothing is fetched into it"
          : typeof leaves === 'string'
            ? leaves
            : undefined;
  if (wrong !== undefined || id === undefined || typeof leaves === 'string') {
    complain(terminal, `${wrong ?? ''}; see: dmgw help images add`);
    return ExitCode.usage;
  }
  if (uri !== undefined)
    return ask(call, (socket) => operate(socket, 'images/add', { id, uri, ...leaves }), renderImage);
  if (given.store !== undefined) return seed(call, given.store, 0, file ?? '', id, leaves);
  return withSocket(call, async (socket) => {
    const added = await withContent(call, file ?? '', id, (bytes, octets) =>
      sendContent(socket, { id, bytes, ...leaves }, octets),
    );
    if (!added) return ExitCode.failed;
    if (!added.ok)
      return added.error.code === 'not-running'
        ? seedConfigured(call, file ?? '', id, leaves, added.error)
        : noAnswer(call, added.error);
    await present(call, added.value, renderImage(added.value));
    return ExitCode.done;
  });
}

type Leaves = Exclude<ReturnType<typeof leavesOf>, string>;

/** No gateway runs: the next one takes the image from its store. */
function seedConfigured(call: Call, file: string, id: string, leaves: Leaves, error: AskError): Promise<number> {
  if (call.given.socket !== undefined) return Promise.resolve(noAnswer(call, error));
  return withConfiguration(call, ({ configuration }) => {
    const { storeDir, store } = configuration;
    if (isInUse(configuration)) return noAnswer(call, error);
    return seed(call, storeDir, store.freeFloorMiB, file, id, leaves);
  });
}

async function seed(
  call: Call,
  folder: string,
  freeFloorMiB: number,
  file: string,
  id: string,
  leaves: Leaves,
): Promise<number> {
  const { terminal } = call;
  const freeFloorBytes = freeFloorMiB * 1024 * 1024;
  const blobs = new BlobStore({ folder, disk: systemDisk, clock: systemClock(0), log: silentLog, freeFloorBytes });
  const seeded = await withContent(call, file, id, (bytes, octets) =>
    asOwnerOf(folder, () => seedImage(blobs, { id, leaves, bytes, octets })),
  );
  if (!seeded) return ExitCode.failed;
  if (!seeded.ok) {
    complain(terminal, seeded.error.text);
    return ExitCode.failed;
  }
  const { sha256, size } = seeded.value;
  const text = `${printable(id)}: ${formatBytes(size)}, sha-256 ${sha256}, in ${folder}`;
  await present(call, { imageId: id, sha256, sizeBytes: size, store: folder }, [text]);
  return ExitCode.done;
}

/** Hands the content of a file to `take`, and shows how far that is. @returns undefined, and says why, where it cannot be read */
async function withContent<T>(
  { given, terminal }: Call,
  file: string,
  id: string,
  take: (bytes: number, octets: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<T | undefined> {
  const content = openContent(file);
  if (typeof content === 'string') {
    complain(terminal, content);
    return undefined;
  }
  const { bytes, octets } = content;
  const progress = new ProgressLine(terminal);
  const taken = await take(
    bytes,
    watched(octets, async (done) => {
      if (given.json !== true) await progress.show({ label: `adding ${id}`, done, total: bytes });
    }),
  );
  await progress.end();
  return taken;
}

/** @returns the octets of a file; or why not */
function openContent(file: string): { readonly bytes: number; readonly octets: AsyncIterable<Uint8Array> } | string {
  try {
    const stats = statSync(file);
    if (!stats.isFile()) return `${file} is not a file`;
    // At once: whoever may write into the store may not always read the file.
    return {
      bytes: stats.size,
      octets: createReadStream(file, { fd: openSync(file, 'r'), highWaterMark: 256 * 1024 }),
    };
  } catch (thrown) {
    return `${file} cannot be read (${describeThrown(thrown)})`;
  }
}

async function* watched(
  octets: AsyncIterable<Uint8Array>,
  tell: (done: number) => Promise<void>,
): AsyncGenerator<Uint8Array> {
  let done = 0;
  for await (const piece of octets) {
    yield piece;
    done += piece.byteLength;
    await tell(done);
  }
}

function fetchImage(call: Call): Promise<number> {
  const { given } = call;
  const id = idOf(call);
  return withSocket(call, async (socket) => {
    const asked = await operate(socket, 'images/fetch', { id, ...(given.uri !== undefined && { uri: given.uri }) });
    if (!asked.ok) return noAnswer(call, asked.error);
    const ended = given['no-wait'] === true ? asked : await untilOver(call, socket, asked.value);
    if (!ended.ok) return noAnswer(call, ended.error);
    await present(call, ended.value, renderImage(ended.value));
    return given['no-wait'] === true || ended.value.state === 'available' ? ExitCode.done : ExitCode.failed;
  });
}

/** States that a retrieval does not leave by itself. */
const ENDS: ReadonlySet<string> = new Set(['available', 'failed', 'cancelled', 'evicted', 'needs-uri', 'idle']);

async function untilOver(call: Call, socket: string, first: ImageDetail): Promise<Outcome<ImageDetail, AskError>> {
  const progress = new ProgressLine(call.terminal);
  let image = first;
  try {
    while (!ENDS.has(image.state)) {
      const { imageId, state, resultText, arrivedBytes, sizeBytes } = image;
      const label = resultText === '' ? `${imageId} ${state}` : `${imageId} ${state} (${resultText})`;
      if (call.given.json !== true) await progress.show({ label, done: arrivedBytes, total: sizeBytes ?? undefined });
      await sleep(LOOK_MS);
      const asked = await operate(socket, 'images/show', { id: image.node });
      if (!asked.ok) return asked;
      image = asked.value;
    }
    return { ok: true, value: image };
  } finally {
    await progress.end();
  }
}

function verifyImage(call: Call): Promise<number> {
  const { terminal, given } = call;
  const id = idOf(call);
  return withSocket(call, async (socket) => {
    const progress = new ProgressLine(terminal);
    let last: Verification | undefined;
    const read = await follow(socket, 'images/verify', { id }, async (step) => {
      last = step;
      if (given.json === true) return;
      await progress.show({ label: `reading ${id}`, done: step.checkedBytes, total: step.sizeBytes });
    });
    await progress.end();
    if (!read.ok) return noAnswer(call, read.error);
    const found = last?.found ?? null;
    await present(call, { imageId: id, ...last }, [`${printable(id)}: ${found ?? 'not read to its end'}`]);
    return found === 'sound' ? ExitCode.done : ExitCode.failed;
  });
}

function renderImage(image: ImageDetail): string {
  const { sizeBytes } = image;
  const rows: (readonly [string, string] | undefined)[] = [
    ['image', image.imageId],
    image.node === image.imageId ? undefined : ['node', image.node],
    ['state', image.resultText === '' ? image.state : `${image.state} (${image.resultText})`],
    [
      'received',
      sizeBytes === null
        ? formatBytes(image.arrivedBytes)
        : `${formatBytes(image.arrivedBytes)} of ${formatBytes(sizeBytes)}`,
    ],
    ['for devices', image.localImageURI || '-'],
    ['delivered', String(image.delivered)],
    ...image.imageURIs.map((uri) => ['from', uri] as const),
    ['sha-256', image.sha256 ?? '-'],
    image.digest === '' ? undefined : ['digest', image.digest],
    ['type', image.contentType ?? '-'],
    ['name', [image.name, image.version].filter((text) => text !== '').join(' ') || '-'],
    image.description === '' ? undefined : ['about', image.description],
    ['priority', String(image.priority)],
    ['pinned', image.pinned ? 'yes' : 'no'],
    ['asked by', image.requester === '' ? 'somebody at the gateway' : image.requester],
    ['stored at', image.availableAt ?? '-'],
    ['last served', image.servedAt ?? '-'],
    ['over the WAN', formatBytes(image.wanBytes)],
  ];
  return rows
    .filter((row) => row !== undefined)
    .map(([name, value]) => `${name.padEnd(13)} ${printable(value)}\n`)
    .join('');
}
