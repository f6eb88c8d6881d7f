import type { AccountSchedule } from '../dm/index.js';
import type { OperationPorts, SessionsAsked } from '../ops/index.js';
import { failure, success } from '../outcome/index.js';
import type { OperatorParts } from './parts.js';

/** Sessions with DM Servers that somebody at the gateway asks for. */
export function sessionOperations({ scheduler }: OperatorParts): Pick<OperationPorts, 'session/now'> {
  return {
    'session/now': ({ server }) => {
      const asked = scheduler.report().filter(({ serverId }) => serverId === (server ?? serverId));
      if (asked.length === 0) {
        const which =
          server === undefined ? 'there is no account of a DM Server' : `no account has the ServerID ${server}`;
        return failure('no-server', which);
      }
      for (const { serverId } of asked) scheduler.sessionNow(serverId);
      return success({ servers: asked.map(stateOf) });
    },
  };
}

function stateOf({ serverId, sessions, running, waitsFor }: AccountSchedule): SessionsAsked['servers'][number] {
  return { serverId, ended: sessions, state: running ? 'running' : (waitsFor ?? 'due') };
}
