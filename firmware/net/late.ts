import type Https from 'node:https';
import { createRequire } from 'node:module';
import type Tls from 'node:tls';

/**
 * Modules of Node.js for TLS, loaded when something first needs them: they take 0.8 MB and a tenth of the start, and
 * until then nobody does.
 */
const load = createRequire(import.meta.url);

export const https = (): typeof Https => load('node:https') as typeof Https;

export const tls = (): typeof Tls => load('node:tls') as typeof Tls;
