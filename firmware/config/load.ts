import { success, type Failure, type Outcome } from '../outcome/index.js';
import { derived, readValue, section, type Shape } from '../shape/index.js';
import { firstContradiction } from './checks.js';
import { refuse, type ConfigurationError } from './errors.js';
import { explain, type Finding } from './explain.js';
import { checkSecrecy, readConfigurationFile, type ReadFile } from './file.js';
import { shapeIn } from './keys.js';
import { blamedLayer, mergeLayers, type Layer } from './layers.js';
import { overlay, provisionedLayer } from './provisioned.js';
import { configurationSchema, withControlSocket, type Configuration } from './schema/index.js';

export interface LoadedConfiguration {
  readonly configuration: Configuration;
  /** What the files say, the configuration file first. */
  readonly layers: readonly Layer[];
}

export interface ConfigurationFiles {
  readonly file: string;
  /** A board profile: the same keys, below those of the file. */
  readonly board?: string | undefined;
}

/**
 * Reads, merges and checks the configuration. What is wrong first is refused in one line.
 * @param uid the user that the process runs as: files with secrets must be its own or root's, where it is not root itself
 */
export function loadConfiguration(
  files: ConfigurationFiles,
  uid: number,
): Outcome<LoadedConfiguration, ConfigurationError> {
  const read = readLayers(files);
  if (!read.ok) return read;
  const layers = read.value;
  const provisioned = provisionedLayer(layers, uid);
  if (!provisioned.ok) return provisioned;
  const parsed = parseConfiguration(layers, provisioned.value);
  for (const layer of layers) {
    const secrecy = holdsSecrets(layer.value, configurationSchema) ? checkSecrecy(layer.file, layer, uid) : success();
    if (!secrecy.ok) return secrecy;
  }
  return parsed;
}

/** What the files say, as it stands there, the configuration file first. */
export function readLayers(files: ConfigurationFiles): Outcome<(Layer & ReadFile)[], ConfigurationError> {
  const layers: (Layer & ReadFile)[] = [];
  for (const file of [files.file, ...(files.board === undefined ? [] : [files.board])]) {
    const read = readConfigurationFile(file);
    if (!read.ok) return read;
    layers.push({ file, ...read.value });
  }
  return success(layers);
}

/** Where things lie, and when that may be used. */
export type Places = Pick<Configuration, 'stateDir' | 'storeDir' | 'controlSocket' | 'requireMount' | 'volatile'>;

/** The places as the files say, with whatever else may be wrong, what was provisioned included: for a reset of all that. */
export function loadPlaces(files: ConfigurationFiles): Outcome<Places, ConfigurationError> {
  const read = readLayers(files);
  if (!read.ok) return read;
  const { stateDir, storeDir, controlSocket, requireMount, volatile } = configurationSchema.entries;
  const entries = { stateDir, storeDir, controlSocket, requireMount, volatile };
  const places = readValue(derived(section(entries), withControlSocket), only(entries, mergeLayers(read.value)));
  return places.ok ? places : refuseFinding(read.value, explain(places.error));
}

/** The overridden names of one file alone: a board profile has no whole configuration yet. */
export function loadNames(file: string): Outcome<Configuration['names'], ConfigurationError> {
  const read = readConfigurationFile(file);
  if (!read.ok) return read;
  const entries = { names: configurationSchema.entries.names };
  const names = readValue(section(entries), only(entries, read.value.value));
  if (names.ok) return success(names.value.names);
  const { code, path, reason } = explain(names.error);
  return refuse(code, file, path, reason);
}

/** These keys of a file: whatever else it says may be wrong. */
function only(entries: object, value: unknown): unknown {
  return Object.fromEntries(Object.entries(value as object).filter(([key]) => Object.hasOwn(entries, key)));
}

/** Merges and checks what the files say; what was provisioned wins, then the first layer. */
export function parseConfiguration(
  files: readonly Layer[],
  provisioned?: Layer,
): Outcome<LoadedConfiguration, ConfigurationError> {
  const { layers, merged } = provisioned ? overlay(provisioned, files) : { layers: files, merged: mergeLayers(files) };
  const configuration = readValue(configurationSchema, merged);
  if (!configuration.ok) return refuseFinding(layers, explain(configuration.error));
  const finding = firstContradiction(configuration.value);
  if (finding) return refuseFinding(layers, finding);
  return success({ configuration: freeze(configuration.value), layers });
}

function refuseFinding(layers: readonly Layer[], { code, path, reason }: Finding): Failure<ConfigurationError> {
  return refuse(code, blamedLayer(layers, path)?.file ?? '', path, reason);
}

/** True where a secret stands anywhere in a value, whether the rest of it is right or not. */
function holdsSecrets(value: unknown, shape: Shape | undefined): boolean {
  if (!shape) return false;
  if (shape.secret === true) return value !== '';
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, inner]) => holdsSecrets(inner, shapeIn(shape, key)));
}

function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  for (const inner of Object.values(value)) freeze(inner);
  return Object.freeze(value);
}
