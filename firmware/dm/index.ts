/**
 * OMA DM 1.2: messages, authentication, notification, sessions and when to open them, alerts that wait.
 * Leaves the nodes to `tree/` and their meaning to `mo/`; knows nothing of images, devices or addressees.
 */
export { isBootstrap, readBootstrap, type BootstrapErrorCode } from './bootstrap.js';
export {
  accountChanges,
  Accounts,
  accountSchema,
  nonceSchema,
  rotationSchema,
  type Account,
  type AccountField,
  type AccountSettings,
  type AuthScheme,
} from './accounts.js';
export {
  challengeMeta,
  DEFAULT_NONCE,
  formatHmac,
  HMAC_HEADER,
  macOf,
  makeCred,
  newNonce,
  parseHmac,
  readChallenge,
  verifyCred,
  verifyMac,
  type CredScheme,
} from './auth.js';
export { Alert, MIME_WBXML, MIME_XML, Status, VER_DTD, VER_PROTO } from './codes.js';
export { createSessionRunner, type Carrier } from './dialogue.js';
export { openListener, PUSH_PORT, type NotificationListener } from './listener.js';
export type {
  AlertCommand,
  BodyCommand,
  Cred,
  Header,
  Item,
  ItemData,
  Message,
  Meta,
  ResultsCommand,
  ServerCommand,
  StatusCommand,
} from './message.js';
export {
  buildNotification,
  NOTIFICATION_VERSION,
  parseNotification,
  sessionIdNumber,
  sessionIdText,
  UiMode,
  unwrapPush,
  wrapWsp,
} from './notification.js';
export { Outbox, outboxChanges, outboxSchema, type WaitingAlert } from './outbox.js';
export { Scheduler, type AccountSchedule, type SessionRunner, type SessionTrigger } from './scheduler.js';
export { decodeMessage, effectiveMeta, type MessageRefusal } from './syncml.js';
export { DmTransport, type TransportError } from './transport.js';
export { verifyTrigger } from './trigger.js';
export { wbxmlWire, wireOf, WIRES, xmlWire, type Encoding, type Wire } from './wire.js';
