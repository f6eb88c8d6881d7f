import type { Command } from './command.js';
import { OPTION_HELP } from './options.js';

/** What each exit code says: see `ExitCode`. */
const EXIT_CODES = `exit codes: 0 done; 1 failed, refused, or not healthy; 2 wrong argument or configuration;
            3 the daemon is not running; 70 a defect, or the disk failed
`;

/** What there is. */
export function overview(commands: readonly Command[]): string {
  return [
    'dmgw: OMA DM Gateway. Fetches an image once, serves it to every device in the LAN.',
    '',
    'usage: dmgw COMMAND [OPTIONS]',
    '',
    ...summaries(commands),
    '',
    EXIT_CODES,
  ].join('\n');
}

/** The commands of a group. */
export function groupOverview(group: string, commands: readonly Command[]): string {
  return [`usage: dmgw ${group} COMMAND [OPTIONS]`, '', ...summaries(commands, group), '', EXIT_CODES].join('\n');
}

function summaries(commands: readonly Command[], group = ''): string[] {
  const more = ['help', group, 'COMMAND'].filter((word) => word !== '').join(' ');
  const rows = [...commands, { name: more, summary: 'more about a command' }];
  const width = Math.max(...rows.map(({ name }) => name.length));
  return rows.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
}

/** All about one command. */
export function detailed({ name, summary, details, options, operands = [] }: Command): string {
  const lines = options.map((option) => OPTION_HELP[option]);
  const width = Math.max(15, ...lines.map(([form]) => form.length));
  return [
    `dmgw ${name}: ${summary}`,
    '',
    `usage: dmgw ${[name, ...operands, ...lines.map(([form]) => `[${form}]`)].join(' ')}`,
    '',
    ...lines.map(([form, help]) => `  ${form.padEnd(width)} ${help}`),
    '',
    details,
    '',
    EXIT_CODES,
  ].join('\n');
}
