/**
 * Modules of Node.js that are loaded when something first needs them: of the start those for HTTP, digests and TLS would
 * take a tenth, and that for V8 nothing but the daemon needs. Those for TLS take 0.8 MB besides. Each call gives the same module.
 */
import type Crypto from 'node:crypto';
import type Http from 'node:http';
import type Https from 'node:https';
import type Tls from 'node:tls';
import type V8 from 'node:v8';
import { loadOutside } from '../native/index.js';

const late = (name: string): (() => unknown) => {
  let module: unknown;
  return () => (module ??= loadOutside(`node:${name}`));
};

export const lateCrypto = /* @__PURE__ */ late('crypto') as () => typeof Crypto;
export const lateHttp = /* @__PURE__ */ late('http') as () => typeof Http;
export const lateHttps = /* @__PURE__ */ late('https') as () => typeof Https;
export const lateTls = /* @__PURE__ */ late('tls') as () => typeof Tls;
export const lateV8 = /* @__PURE__ */ late('v8') as () => typeof V8;
