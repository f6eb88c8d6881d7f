/**
 * Probe of the native stack: one process that uses every native part once and says how it went.
 *
 * What it does: opens SQLite (WAL, locking_mode=EXCLUSIVE) and writes and reads back a row, parses a SyncML message,
 * answers one HTTP request that it makes itself on 127.0.0.1, loads `mdns` where it is installed, and prints ONE line of
 * JSON. Exit code 0 when all required parts worked, 1 when one failed (`mdns` is not required).
 * What it needs: node_modules with better-sqlite3 and libxmljs2 beside the bundle or above it.
 * What it leaves behind: nothing; its database lives in a new folder below TMPDIR and is removed.
 * STACK_PROOF_EMULATOR=NAME in the environment marks memory figures as those of an emulator, not of Node.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, get } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Element } from 'libxmljs2';

const MESSAGE = `<?xml version="1.0" encoding="UTF-8"?>
<SyncML xmlns="SYNCML:SYNCML1.2"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>1</SessionID>
<MsgID>1</MsgID><Target><LocURI>http://127.0.0.1/dm</LocURI></Target><Source><LocURI>IMEI:000000000000000</LocURI></Source>
<Meta><MaxMsgSize xmlns="syncml:metinf">4096</MaxMsgSize></Meta></SyncHdr><SyncBody><Alert><CmdID>1</CmdID>
<Data>1201</Data></Alert><Final/></SyncBody></SyncML>`;

function expect(found: unknown, wanted: unknown, what: string): void {
  if (found !== wanted) throw new Error(`${what}: expected ${String(wanted)}, found ${String(found)}`);
}

function errorText(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').slice(0, 300);
}

/** The addons are imported where they are used: one that does not load is then a failed part, not a silent crash.
 *  WAL under an exclusive lock keeps its index in the heap: it needs no shared memory, hence no -shm file. */
async function probeSqlite(): Promise<string> {
  const { default: Database } = await import('better-sqlite3');
  const dir = mkdtempSync(join(tmpdir(), 'stack-proof-'));
  try {
    const file = join(dir, 'probe.db');
    const db = new Database(file);
    expect(db.pragma('locking_mode = EXCLUSIVE', { simple: true }), 'exclusive', 'locking_mode');
    expect(db.pragma('journal_mode = WAL', { simple: true }), 'wal', 'journal_mode');
    db.pragma('synchronous = FULL');
    db.exec('CREATE TABLE device (id INTEGER PRIMARY KEY, name TEXT NOT NULL)');
    db.prepare('INSERT INTO device VALUES (?, ?)').run(7, 'Gerät');
    const row = db.prepare<[number], { name: string }>('SELECT name FROM device WHERE id = ?').get(7);
    expect(row?.name, 'Gerät', 'row read back');
    expect(existsSync(`${file}-shm`), false, 'shared memory file present');
    const second = new Database(file, { timeout: 0 });
    let refused = '';
    try {
      second.prepare('SELECT name FROM device').get();
    } catch (error) {
      refused = (error as { code?: string }).code ?? '';
    }
    second.close();
    expect(refused, 'SQLITE_BUSY', 'second opener');
    const version = db.prepare<[], { v: string }>('SELECT sqlite_version() AS v').get();
    db.close();
    return version?.v ?? '';
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Options that are not named stay off: noent, dtdload, xinclude, huge. `doctype: false` is not the opposite of
 *  anything here: in libxmljs2 0.35 it sets the bit of dtdload. */
async function probeXml(): Promise<string> {
  const { libxml_version, parseXml } = await import('libxmljs2');
  const document = parseXml(MESSAGE, { nonet: true, noent: false, dtdload: false, huge: false, recover: false });
  const ns = { s: 'SYNCML:SYNCML1.2', m: 'syncml:metinf' };
  expect(document.root()?.name(), 'SyncML', 'root element');
  expect(document.get<Element>('//s:Alert/s:Data', ns)?.text(), '1201', 'Alert');
  expect(document.get<Element>('//s:Meta/m:MaxMsgSize', ns)?.text(), '4096', 'MaxMsgSize');
  return libxml_version;
}

function probeHttp(): Promise<string> {
  return new Promise((resolve, reject) => {
    const server = createServer((_request, response) => response.end('ready'));
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      const request = get({ host: '127.0.0.1', port, agent: false }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => (body += text));
        response.on('end', () => server.close(() => resolve(`${response.statusCode} ${body}`)));
      });
      request.setTimeout(30_000, () => request.destroy(new Error('no answer in 30 s')));
      request.on('error', reject);
    });
  });
}

function probeMdns(): string {
  process.env['AVAHI_COMPAT_NOWARN'] = '1';
  const require = createRequire(import.meta.url);
  try {
    require.resolve('mdns');
  } catch {
    return 'absent';
  }
  try {
    require('mdns');
    return 'loaded';
  } catch (error) {
    return `error: ${errorText(error)}`;
  }
}

function memory(): { comm: string; rssKb: number; rssAnonKb: number } {
  const status = readFileSync('/proc/self/status', 'utf8');
  const field = (name: string): string => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1] ?? '';
  return { comm: field('Name'), rssKb: Number(field('VmRSS')), rssAnonKb: Number(field('RssAnon')) };
}

const failed: Record<string, string> = {};
async function part<T>(name: string, run: () => T | Promise<T>): Promise<T | null> {
  try {
    return await run();
  } catch (error) {
    failed[name] = errorText(error);
    return null;
  }
}

const sqlite = await part('sqlite', probeSqlite);
const libxml2 = await part('libxml2', probeXml);
await part('http', async () => expect(await probeHttp(), '200 ready', 'HTTP answer'));
const readyMs = Math.round(performance.now());
const used = await part('memory', memory);
const emulator = process.env['STACK_PROOF_EMULATOR'] ?? (used?.comm.startsWith('qemu-') ? used.comm : '');
const report = {
  ok: Object.keys(failed).length === 0,
  node: process.version,
  arch: process.arch,
  abi: process.versions.modules,
  sqlite,
  libxml2,
  ready_ms: readyMs,
  rss_kb: used?.rssKb ?? null,
  rss_anon_kb: used?.rssAnonKb ?? null,
  emulator: emulator || null,
  mdns: probeMdns(),
  failed,
};
console.log(JSON.stringify(report));
process.exitCode = report.ok ? 0 : 1;
