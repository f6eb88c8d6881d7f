/** The whole gateway in this process, from its configuration file on: what each of its DM Servers is to it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { TLSSocket } from 'node:tls';
import { eventually } from '../clock/eventually.fixture.js';
import { startInstalled } from './gateway.fixture.js';
import { makeCertificate, NO_CERTIFICATES } from '../net/certificate.fixture.js';
import { askSettings, askStatus, operate, sendEvent, type AccountReport } from '../ops/index.js';

const PATIENT = { timeoutMs: 60_000 };

const folder = mkdtempSync(join(tmpdir(), 'dmgw-dm-servers-'));
const closings: (() => Promise<void>)[] = [];
after(async () => {
  for (const close of closings.reverse()) await close();
  rmSync(folder, { recursive: true });
});

interface DmServer {
  readonly url: string;
  /** Messages that it got, and the names in the certificates that were shown with them. */
  readonly messages: string[];
  readonly names: string[];
  /** Commands for the next session, each with `#` where its CmdID stands; there is an answer to each then. */
  commands: string[];
}

/** A DM Server without credentials that accepts everything, except that it leaves alerts without a Status. */
async function startDmServer(tls?: ReturnType<typeof makeCertificate>): Promise<DmServer> {
  const messages: string[] = [];
  const names: string[] = [];
  const server = tls ? createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: false }) : createServer();
  server.on('request', (request: IncomingMessage, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    request.on('end', () => {
      messages.push(text);
      if (request.socket instanceof TLSSocket) {
        const shown = request.socket.getPeerCertificate();
        names.push('subject' in shown ? shown.subject.CN : '');
      }
      const of = (name: string): string => new RegExp(`<${name}>([^<]*)<`).exec(text)?.[1] ?? '';
      const commands = dm.commands.splice(0).map((command, index) => command.replace('#', String(index + 2)));
      response.setHeader('Content-Type', 'application/vnd.syncml.dm+xml');
      response.end(
        `<SyncML xmlns="SYNCML:SYNCML1.2"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto>` +
          `<SessionID>${of('SessionID')}</SessionID><MsgID>${of('MsgID')}</MsgID><Target><LocURI>IMEI:1</LocURI></Target>` +
          `<Source><LocURI>${dm.url}</LocURI></Source></SyncHdr><SyncBody><Status><CmdID>1</CmdID><MsgRef>${of('MsgID')}` +
          `</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>200</Data></Status>${commands.join('')}<Final/></SyncBody></SyncML>`,
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closings.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  const dm: DmServer = {
    url: tls ? `https://localhost:${port}/` : `http://127.0.0.1:${port}/`,
    messages,
    names,
    commands: [],
  };
  return dm;
}

/** A gateway with these accounts. @param home where it keeps its state @param buildTimeMs of the firmware */
async function start(home: string, accounts: readonly object[], buildTimeMs = 0) {
  const file = join(folder, `${home}.json`);
  const configuration = {
    stateDir: join(folder, home, 'state'),
    storeDir: join(folder, home, 'store'),
    volatile: true,
    device: { devId: 'IMEI:1', manufacturer: 'Example', model: 'R1' },
    accounts: accounts.map((account) => ({
      allowInsecure: true,
      client: { scheme: 'none' },
      server: { scheme: 'none' },
      ...account,
    })),
    session: {
      startDelaySeconds: 0,
      jitterSeconds: 0,
      alertDelaySeconds: 0,
      retryFirstSeconds: 600,
      retryMaxSeconds: 600,
    },
    lan: { prefixes: ['127.0.1.0/24'] },
    serve: { listen: ['127.0.1.1'], port: 0 },
    discovery: { backend: 'off' },
  };
  const { gateway, socket } = await startInstalled({ file, configuration, buildTimeMs });
  closings.push(() => gateway.close());
  const account = async (serverId: string): Promise<AccountReport | undefined> => {
    const status = await askStatus(socket);
    assert.ok(status.ok, status.ok ? '' : status.error.text);
    return status.value.accounts.find((one) => one.serverId === serverId);
  };
  return {
    socket,
    close: () => gateway.close(),
    /** The account once this holds. */
    until: (serverId: string, holds: (report: AccountReport) => boolean): Promise<AccountReport> =>
      eventually(
        `the account ${serverId}`,
        async () => {
          const report = await account(serverId);
          return report && holds(report) ? report : undefined;
        },
        PATIENT,
      ),
    /** Keys of the configuration that DM Servers have changed. */
    changed: async (): Promise<string[]> => {
      const settings = await askSettings(socket);
      assert.ok(settings.ok, settings.ok ? '' : settings.error.text);
      return settings.value.changed.map(({ key }) => key);
    },
    /** The ACL that is stored at the node. */
    acl: async (uri: string): Promise<unknown> => {
      const got = await operate(socket, 'tree/get', { uri: `${uri}?prop=ACL` });
      assert.ok(got.ok, got.ok ? '' : got.error.text);
      return got.value;
    },
  };
}

const ended = ({ sessions }: AccountReport): boolean => sessions > 0;

describe('a DM Server over TLS', { skip: NO_CERTIFICATES }, () => {
  it('is known by the authorities of its account, which it shows the certificate of the gateway', async () => {
    const [theirs, ours] = [makeCertificate('localhost'), makeCertificate('router')];
    const [caFile, certFile, keyFile] = ['ca', 'cert', 'key'].map((name) => join(folder, `${name}.pem`));
    for (const [file, pem] of [
      [caFile, theirs.cert],
      [certFile, ours.cert],
      [keyFile, ours.key],
    ] as const)
      writeFileSync(file ?? '', pem, { mode: 0o600 });
    const { url, names } = await startDmServer(theirs);
    const gateway = await start('tls', [
      { serverId: 'shown', url, caFile, certFile, keyFile },
      { serverId: 'known', url, caFile },
      { serverId: 'foreign', url },
    ]);
    for (const serverId of ['shown', 'known'])
      assert.equal((await gateway.until(serverId, ended)).lastSession, 'completed');
    assert.deepEqual(names.sort(), ['', 'router']);
    const { lastSession, lastFailure } = await gateway.until('foreign', ended);
    assert.deepEqual([lastSession, lastFailure], ['failed', 'tls']);
  });

  it('waits, and says so, while the clock is not plausible; one without TLS does not', async () => {
    const { url, messages } = await startDmServer(makeCertificate('localhost'));
    const plain = await startDmServer();
    const nextYear = Date.now() + 365 * 86_400_000;
    const gateway = await start(
      'clock',
      [
        { serverId: 'S', url },
        { serverId: 'P', url: plain.url },
      ],
      nextYear,
    );
    assert.equal((await gateway.until('P', ended)).lastSession, 'completed');
    await gateway.until('S', ({ sessionWaitsFor }) => sessionWaitsFor === 'clock');
    assert.equal(messages.length, 0);
  });
});

describe('a DM Server that the configuration has no longer', () => {
  it('takes along its part of the ACLs and what waits for it, also when it comes back', async () => {
    const [one, other] = [await startDmServer(), await startDmServer()];
    const accounts = [
      { serverId: 'one', url: one.url, administrator: true },
      { serverId: 'other', url: other.url },
    ];
    const image = './GwMO/ImageInventory/a';
    const put = (kind: string, target: string, data: string): string =>
      `<${kind}><CmdID>#</CmdID><Item><Target><LocURI>${target}</LocURI></Target><Data>${data}</Data></Item></${kind}>`;
    one.commands = [
      put('Add', `${image}/Name`, 'n'),
      put('Replace', `${image}?prop=ACL`, 'Get=one+other&amp;Replace=one'),
      put('Replace', './GwMO/Config/fanout/repeat', '7'),
    ];
    const before = await start('gone', accounts);
    await before.until('one', ended);
    assert.match(JSON.stringify(await before.acl(image)), /Get=one\+other&Replace=one/);
    assert.ok((await sendEvent(before.socket, { server: 'one', type: 'org.example.left', data: 'x' })).ok);
    await before.until('one', ({ alertsWaiting, sessions }) => alertsWaiting === 1 && sessions > 1);
    assert.deepEqual(await before.changed(), ['fanout.repeat']);
    await before.close();

    const without = await start('gone', accounts.slice(1));
    assert.match(JSON.stringify(await without.acl(image)), /"Get=other"/);
    assert.deepEqual(await without.changed(), []);
    await without.close();

    one.messages.length = 0;
    const again = await start('gone', accounts);
    assert.equal((await again.until('one', ended)).alertsWaiting, 0);
    assert.ok(!one.messages.join('').includes('org.example.left'));
  });
});
