import { createSessionRunner, Scheduler } from '../dm/index.js';
import { mayMoveTo, transportTo } from './dm-servers.js';
import type { Ground } from './ground.js';
import type { Management } from './management.js';
import { backoff } from './retrieve.js';

const MIB = 1024 * 1024;

/** The sessions with the DM Servers, none of them begun. An alert that waits has one held. */
export function buildSessions(ground: Ground, { accounts, outbox, tree }: Management): Scheduler {
  const { configuration, clock, log, randomBytes, store } = ground;
  const { session } = configuration;
  const holdSession = createSessionRunner({
    accounts,
    tree,
    store,
    outbox,
    clock,
    log: log('dm'),
    deviceId: ground.deviceId,
    maxMsgSize: session.maxMessageBytes,
    maxObjSize: session.maxObjectMiB * MIB,
    randomBytes,
    connect: (account) => transportTo(account, ground),
    mayMoveTo: (serverId, hostname) => mayMoveTo(configuration, serverId, hostname),
  });
  const scheduler = new Scheduler({
    clock,
    random: Math.random,
    log: log('dm'),
    run: async (serverId, trigger, signal) => {
      try {
        return await holdSession(serverId, trigger, signal);
      } catch (thrown) {
        ground.onFault(thrown);
        return { end: 'failed', alertsUnsent: false };
      }
    },
    needsClock: (serverId) => /^https:/i.test(accounts.byServerId(serverId)?.url ?? ''),
    startDelayMs: session.startDelaySeconds * 1000,
    jitterMs: session.jitterSeconds * 1000,
    alertDelayMs: session.alertDelaySeconds * 1000,
    retry: backoff(session),
  });
  ground.onClose(() => scheduler.stop());
  outbox.onWaiting((serverId) => scheduler.alertWaits(serverId));
  return scheduler;
}
