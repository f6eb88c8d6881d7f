import { closeSync, fsyncSync, openSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { freemem, loadavg, release, totalmem, uptime } from 'node:os';
import { join } from 'node:path';
import { secretsOf, showConfiguration, type Configuration } from '../config/index.js';
import { redactUrl } from '../net/index.js';
import { askHealth, askStatus, follow, formatBytes, printable, type AskError, type LogLine } from '../ops/index.js';
import { describeThrown, type Outcome } from '../outcome/index.js';
import { present, withConfiguration } from './ask.js';
import type { Call, Command } from './command.js';
import { ExitCode } from './exit.js';
import { preflight } from './preflight.js';
import { complain } from './terminal.js';
import { versionReport } from './version.js';

/** Lines of the log that go into a report. */
const REPORTED_LINES = 10_000;

export const REPORT_COMMAND: Command = {
  name: 'report',
  summary: 'write a support bundle without secrets to a file',
  details: `One JSON file of mode 0600 (- is standard output): version, board, preflight, configuration in force, and from the running
gateway its status, health and the latest lines of its log. Secrets, nonces, queries of URLs, and what the database
holds are left out. Look at it before you send it: it names servers, devices and addresses. With --json its size is told
in JSON.`,
  options: ['config', 'board', 'socket', 'json'],
  operands: ['FILE'],
  run: writeReport,
};

function writeReport(call: Call): Promise<number> {
  const [file = ''] = call.operands;
  return withConfiguration(call, async (loaded) => {
    const { configuration, layers } = loaded;
    const socket = call.given.socket ?? configuration.controlSocket;
    const lines: string[] = [];
    const take = (item: LogLine): Promise<void> => {
      if ('line' in item) lines.push(item.line);
      return Promise.resolve();
    };
    const log = await follow(socket, 'logs', { follow: false, lines: REPORTED_LINES }, take);
    const report = {
      madeAt: new Date().toISOString(),
      program: versionReport(call.program),
      system: {
        release: release(),
        uptimeSeconds: uptime(),
        loadavg: loadavg(),
        totalmem: totalmem(),
        freemem: freemem(),
      },
      preflight: await preflight(loaded, call.program),
      configuration: showConfiguration(configuration, layers),
      files: { state: sizesIn(configuration.stateDir), store: sizesIn(configuration.storeDir) },
      status: told(await askStatus(socket)),
      health: told(await askHealth(socket)),
      log: log.ok ? lines : told(log),
    };
    const text = `${withoutSecrets(JSON.stringify(report, undefined, 1), configuration)}\n`;
    if (file === '-') {
      await call.terminal.write(text);
      return ExitCode.done;
    }
    try {
      writePrivately(file, text);
    } catch (thrown) {
      complain(call.terminal, `${file} cannot be written (${describeThrown(thrown)})`);
      return ExitCode.failed;
    }
    const bytes = Buffer.byteLength(text);
    const line = `${printable(file)}: ${formatBytes(bytes)}, look at it before you send it`;
    await present(call, { file, bytes }, [line]);
    return ExitCode.done;
  });
}

function told(asked: Outcome<unknown, AskError>): unknown {
  return asked.ok ? asked.value : { missing: asked.error.text };
}

/** Names and sizes of the files right in a folder. */
function sizesIn(folder: string): Record<string, number> | string {
  try {
    const sizes = readdirSync(folder).map((name) => [
      name,
      statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0,
    ]);
    return Object.fromEntries(sizes) as Record<string, number>;
  } catch (thrown) {
    return describeThrown(thrown);
  }
}

/** What the parts of the report leave out already, once more in the text as a whole; and what stands behind a URL. */
function withoutSecrets(text: string, configuration: Configuration): string {
  let clean = text.replace(/https?:\/\/[^\s"\\]+/g, (url) => redactUrl(url));
  for (const secret of secretsOf(configuration)) {
    for (const form of [
      JSON.stringify(secret).slice(1, -1),
      encodeURIComponent(secret),
      Buffer.from(secret).toString('base64'),
    ]) {
      clean = clean.replaceAll(form, '(hidden)');
    }
  }
  return clean;
}

/** As a whole or not at all, readable by its owner only. @throws the system's error */
function writePrivately(file: string, text: string): void {
  const draft = `${file}.${process.pid}.new`;
  const fd = openSync(draft, 'wx', 0o600);
  try {
    writeFileSync(fd, text);
    fsyncSync(fd);
    closeSync(fd);
    renameSync(draft, file);
  } catch (thrown) {
    rmSync(draft, { force: true });
    throw thrown;
  }
}
