import { success, type CodedError, type Outcome } from '../outcome/index.js';
import type { Configuration } from './schema/index.js';
import { readSignatureKeys } from './signatures.js';
import { readTlsFiles } from './tls.js';

/** Reads the files that the configuration names, certificates and keys, as a start does. @param uid as of `readTlsFiles` */
export function checkNamedFiles(configuration: Configuration, uid: number): Outcome<undefined, CodedError> {
  const tls = readTlsFiles(configuration, uid);
  const read = tls.ok ? readSignatureKeys(configuration) : tls;
  return read.ok ? success() : read;
}
