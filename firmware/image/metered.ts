import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Logger } from '../log/index.js';
import { describeThrown, systemErrorCode } from '../outcome/index.js';

const YES = new Set(['', '1', 'yes', 'true', 'on', 'metered']);
const NO = new Set(['0', 'no', 'false', 'off', 'unmetered']);

/** What is read of the file: its first words. */
const MAX_BYTES = 64;

/**
 * A switch that other software on the router sets: a file that is there and does not say no means that the link is
 * metered. What cannot be read or understood counts as metered, because traffic costs money, and is logged once.
 * @returns reads the switch; for a file in memory (`/var/run`), so that this does not wait
 */
export function meteredSwitch(path: string, log: Logger): () => boolean {
  let complained = false;
  const doubt = (reason: string): boolean => {
    if (!complained) log.warn('the switch for a metered link is unclear, it counts as metered', { path, reason });
    complained = true;
    return true;
  };
  return () => {
    let text: string;
    try {
      text = firstWords(path);
    } catch (thrown) {
      if (systemErrorCode(thrown) !== 'ENOENT') return doubt(describeThrown(thrown));
      complained = false;
      return false;
    }
    if (!YES.has(text) && !NO.has(text))
      return doubt(`expected one of ${[...YES, ...NO].filter((word) => word).join(', ')}`);
    complained = false;
    return YES.has(text);
  };
}

function firstWords(path: string): string {
  // Without O_NONBLOCK a FIFO would stop us here.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!fstatSync(fd).isFile()) throw new Error('it is not a file');
    const buffer = Buffer.alloc(MAX_BYTES);
    return buffer
      .toString('latin1', 0, readSync(fd, buffer, 0, MAX_BYTES, 0))
      .trim()
      .toLowerCase();
  } finally {
    closeSync(fd);
  }
}
