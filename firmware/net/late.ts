import type Https from 'node:https';
import type Tls from 'node:tls';
import { loadOutside } from '../native/index.js';

/**
 * Modules of Node.js for TLS, loaded when something first needs them: they take 0.8 MB and a tenth of the start, and
 * until then nobody does.
 */
export const https = (): typeof Https => loadOutside('node:https') as typeof Https;

export const tls = (): typeof Tls => loadOutside('node:tls') as typeof Tls;
