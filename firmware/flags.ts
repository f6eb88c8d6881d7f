import { setDefaultHighWaterMark } from 'node:stream';
import { lateV8 } from './late/index.js';

const [major = 0] = process.versions.node.split('.').map(Number);

/**
 * How V8 keeps its memory down: a small young generation that does not grow, no baseline code, an old generation that grows
 * slowly, code that is optimised late. With so small a young generation V8 takes what lives as long as one message for
 * long-lived, makes it in the old one, and has to collect that again and again: told not to, it takes half the processor
 * time for a DM message.
 */
const FLAGS = [
  '--semi-space-growth-factor=1',
  '--no-allocation-site-pretenuring',
  '--no-sparkplug',
  '--optimize-for-size',
  ...(major < 22
    ? ['--interrupt-budget=1000000']
    : ['--invocation-count-for-turbofan=30000', ...(process.arch === 'arm' ? [] : ['--no-maglev'])]),
];

/** What a stream may hold back, in bytes: as in Node.js 20. Since Node.js 22 it is four times as much, for each connection. */
const STREAM_BYTES = 16 * 1024;

/**
 * To be called before anything runs that lasts: V8 would keep 2 MB more for it, for good. But after what a start needs of
 * Node.js is loaded: with any flag of V8, be it on its command line, Node.js no longer uses what is compiled of its modules in its
 * program, and a start takes half as long again; so do sessions and retrievals once, for what they need of it. A flag that V8
 * heeds only at its beginning, as those of its threads, must not be set here: the process would end at some garbage collection.
 */
export function setFlags(): void {
  for (const flag of FLAGS) lateV8().setFlagsFromString(flag);
  setDefaultHighWaterMark(false, STREAM_BYTES);
}
