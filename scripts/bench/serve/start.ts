import { spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GatewayProcess } from '../../flow/gateway.js';
import { median } from '../statistics.js';
import type { Place } from './client.js';

/** From the start of a process, in ms; medians. */
export interface StartFigures {
  /** To the first byte of an image. */
  readonly firstByteMs: number;
  /** Of `node -e 0`, to its end. */
  readonly bareNodeMs: number;
}

const RUNS = 7;
const POLL_MS = 1;

/** The gateway does not run when this begins, nor when it ends. */
export async function measureStart(
  gateway: GatewayProcess,
  place: Place,
  nodeFlags: readonly string[],
): Promise<StartFigures> {
  const firstByte: number[] = [];
  const bare: number[] = [];
  for (let run = 0; run < RUNS; run += 1) {
    const bareMs = performance.now();
    spawnSync(process.execPath, [...nodeFlags, '-e', '0']);
    bare.push(performance.now() - bareMs);
    const startMs = performance.now();
    const answering = gateway.start();
    while (!(await answers(place))) await sleep(POLL_MS);
    firstByte.push(performance.now() - startMs);
    await answering;
    await gateway.stop();
  }
  return { firstByteMs: median(firstByte), bareNodeMs: median(bare) };
}

function answers({ address, port, path }: Place): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, address, () => socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`));
    const end = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.once('data', () => end(true));
    socket.once('error', () => end(false));
    socket.once('close', () => end(false));
  });
}
