import { parseArgs } from 'node:util';
import { readConfig } from './config.js';
import { startDmServer } from './server.js';

const USAGE = `usage: dm-server --config FILE
       dm-server --help

Holds OMA DM 1.2 sessions over HTTP with the devices of its configuration (JSON) until SIGTERM, SIGINT or POST /stop of
its admin API. Prints one line when it is ready: {"ready":true,"url":...,"adminUrl":...}.

Configuration, with its defaults (scheme: basic, md5, mac or none):
  { "serverId": "dm.example.com", "logFile": "dm-server.log", "host": "127.0.0.1", "port": 0, "adminPort": 0,
    "maxMsgSize": 65536, "maxObjSize": 1048576, "logMessages": false, "respUri": false, "sessionTimeoutMs": 120000,
    "accounts": [ { "deviceId": "urn:x:1",
                    "client": { "scheme": "md5", "name": "urn:x:1", "secret": "..." },
                    "server": { "scheme": "md5", "name": "dm.example.com", "secret": "..." } } ] }

Admin API, JSON over HTTP on 127.0.0.1:
  POST /devices/ID/commands      {"commands":[{"cmd":"Get","target":"./DevInfo/Mod"}]}
  GET  /devices/ID/events?after=N&wait=MS
  POST /devices/ID/notification  {"send":{"host":"192.0.2.1","port":2948}}
  POST /devices/ID/nonces        {"client":BASE64,"server":BASE64}
  GET  /state        GET, POST /faults        POST /stop

All of it, and how a device is pointed at the server: README.md beside its sources.
Exit codes: 0 it was told to stop, 2 what is wrong stands in one line on standard error.
`;

/** Runs until it is told to stop; one JSON line on standard output says that it is ready. */
async function main(): Promise<void> {
  const { values } = parseArgs({ options: { config: { type: 'string' }, help: { type: 'boolean', short: 'h' } } });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  if (values.config === undefined) throw new Error('--config FILE is missing; --help tells more');
  const server = await startDmServer(readConfig(values.config));
  process.stdout.write(`${JSON.stringify({ ready: true, url: server.url, adminUrl: server.adminUrl })}\n`);
  const signalled = new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  await Promise.race([signalled, server.stopAsked]);
  await server.close();
}

main().then(
  () => process.exit(0),
  (thrown: unknown) => {
    process.stderr.write(`dm-server: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
    process.exit(2);
  },
);
