/**
 * Writes what is generated from the sources: from the configuration's schema board/schema.json and the table of keys in
 * README.md (between `<!-- configuration -->` and `<!-- /configuration -->`), and the table of commands there. With `--check` it writes nothing and fails when they
 * are out of date.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toJsonSchema } from '@valibot/to-json-schema';
import { format } from 'prettier';
import { commandReference } from '../firmware/cli/index.js';
import { configurationSchema, referenceOf, type KeyReference } from '../firmware/config/index.js';
import { jsonSchemaOf } from './board/json-schema.js';
import { buildSchema } from './board/profile.js';
import { PROJECT_ROOT } from './flow/project.js';

const check = process.argv.includes('--check');
const stale = [
  ...(await update('board/schema.json', jsonSchema())),
  ...(await update('README.md', readme(join(PROJECT_ROOT, 'README.md')))),
];
if (check && stale.length > 0) {
  console.error(`out of date: ${stale.join(', ')}; run: make docs`);
  process.exitCode = 1;
}

/** Writes a file where its content differs; returns its name then. */
async function update(name: string, content: string | undefined): Promise<string[]> {
  const file = join(PROJECT_ROOT, name);
  if (content === undefined) return [];
  const wanted = name.endsWith('.json') ? await format(content, { parser: 'json', printWidth: 120 }) : content;
  if (existsSync(file) && readFileSync(file, 'utf8') === wanted) return [];
  if (!check) writeFileSync(file, wanted);
  return [name];
}

/** For editors: a board profile and a configuration file name it as `$schema`. */
function jsonSchema(): string {
  const { properties, ...rest } = jsonSchemaOf(configurationSchema);
  const build = toJsonSchema(buildSchema, { errorMode: 'ignore', ignoreActions: ['metadata'] });
  return JSON.stringify({
    $schema: build.$schema,
    ...rest,
    properties: { ...(properties as object), build },
    title: 'Configuration of dmgw, and board profiles',
  });
}

/** README.md with fresh tables; undefined where there is no README.md or no place for the tables in it. */
function readme(file: string): string | undefined {
  if (!existsSync(file)) return undefined;
  const keys = ['| key | default | meaning |\n|---|---|---|\n', ...referenceOf(configurationSchema).map(row)];
  const commands = commandReference().map(
    ({ name, operands = [], summary }) =>
      `| \`dmgw ${[name, ...operands].join(' ')}\` | ${summary.replaceAll('|', '\\|')} |\n`,
  );
  const withKeys = replaceBetween(readFileSync(file, 'utf8'), 'configuration', keys.join(''));
  return (
    withKeys && replaceBetween(withKeys, 'commands', `| command | what it does |\n|---|---|\n${commands.join('')}`)
  );
}

function replaceBetween(text: string, name: string, content: string): string | undefined {
  const [start, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [before, rest] = text.split(start);
  const after = rest?.split(end)[1];
  return before === undefined || after === undefined
    ? undefined
    : [before, start, '\n\n', content, '\n', end, after].join('');
}

function row({ path, allowed, help, required, default: fallback }: KeyReference): string {
  const standard = required
    ? '**required**'
    : fallback === undefined
      ? ''
      : isJson(fallback)
        ? `\`${fallback}\``
        : fallback;
  const shown = `${allowed[0]?.toUpperCase() ?? ''}${allowed.slice(1)}`.replaceAll('*', '\\*');
  const cells = [`\`${path}\``, standard, `${help} *${shown}.*`];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |\n`;
}

function isJson(text: string): boolean {
  return /^(?:["[{\d-]|true$|false$)/.test(text);
}
