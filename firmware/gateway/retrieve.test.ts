import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseConfiguration, type Configuration } from '../config/index.js';
import { silentLog } from '../log/index.js';
import { retrieveOptions } from './retrieve.js';

function configured(retrieve: Record<string, unknown>): Configuration {
  const value = {
    stateDir: '/var/lib/dmgw',
    storeDir: '/srv/dmgw',
    device: { devId: 'MAC:001122AABBCC', manufacturer: 'Example', model: 'R1' },
    lan: { prefixes: ['192.168.1.0/24', '5.6.7.0/24'] },
    serve: { listen: ['192.168.1.1'] },
    retrieve,
  };
  const parsed = parseConfiguration([{ file: 'F', value }]);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.error.text);
  return parsed.value.configuration;
}
const accessOf = (retrieve: Record<string, unknown>) =>
  retrieveOptions(configured(retrieve), new Map(), silentLog).access;

describe('the section retrieve', () => {
  it('keeps images away from this host, private networks and the LAN, unless a prefix is allowed', () => {
    const { allowAddress } = accessOf({});
    assert.ok(allowAddress('1.1.1.1'));
    for (const address of ['127.0.0.1', '10.0.0.1', '192.168.1.5', '5.6.7.8']) assert.ok(!allowAddress(address));
    assert.ok(accessOf({ allowPrefixes: ['10.0.0.0/8'] }).allowAddress('10.0.0.1'));
  });

  it('denies a prefix also where it is allowed or global', () => {
    const { allowAddress } = accessOf({ allowPrefixes: ['10.0.0.0/8'], denyPrefixes: ['10.1.0.0/16', '1.1.1.0/24'] });
    assert.ok(allowAddress('10.0.0.1'));
    assert.ok(!allowAddress('10.1.0.1'));
    assert.ok(!allowAddress('1.1.1.1'));
  });

  it('lets every host through without a list, and only its hosts with one', () => {
    assert.equal(accessOf({}).allowHost, undefined);
    const { allowHost } = accessOf({ allowHosts: ['images.example.com'] });
    assert.equal(allowHost?.('images.example.com'), true);
    assert.equal(allowHost('other.example.com'), false);
  });

  it('hands each credential to its origin', () => {
    const origin = 'https://images.example.com';
    const { credentials } = accessOf({ credentials: [{ origin, scheme: 'bearer', secret: 'token' }] });
    assert.equal(credentials?.for(new URL(`${origin}/x`)), 'Bearer token');
    assert.equal(credentials.for(new URL('https://other.example.com/x')), undefined);
  });

  it('goes through the proxy, but for the hosts that are excepted', () => {
    assert.equal(accessOf({}).proxy, undefined);
    const url = 'http://10.0.0.2:3128';
    const { proxy } = accessOf({ proxy: { url, name: 'gw', secret: 'hunter2', exceptHosts: ['*.lan'] } });
    assert.equal(proxy?.url.origin, url);
    assert.equal(proxy.authorization, `Basic ${btoa('gw:hunter2')}`);
    assert.equal(proxy.except('images.lan'), true);
    assert.equal(proxy.except('images.example'), false);
    assert.equal(accessOf({ proxy: { url } }).proxy?.authorization, undefined);
  });

  it('makes windows, the metered switch and the cap of an image of their keys', () => {
    const none = retrieveOptions(configured({}), new Map(), silentLog);
    assert.deepEqual([none.conditions, none.maxBytesPerSecondPerImage], [{}, 0]);
    const retrieve = {
      windows: ['22:00-06:00'],
      timeZone: 'CET-1CEST,M3.5.0,M10.5.0/3',
      meteredFile: '/does/not/exist',
      meteredMinPriority: 5,
      maxBytesPerSecondPerImage: 1000,
    };
    const { conditions, ...options } = retrieveOptions(configured(retrieve), new Map(), silentLog);
    assert.equal(options.maxBytesPerSecondPerImage, 1000);
    assert.equal(conditions?.windows?.isOpen(Date.parse('2026-07-01T20:00:00Z')), true);
    assert.equal(conditions.windows.isOpen(Date.parse('2026-01-01T20:00:00Z')), false);
    assert.equal(conditions.metered?.(), false);
    assert.equal(conditions.meteredMinPriority, 5);
  });

  it('tells when and how often to try again', () => {
    const retrieve = { retryFirstSeconds: 7, retryMaxSeconds: 70, maxTriesWithoutProgress: 3 };
    const { backoff, maxAttempts } = retrieveOptions(configured(retrieve), new Map(), silentLog);
    assert.deepEqual([backoff, maxAttempts], [{ firstMs: 7000, maxMs: 70_000 }, 3]);
  });

  it('tells how much, how fast and how often to flush', () => {
    const retrieve = {
      concurrent: 3,
      fsyncVolumeMiB: 5,
      idleTimeoutSeconds: 11,
      minBytesPerSecond: 12,
      maxBytesPerSecond: 13_000,
      maxBytesPerSecondPerImage: 14_000,
    };
    const options = retrieveOptions(configured(retrieve), new Map(), silentLog);
    const { concurrency, fsyncVolumeBytes, idleTimeoutMs, minBytesPerSecond } = options;
    assert.deepEqual(
      [concurrency, fsyncVolumeBytes, idleTimeoutMs, minBytesPerSecond],
      [3, 5 * 1024 * 1024, 11_000, 12],
    );
    assert.deepEqual([options.maxBytesPerSecond, options.maxBytesPerSecondPerImage], [13_000, 14_000]);
  });

  it('hands on the certificate authorities', () => {
    const { access } = retrieveOptions(
      configured({ caFile: '/etc/ca.pem' }),
      new Map([['/etc/ca.pem', 'PEM']]),
      silentLog,
    );
    assert.equal(access.ca, 'PEM');
  });
});
