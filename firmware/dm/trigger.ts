import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import type { Accounts } from './accounts.js';
import { parseNotification, sessionIdText, verifyNotification, type NotificationRefusal } from './notification.js';

/** A notification that a DM Server of ours has really sent. */
export interface VerifiedTrigger {
  readonly serverId: string;
  readonly sessionId: string;
  /** The digest was made with the default nonce: the session resynchronises the nonces (facts 5.8). */
  readonly defaultNonce: boolean;
}

/**
 * Checks a Package#0 against the accounts (facts 10.2): known server, digest with the stored nonce, that before the last
 * session, that which a session under way has given the server, or the default one. The one before counts because a
 * notification may be under way, and be repeated with the same octets, while a session of ours changes the nonce (10.3):
 * it would be lost. What it may do is to open one session, which makes the one after it the one before. The given one
 * counts because to the server the session has ended when its last message is out: what it sends then may be here first.
 * Whoever asks drops a refused one silently: no answer is ever sent.
 */
export function verifyTrigger(
  bytes: Uint8Array,
  accounts: Accounts,
): Outcome<VerifiedTrigger, CodedError<NotificationRefusal | 'unknown-server' | 'wrong-digest'>> {
  const notification = parseNotification(bytes);
  if (!notification.ok) return notification;
  const { serverId, sessionId } = notification.value;
  const account = accounts.byServerId(serverId);
  if (!account) return failure('unknown-server', 'no account has this server identifier');
  // Without a secret the digest proves nothing: anyone could open sessions.
  if (account.server.secret === '') return failure('wrong-digest', 'the account has no secret of the server');
  const nonces = [account.serverNonceBefore, accounts.serverNonceGiven(serverId)].filter(
    (nonce) => nonce !== undefined,
  );
  const { secret, secretBefore } = account.server;
  const proofOf = (known: string) => verifyNotification(notification.value, known, account.server.nonce, ...nonces);
  const newest = proofOf(secret);
  const proof = newest === 'none' && secretBefore !== undefined ? proofOf(secretBefore) : newest;
  if (proof === 'none') return failure('wrong-digest', 'the digest does not verify');
  return success({ serverId, sessionId: sessionIdText(sessionId), defaultNonce: proof === 'default-nonce' });
}
