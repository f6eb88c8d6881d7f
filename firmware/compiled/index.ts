/**
 * The program as V8 has compiled it, kept beside its text: a start from that takes less time and less memory.
 * Leaves to the command line who keeps it and when, to the build how the text is made.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Script } from 'node:vm';
import { writeDurably } from '../files/index.js';
import { native, openNative } from '../native/index.js';

/** What the text of a program is: one function. It is told how to have V8's form of itself, with all that has run by then. */
export type Program = (require: NodeJS.Require, file: string, folder: string, compiled: () => Buffer) => void;

/**
 * Of the text and of what was compiled of it: V8 looks at the length of the one, and crashes on rot in the other. A digest
 * would take twelve times as long: 3 of the 80 ms of a start, 20 on a small router.
 */
const SUM_BYTES = 8;

/**
 * Runs a program, from what was kept of it if that is sound and belongs to this text, this Node.js and its flags.
 * @param file its text, in ASCII: an expression that gives the function
 * @param require of a module in its folder
 * @throws the system's error, or a SyntaxError
 */
export function runProgram(file: string, require: NodeJS.Require): void {
  const text = readFileSync(file);
  const kept = readKept(file, text);
  const script = new Script(text.toString('latin1'), { filename: file, ...(kept && { cachedData: kept }) });
  const program = script.runInThisContext() as Program;
  program(require, file, dirname(file), () => script.createCachedData());
}

/**
 * Keeps beside a program what this Node.js has compiled of it, with its flags.
 * @param compiled as the program was told: of the script that runs, for another one knows nothing of what has run
 * @returns bytes that it takes
 * @throws the system's error, such as EACCES where this user may not write beside the program
 */
export function keepCompiled(file: string, compiled: Buffer): number {
  const sum = Buffer.alloc(SUM_BYTES);
  sum.writeBigUInt64LE(native().checksum(readFileSync(file), compiled));
  const kept = Buffer.concat([sum, compiled]);
  writeDurably(keptFile(file), kept, 0o644);
  return kept.byteLength;
}

/** Where it is kept. */
export function keptFile(file: string): string {
  return `${file}.compiled`;
}

/** What was kept, undefined when it may not be used: whoever can write into it decides what runs. */
export function readKept(file: string, text: Buffer): Buffer | undefined {
  let fd: number | undefined;
  try {
    // A pipe of that name would be waited for.
    fd = openSync(keptFile(file), constants.O_RDONLY | constants.O_NONBLOCK);
    const { uid, mode } = fstatSync(fd);
    if ((uid !== 0 && uid !== process.geteuid?.()) || (mode & 0o022) !== 0) return undefined;
    const kept = readFileSync(fd);
    const compiled = kept.subarray(SUM_BYTES);
    return openNative().checksum?.(text, compiled) === kept.readBigUInt64LE() ? compiled : undefined;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
