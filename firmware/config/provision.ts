import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { asOwnerOf, writeDurably } from '../files/index.js';
import { lateCrypto } from '../late/index.js';
import { describeThrown, success, type CodedError, type Failure, type Outcome } from '../outcome/index.js';
import { isObject } from '../shape/index.js';
import { refuse } from './errors.js';
import { mergeLayers, type Layer } from './layers.js';
import { parseConfiguration, readLayers, type ConfigurationFiles } from './load.js';
import { PROVISIONED_FILE, PROVISIONED_FOLDER, provisionedLayer, wrongForm } from './provisioned.js';
import { readTlsFiles } from './tls.js';

type Fields = Readonly<Record<string, unknown>>;

/** PEM text in a document, and the key of the configuration that names its file. */
const PEMS = { ca: 'caFile', cert: 'certFile', key: 'keyFile' } as const;

/**
 * Takes what only this device has: accounts, secrets, certificates, the DevId. The document has the keys of the
 * configuration (`accounts`, `device`, `retrieve`), where `ca`, `cert` and `key` of an account, and `ca` of `retrieve`, may
 * hold PEM in place of a file's name, and `"remove": true` takes an account away. It is laid over what was provisioned before,
 * accounts by their ServerID. The whole is checked as a start would, then written at once or not at all, for its owner only.
 * Root does it as the owner of stateDir does: that is the user of the gateway.
 * @param uid the user that the process runs as
 * @returns whether anything changed; or why it is refused, with nothing changed
 */
export async function provision(
  files: ConfigurationFiles,
  document: unknown,
  uid: number,
): Promise<Outcome<boolean, CodedError>> {
  const layers = readLayers(files);
  if (!layers.ok) return layers;
  const form = wrongForm(document);
  if (form !== undefined) return refuse('bad-value', 'the document', [], form);
  const { stateDir } = mergeLayers(layers.value) as Fields;
  if (typeof stateDir !== 'string') return refuse('missing', files.file, ['stateDir'], 'missing; expected a folder');
  return asOwnerOf(stateDir, () => provisionInto(stateDir, layers.value, document as Fields, uid));
}

function provisionInto(
  stateDir: string,
  layers: readonly Layer[],
  document: Fields,
  uid: number,
): Outcome<boolean, CodedError> {
  const before = provisionedLayer(layers, uid);
  if (!before.ok) return before;
  const writing = new Writing(stateDir);
  try {
    const filed = withFiles(document, writing);
    const value = over(filed, (before.value?.value ?? {}) as Fields);
    const text = `${JSON.stringify(value, undefined, 2)}\n`;
    const parsed = parseConfiguration(layers, { file: 'the document', value });
    const tls = parsed.ok ? readTlsFiles(parsed.value.configuration, uid) : parsed;
    if (!tls.ok) return writing.undo(tls);
    const changed = !existsSync(writing.file) || readFileSync(writing.file, 'utf8') !== text;
    if (changed) writing.commit(text);
    return success(changed);
  } catch (thrown) {
    return writing.undo(refuse('unreadable', writing.file, [], `cannot be written (${describeThrown(thrown)})`));
  }
}

/** PEM text goes into files of its own, whose names say what is in them: the same text is the same file. */
function withFiles(document: Fields, writing: Writing): Fields {
  const filed = (fields: Fields): Fields =>
    Object.fromEntries(
      Object.entries(fields).map(([key, value]) =>
        Object.hasOwn(PEMS, key) && typeof value === 'string'
          ? [PEMS[key as keyof typeof PEMS], writing.keep(value)]
          : [key, value],
      ),
    );
  const { accounts, retrieve } = document;
  return {
    ...document,
    ...(Array.isArray(accounts) && { accounts: (accounts as Fields[]).map(filed) }),
    ...(isObject(retrieve) && { retrieve: filed(retrieve) }),
  };
}

function over(document: Fields, before: Fields): Fields {
  const known = new Map(accountsOf(before).map((account) => [account.serverId, account]));
  for (const { remove, ...account } of accountsOf(document)) {
    const { serverId } = account;
    if (remove === true) known.delete(serverId);
    else known.set(serverId, merged(account, known.get(serverId) ?? {}));
  }
  return { ...merged(document, before), accounts: [...known.values()] };
}

function merged(upper: Fields, lower: Fields): Fields {
  return mergeLayers([
    { file: '', value: upper },
    { file: '', value: lower },
  ]) as Fields;
}

function accountsOf({ accounts }: Fields): Fields[] {
  return Array.isArray(accounts) ? (accounts as Fields[]) : [];
}

/** The files: those with PEM first, then the one that names them, then those that nothing names any more go. */
class Writing {
  readonly file: string;
  readonly #folder: string;
  readonly #made: string[] = [];

  constructor(stateDir: string) {
    this.file = join(stateDir, PROVISIONED_FILE);
    this.#folder = join(stateDir, PROVISIONED_FOLDER);
  }

  /** @returns path of a file with this text */
  keep(text: string): string {
    const path = join(this.#folder, `${lateCrypto().createHash('sha256').update(text).digest('hex').slice(0, 32)}.pem`);
    if (existsSync(path)) return path;
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    this.#made.push(path);
    writeDurably(path, text);
    return path;
  }

  commit(text: string): void {
    mkdirSync(dirname(this.file), { recursive: true, mode: 0o700 });
    writeDurably(this.file, text);
    if (!existsSync(this.#folder)) return;
    for (const name of readdirSync(this.#folder)) {
      if (!text.includes(name)) rmSync(join(this.#folder, name), { force: true });
    }
  }

  undo(failed: Failure<CodedError>): Failure<CodedError> {
    for (const path of this.#made) rmSync(path, { force: true });
    return failed;
  }
}
