import type { Accounts, Outbox } from '../dm/index.js';
import { REPORT_FORMAT, type EventRefusal, type EventReport, type EventRequest } from '../ops/index.js';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import type { Store } from '../store/index.js';

/** Puts a client event (alert 1224) into the outbox of the servers that shall hear of it; durable when this resolves. */
export async function tellServers(
  { type, data, server }: EventRequest,
  { accounts, outbox, store }: { readonly accounts: Accounts; readonly outbox: Outbox; readonly store: Store },
): Promise<Outcome<EventReport, CodedError<EventRefusal>>> {
  const servers = accounts.list().flatMap(({ serverId }) => ((server ?? serverId) === serverId ? [serverId] : []));
  if (servers.length === 0) {
    const which = server === undefined ? 'there is no account of a DM Server' : `no account has the ServerID ${server}`;
    return failure('no-server', which);
  }
  store.transaction(() => {
    for (const serverId of servers) outbox.putEvent({ serverId, type, data });
  });
  await store.durable();
  return success({ format: REPORT_FORMAT, servers });
}
