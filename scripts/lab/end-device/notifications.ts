import { parseNotification, sessionIdText, verifyTrigger, type Accounts } from '../../../firmware/dm/index.js';
import type { JsonLog } from '../dm-server/json-log.js';

export interface NotificationsOptions {
  readonly accounts: Accounts;
  readonly log: JsonLog;
  /** Opens the session that a notification asks for. @returns false when that session was asked for before */
  readonly open: (serverId: string, sessionId: string, defaultNonce: boolean) => boolean;
}

/** Takes a Package#0: a genuine one opens its session, whatever else it is only goes to the log (facts 10.2). */
export function takeNotification(bytes: Uint8Array, options: NotificationsOptions): void {
  const { accounts, log } = options;
  const trigger = verifyTrigger(bytes, accounts);
  const parsed = parseNotification(bytes);
  log.write({
    kind: 'notification',
    bytes: Buffer.from(bytes).toString('base64'),
    digestOk: trigger.ok,
    sessionId: parsed.ok ? sessionIdText(parsed.value.sessionId) : null,
    ...(trigger.ok
      ? { opensSession: options.open(trigger.value.serverId, trigger.value.sessionId, trigger.value.defaultNonce) }
      : { reason: trigger.error.code }),
  });
}
