/** Starts the program that lies beside this file: main.ts as the build has bundled it, see `compiled`. */
import { fileURLToPath } from 'node:url';
import { runProgram } from './compiled/index.js';

runProgram(fileURLToPath(new URL('./dmgw-main.cjs', import.meta.url)));
