import { formatBytes, formatDuration, formatTable, printable } from './format.js';
import type {
  AccountReport,
  DiscoveryReport,
  FanoutReport,
  HealthReport,
  ImageReport,
  Problem,
  RetrieveReport,
  StatusReport,
  TrafficReport,
} from './reports.js';

/** How the terminal shows a line that someone should see. */
export interface Paint {
  readonly bold: (text: string) => string;
  readonly red: (text: string) => string;
  readonly yellow: (text: string) => string;
}

const plain = (text: string): string => text;

/** For files, pipes and terminals that do not want colour. */
export const NO_PAINT: Paint = { bold: plain, red: plain, yellow: plain };

const ansi =
  (code: number) =>
  (text: string): string =>
    `\u001b[${code}m${text}\u001b[0m`;

export const ANSI_PAINT: Paint = { bold: ansi(1), red: ansi(31), yellow: ansi(33) };

/** The status as text, for people. */
export function renderStatus(report: StatusReport, paint: Paint): string {
  const blocks = [
    problemLines(report.problems, paint),
    summaryLines(report),
    titled('DM Servers', accountLines(report.accounts), paint),
    titled('Images', imageLines(report.images), paint),
    titled('Fanouts', fanoutLines(report.fanouts), paint),
  ];
  return `${blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
}

/** The health as text: one line for each check. */
export function renderHealth(report: HealthReport, paint: Paint): string {
  const lines = report.checks.map(({ name, ok, text }) => {
    const line = `${ok ? 'ok  ' : 'FAIL'}  ${printable(name)}: ${printable(text)}`;
    return ok ? line : paint.red(line);
  });
  return `${[report.healthy ? 'healthy' : paint.red('not healthy'), ...lines].join('\n')}\n`;
}

function problemLines(problems: readonly Problem[], paint: Paint): string[] {
  return problems.map(({ severity, text }) =>
    (severity === 'error' ? paint.red : paint.yellow)(`${severity}: ${printable(text)}`),
  );
}

function summaryLines(report: StatusReport): string[] {
  const { memory, store, traffic, devices, serve, notification } = report;
  const quota = store.quotaBytes === null ? '' : ` of ${formatBytes(store.quotaBytes)}`;
  const free = store.freeBytes === null ? '' : `, ${formatBytes(store.freeBytes)} free`;
  const own = memory.anonymousBytes === null ? '' : ` (${formatBytes(memory.anonymousBytes)} its own)`;
  const clock = report.clockPlausible ? '' : ', the clock is not set';
  const rows: [string, string][] = [
    ['gateway', report.devId],
    ['version', report.board === '' ? report.version : `${report.version} (${report.board})`],
    ['running', `${formatDuration(report.uptimeSeconds)}, process ${report.processId}${clock}`],
    [
      'serves on',
      serve.listening.length === 0 ? '-' : `${serve.listening.join(', ')} (${serve.connections} connected)`,
    ],
    ['notified on', notification.listening.join(', ') || '-'],
    ...retrieveRows(report.retrieve),
    ['devices', `${devices.known} known, ${devices.reachable} reachable`],
    ['discovery', discoveryText(devices.discovery)],
    ['images', `${formatBytes(store.imageBytes)}${quota}${free}`],
    ['traffic', `WAN ${formatBytes(traffic.wanReceivedBytes)} in, LAN ${formatBytes(traffic.lanSentBytes)} out`],
    ...wearRows(traffic),
    ['memory', `${formatBytes(memory.residentBytes)}${own}`],
    ['database', store.journal],
  ];
  return rows.map(([name, value]) => `${name.padEnd(12)} ${printable(value)}`);
}

/** What wears the flash, and how much of it there is for each byte that has come in. */
function wearRows({ diskWrittenBytes, wanReceivedBytes }: TrafficReport): [string, string][] {
  if (diskWrittenBytes === null) return [];
  const each = wanReceivedBytes === 0 ? '' : `, ${(diskWrittenBytes / wanReceivedBytes).toFixed(2)} per byte of WAN`;
  return [['written', `${formatBytes(diskWrittenBytes)} to the disk${each}`]];
}

function retrieveRows({ proxy, windowOpen, windowChangesAt, metered }: RetrieveReport): [string, string][] {
  const until = windowChangesAt === null ? '' : ` until ${windowChangesAt.slice(0, 16).replace('T', ' ')} UTC`;
  const rows: ([string, string] | undefined)[] = [
    proxy === null ? undefined : ['proxy', `${proxy} (it says where names lead: that cannot be checked here)`],
    windowOpen === null ? undefined : ['window', `${windowOpen ? 'open' : 'closed'}${until}`],
    metered === null ? undefined : ['link', metered ? 'metered' : 'not metered'],
  ];
  return rows.filter((row) => row !== undefined);
}

function accountLines(accounts: readonly AccountReport[]): string[] {
  if (accounts.length === 0) return [];
  return formatTable(
    ['SERVER', 'LAST SESSION', 'NEXT', 'ALERTS', 'URL'],
    accounts.map((account) => [
      account.serverId,
      lastSession(account),
      nextSession(account),
      String(account.alertsWaiting),
      account.url,
    ]),
  );
}

function lastSession({ lastSession, lastFailure, lastSessionAt, failuresInARow }: AccountReport): string {
  if (lastSession === null) return '-';
  const when = lastSessionAt === null ? '' : ` ${lastSessionAt.slice(0, 19).replace('T', ' ')}`;
  const times = failuresInARow > 1 ? `${failuresInARow} times` : '';
  const why = [lastFailure ?? '', times].filter((part) => part !== '').join(', ');
  return why === '' ? `${lastSession}${when}` : `${lastSession}${when} (${why})`;
}

function nextSession({ sessionRunning, sessionWaitsFor, nextSessionInSeconds }: AccountReport): string {
  if (sessionRunning) return 'now';
  if (sessionWaitsFor !== null) return sessionWaitsFor === 'clock' ? 'when the clock is set' : 'after another server';
  return nextSessionInSeconds === null ? '-' : `in ${formatDuration(nextSessionInSeconds)}`;
}

function imageLines(images: readonly ImageReport[]): string[] {
  if (images.length === 0) return [];
  return formatTable(
    ['IMAGE', 'STATE', 'RECEIVED', 'SIZE', 'DELIVERED', 'LOCALIMAGEURI'],
    images.map((image) => [
      image.imageId,
      image.resultText === '' || image.state === 'available' ? image.state : `${image.state} (${image.resultText})`,
      progress(image),
      image.sizeBytes === null ? '?' : formatBytes(image.sizeBytes),
      String(image.delivered),
      image.localImageURI || '-',
    ]),
  );
}

function progress({ receivedBytes, sizeBytes }: ImageReport): string {
  if (sizeBytes === null || sizeBytes === 0) return formatBytes(receivedBytes);
  return `${Math.floor((receivedBytes / sizeBytes) * 100)} %`;
}

function fanoutLines(fanouts: readonly FanoutReport[]): string[] {
  if (fanouts.length === 0) return [];
  return formatTable(
    ['FANOUT', 'STATE', 'TARGETS', 'SENT', 'REACTED', 'FAILED'],
    fanouts.map(({ id, state, total, sent, reacted, failed }) => [
      id,
      state,
      ...[total, sent, reacted, failed].map(String),
    ]),
  );
}

function titled(title: string, lines: readonly string[], paint: Paint): string[] {
  return lines.length === 0 ? [] : [paint.bold(title), ...lines.map((line) => `  ${line}`)];
}

function discoveryText({ backend, daemon, interfaces, present, dropped }: DiscoveryReport): string {
  if (backend === 'off') return 'off';
  const missing = daemon === null || daemon === 'working' ? '' : ` (the mDNS daemon does not work: ${daemon})`;
  const where = interfaces.length === 0 ? 'no interface' : interfaces.join(', ');
  const lost = dropped === 0 ? '' : `, ${dropped} datagrams over the limit not looked at`;
  return `${backend}${missing} on ${where}, ${present} present${lost}`;
}
