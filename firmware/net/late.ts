import type Crypto from 'node:crypto';
import type Http from 'node:http';
import type Https from 'node:https';
import type Tls from 'node:tls';
import type V8 from 'node:v8';
import { loadOutside } from '../native/index.js';

/**
 * Modules of Node.js that are loaded when something first needs them: of the start they would take a tenth. Those for TLS
 * take 0.8 MB besides.
 */
const late = (name: string): (() => unknown) => {
  let module: unknown;
  return () => (module ??= loadOutside(`node:${name}`));
};

export const crypto = /* @__PURE__ */ late('crypto') as () => typeof Crypto;
export const http = /* @__PURE__ */ late('http') as () => typeof Http;
export const https = /* @__PURE__ */ late('https') as () => typeof Https;
export const tls = /* @__PURE__ */ late('tls') as () => typeof Tls;
export const v8 = /* @__PURE__ */ late('v8') as () => typeof V8;
