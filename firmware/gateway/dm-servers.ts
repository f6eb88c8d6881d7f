/** What the configuration says of each DM Server: how it is spoken with, where it may lead, and who is heard. */
import type { Configuration } from '../config/index.js';
import {
  DmTransport,
  openListener,
  verifyTrigger,
  type Account,
  type Accounts,
  type NotificationListener,
  type Scheduler,
} from '../dm/index.js';
import { HostNames } from '../net/index.js';
import { success, type CodedError, type Outcome } from '../outcome/index.js';
import type { Ground } from './ground.js';
import { caOf } from './retrieve.js';

/** The whole exchange of one DM message may take this many times the idle time-out. */
const EXCHANGE_FACTOR = 10;

/** The way to a server. */
export function transportTo(account: Account, { configuration, version, tls, clock }: Ground): DmTransport {
  const idleTimeoutMs = configuration.session.idleTimeoutSeconds * 1000;
  const settings = configuration.accounts.find(({ serverId }) => serverId === account.serverId);
  const identity = tls.identities.get(settings?.certFile ?? '');
  return new DmTransport({
    // A DM Server may stand in a private network: its address is the owner's choice, not a peer's.
    allowAddress: () => true,
    userAgent: `dmgw/${version}`,
    idleTimeoutMs,
    exchangeTimeoutMs: idleTimeoutMs * EXCHANGE_FACTOR,
    clock,
    ...caOf(settings?.caFile, tls.authorities),
    ...(identity && { identity }),
  });
}

/** Hears notifications of the servers, where the configuration asks for it; undefined where not. */
export async function hearNotifications(
  ground: Ground,
  accounts: Accounts,
  scheduler: Scheduler,
): Promise<Outcome<NotificationListener | undefined, CodedError>> {
  const { enabled, listen: addresses, port } = ground.configuration.notification;
  if (!enabled) return success(undefined);
  const log = ground.log('dm');
  return openListener({
    addresses,
    port,
    clock: ground.clock,
    log,
    onNotification: (bytes, remote) => {
      const trigger = verifyTrigger(bytes, accounts);
      if (!trigger.ok) {
        log.debug('notification dropped', { from: remote.address, code: trigger.error.code });
        return;
      }
      const { serverId, sessionId, defaultNonce } = trigger.value;
      if (scheduler.notified(serverId, sessionId, defaultNonce)) {
        log.info('notification accepted', { server_id: serverId, session_id: sessionId });
      } else log.debug('notification dropped', { from: remote.address, session_id: sessionId });
    },
  });
}

/** Whether a server may send its sessions to another host than its own. */
export function mayMoveTo({ accounts }: Configuration, serverId: string, hostname: string): boolean {
  const hosts = HostNames.parse(accounts.find((account) => account.serverId === serverId)?.allowHosts ?? []);
  return hosts.ok && hosts.value.contains(hostname);
}

/** ServerIDs of those who may change the settings. */
export function administratorsOf({ accounts }: Configuration): string[] {
  return accounts.flatMap(({ serverId, administrator }) => (administrator ? [serverId] : []));
}

/** What DMAcc may set as the address of a server: never less secure than the configuration allows. */
export function acceptsUrl(configuration: Configuration, serverId: string, url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, username, password } = new URL(url);
  if (username !== '' || password !== '') return false;
  const insecure = configuration.accounts.some((account) => account.serverId === serverId && account.allowInsecure);
  return protocol === 'https:' || (protocol === 'http:' && insecure);
}
