import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DeviceEvent } from './dm-server.js';
import type { Offer } from './download-server.js';
import { makeImage, sha256Of } from './images.js';
import { tailOf } from './json-lines.js';
import { Lab, type LabOptions } from './lab.js';
import type { OfferedImage } from './nine-steps.js';
import { ALERT, IMAGES } from './operator.js';
import { PROJECT_ROOT } from './project.js';

const FOLDER = join(PROJECT_ROOT, 'build/flow');

export const MIB = 1024 * 1024;

/** An image for tests, offered under its own name. @param seed makes its content; one per test file */
export async function testImage(name: string, bytes: number, seed: number): Promise<OfferedImage & { offer: Offer }> {
  mkdirSync(join(FOLDER, 'images'), { recursive: true });
  const file = join(FOLDER, 'images', `${name}-${bytes}-${seed}.bin`);
  const draft = `${file}.${process.pid}`;
  makeImage(draft, bytes, seed);
  renameSync(draft, file);
  const path = `/${name}`;
  const offer = { path, file, contentType: 'application/octet-stream' };
  return { path, file, bytes, sha256: await sha256Of(file), offer };
}

/**
 * Runs a test in a lab of its own. The lab's files are removed when the test has passed; when it fails, its error names
 * them and shows the end of the gateway's log.
 * @param name of the test, also of the lab's folder
 */
export async function withLab(
  name: string,
  options: Omit<LabOptions, 'folder'>,
  test: (lab: Lab) => Promise<void>,
): Promise<void> {
  const folder = join(FOLDER, `${name}-${process.pid}`);
  const lab = await Lab.start({ ...options, folder });
  try {
    await test(lab);
    lab.requireAlive();
  } catch (thrown) {
    if (thrown instanceof Error) {
      thrown.message += `\n--- ${folder}\n--- end of the gateway's log:\n${tailOf(lab.gateway.logFile, 25)}`;
    }
    throw thrown;
  } finally {
    await lab.close();
  }
  rmSync(folder, { recursive: true, force: true });
}

/** What the DM Server can read of an image. */
export interface ImageNodes {
  readonly State: string;
  readonly Result: string;
  readonly ResultText: string;
  readonly LocalImageURI: string;
}

/** Reads in a session what the gateway says of an image. */
export async function readImage(lab: Lab, node: string): Promise<ImageNodes> {
  const leaves = ['State', 'Result', 'ResultText', 'LocalImageURI'] as const;
  const answers = await lab.manage(leaves.map((leaf) => ({ cmd: 'Get', target: `${IMAGES}/${node}/${leaf}` })));
  const [State = '', Result = '', ResultText = '', LocalImageURI = ''] = answers.map(({ value }) => value);
  return { State, Result, ResultText, LocalImageURI };
}

/** Waits for the alert that tells of the end of a retrieval. @param after number of the event behind which to look */
export function retrievalAlert(lab: Lab, node: string, after = 0, timeoutMs?: number): Promise<DeviceEvent> {
  return lab.dm.waitFor(
    `the alert about ${node}`,
    lab.gatewayId,
    after,
    ({ kind, type, source }) =>
      kind === 'alert' &&
      (type === ALERT.imageRetrieved || type === ALERT.imageNeedsUri) &&
      source === `${IMAGES}/${node}`,
    timeoutMs,
  );
}

/** Fetches a URL of the gateway's image server. */
export async function fetchLocal(url: string): Promise<{ readonly status: number; readonly body: Buffer }> {
  const reply = await fetch(url);
  return { status: reply.status, body: Buffer.from(await reply.arrayBuffer()) };
}

/** SHA-256 of what a URL of the image server delivers. */
export async function sha256At(url: string): Promise<string> {
  return createHash('sha256')
    .update((await fetchLocal(url)).body)
    .digest('hex');
}

/** Checks that an image has this state and result, and that nothing of it can be fetched. */
export async function expectNotServed(lab: Lab, node: string, state: string, result: string): Promise<ImageNodes> {
  const nodes = await readImage(lab, node);
  assert.deepEqual([nodes.State, nodes.Result, nodes.LocalImageURI], [state, result, '']);
  assert.notEqual(nodes.ResultText, '');
  const [serving = ''] = (await lab.gateway.status()).serve.listening;
  assert.equal((await fetchLocal(`http://${serving}/scomo/${node}`)).status, 404);
  return nodes;
}
