import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { TLSSocket } from 'node:tls';
import { systemClock } from '../clock/index.js';
import { makeCertificate, NO_CERTIFICATES } from '../net/certificate.fixture.js';
import { MIME_XML } from './codes.js';
import { DmTransport, type TransportErrorCode, type TransportOptions } from './transport.js';

/** A DM Server over TLS. @returns its port, and the names that clients have shown */
async function serve(context: TestContext, options: ServerOptions): Promise<{ port: number; shown: string[] }> {
  const shown: string[] = [];
  const server = createServer(options, (request, response) => {
    assert.ok(request.socket instanceof TLSSocket);
    const { subject } = request.socket.getPeerCertificate() as { subject?: { CN?: string } };
    shown.push(subject?.CN ?? 'nobody');
    request.resume().on('end', () => response.writeHead(200, { 'Content-Type': MIME_XML }).end('<answer/>'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, shown };
}

/** @returns `ok`, or why no message got through */
async function post(port: number, options: Partial<TransportOptions>): Promise<'ok' | TransportErrorCode> {
  const transport = new DmTransport({
    allowAddress: () => true,
    userAgent: 'dmgw/test',
    idleTimeoutMs: 5000,
    exchangeTimeoutMs: 10_000,
    clock: systemClock(0),
    ...options,
  });
  try {
    const sent = await transport.post(`https://localhost:${port}/dm`, Buffer.from('<SyncML/>'), MIME_XML, {
      maxReplyBytes: 1000,
    });
    return sent.ok ? 'ok' : sent.error.code;
  } finally {
    transport.close();
  }
}

describe('a DM Server over TLS', { skip: NO_CERTIFICATES }, () => {
  it('is trusted through the own authority of the account', async (context) => {
    const { cert, key } = makeCertificate('localhost');
    const { port } = await serve(context, { cert, key });
    assert.equal(await post(port, { ca: cert }), 'ok');
  });
  it('is refused where nobody vouches for its certificate', async (context) => {
    const { cert, key } = makeCertificate('localhost');
    const { port, shown } = await serve(context, { cert, key });
    assert.equal(await post(port, {}), 'tls');
    assert.equal(await post(port, { ca: makeCertificate('other.example').cert }), 'tls');
    assert.deepEqual(shown, []);
  });
  it('is refused with the certificate of another host', async (context) => {
    const { cert, key } = makeCertificate('other.example');
    const { port, shown } = await serve(context, { cert, key });
    assert.equal(await post(port, { ca: cert }), 'tls');
    assert.deepEqual(shown, []);
  });
  it('is refused below TLS 1.2', async (context) => {
    const { cert, key } = makeCertificate('localhost');
    const old: ServerOptions = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' };
    const { port, shown } = await serve(context, { cert, key, ...old });
    assert.equal(await post(port, { ca: cert }), 'tls');
    assert.deepEqual(shown, []);
  });
  it('that asks for it is shown the certificate of the gateway', async (context) => {
    const server = makeCertificate('localhost');
    const gateway = makeCertificate('gateway.example');
    const asking: ServerOptions = { requestCert: true, rejectUnauthorized: true, ca: gateway.cert };
    const { port, shown } = await serve(context, { cert: server.cert, key: server.key, ...asking });
    assert.equal(await post(port, { ca: server.cert, identity: { cert: gateway.cert, key: gateway.key } }), 'ok');
    assert.deepEqual(shown, ['gateway.example']);
    assert.notEqual(await post(port, { ca: server.cert }), 'ok');
    assert.deepEqual(shown, ['gateway.example']);
  });
});
