import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { requestFault, statusFault } from './fault.js';

const NOW = Date.UTC(2026, 0, 1);
const date = (ms: number): string => new Date(NOW + ms).toUTCString();

describe('Retry-After', () => {
  const cases: readonly (readonly [name: string, headers: Record<string, string>, ms: number | undefined])[] = [
    ['none', {}, undefined],
    ['seconds', { 'retry-after': '120' }, 120_000],
    ['no seconds', { 'retry-after': '0' }, 0],
    ['a date, against our clock', { 'retry-after': date(30_000) }, 30_000],
    ['a date, against the clock of the server', { 'retry-after': date(90_000), date: date(60_000) }, 30_000],
    ['a date that is over', { 'retry-after': date(-30_000) }, 0],
    ['a negative number', { 'retry-after': '-5' }, undefined],
    ['a word', { 'retry-after': 'soon' }, undefined],
    ['too many digits', { 'retry-after': '9'.repeat(30) }, undefined],
  ];
  for (const [name, headers, ms] of cases) {
    it(`${name}: ${ms ?? 'not obeyed'}`, () => assert.equal(statusFault(503, headers, NOW).retryAfterMs, ms));
  }
});

describe('a status', () => {
  const cases: readonly (readonly [status: number, code: string, course: string])[] = [
    [401, 'unauthorized', 'needs-uri'],
    [403, 'unauthorized', 'needs-uri'],
    [404, 'not-found', 'fail'],
    [408, 'unreachable', 'again'],
    [410, 'expired', 'needs-uri'],
    [418, 'refused', 'fail'],
    [425, 'unavailable', 'again'],
    [429, 'unavailable', 'again'],
    [500, 'server-error', 'again'],
    [503, 'unavailable', 'again'],
    [511, 'captive-portal', 'network'],
    [204, 'bad-reply', 'fail'],
  ];
  for (const [status, code, course] of cases) {
    it(`${status}: ${code}, ${course}`, () => {
      const found = statusFault(status, {}, NOW);
      assert.deepEqual([found.code, found.course], [code, course]);
    });
  }
});

describe('a request without a reply', () => {
  const cases: readonly (readonly [code: string, course: string])[] = [
    ['ENETUNREACH', 'network'],
    ['ENETDOWN', 'network'],
    ['EHOSTUNREACH', 'network'],
    ['EADDRNOTAVAIL', 'network'],
    ['EAI_AGAIN', 'network'],
    ['EAI_FAIL', 'network'],
    ['ENOTFOUND', 'again'],
    ['ECONNREFUSED', 'again'],
    ['ETIMEDOUT', 'again'],
  ];
  for (const [code, course] of cases) {
    it(`${code}: ${course}`, () => {
      const cause = Object.assign(new Error(), { code });
      assert.equal(requestFault({ code: 'unreachable', text: '', cause }).course, course);
    });
  }
});
