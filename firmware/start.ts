/** Starts the program that lies beside this file: main.ts as the build has bundled it, see `compiled`. */
import { join } from 'node:path';
import { runProgram } from './compiled/index.js';

/** Its own, as it is a CommonJS module when it is built: to make one, Node.js would load what it loads ES modules with. */
declare const require: NodeJS.Require;

runProgram(join(import.meta.dirname, 'dmgw-main.cjs'), require);
