/**
 * The configuration: one schema, read once into a frozen object; its checks, the places on disk, the device's identity.
 * Leaves to the composition root what each value is used for, and to `mo` what the overridden names mean.
 */
export { accountSettings } from './accounts.js';
export { type ConfigurationError, type ConfigurationErrorCode } from './errors.js';
export { resolveDevId, type IdentityErrorCode } from './identity.js';
export { referenceOf, type KeyReference } from './keys.js';
export {
  loadConfiguration,
  loadNames,
  loadPlaces,
  parseConfiguration,
  type ConfigurationFiles,
  type LoadedConfiguration,
  type Places,
} from './load.js';
export { preparePlaces, type PlaceError, type PlaceErrorCode } from './places.js';
export { configurationSchema, type Configuration } from './schema/index.js';
export { readJson } from './json.js';
export { checkNamedFiles } from './named-files.js';
export { provision } from './provision.js';
export { PROVISIONED_FILE, PROVISIONED_FOLDER } from './provisioned.js';
export { renderValue, secretsOf, showConfiguration } from './show.js';
export { readSignatureKeys, type SignatureKeyErrorCode } from './signatures.js';
export {
  formatTunable,
  parseTunable,
  TUNABLES,
  tunableValues,
  type Tunable,
  type TunableValue,
  type TunableValues,
} from './tunable.js';
export type { TunableKey } from './tunable-keys.js';
export { readTlsFiles, RenewedIdentity, type TlsFileError, type TlsFileErrorCode, type TlsFiles } from './tls.js';
