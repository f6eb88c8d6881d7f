import type { LogFields, Logger } from '../../../firmware/log/index.js';
import type { Outbox, SessionRunner, WaitingAlert } from '../../../firmware/dm/index.js';
import type { JsonLog } from '../dm-server/json-log.js';

/** More alerts than this do not wait for one device's server. */
const MAX_ALERTS = 1000;

/** Runs sessions and writes into the log how each ended, and which results the server has taken in it. */
export function loggedRunner(run: SessionRunner, outbox: Outbox, log: JsonLog): SessionRunner {
  return async (serverId, trigger, signal) => {
    const waiting = outbox.waiting(serverId, MAX_ALERTS);
    const startedMs = performance.now();
    const sessionId = trigger.kind === 'notification' ? trigger.sessionId : null;
    log.write({ kind: 'session', phase: 'start', trigger: trigger.kind, sessionId });
    const result = await run(serverId, trigger, signal);
    const ms = Math.round(performance.now() - startedMs);
    log.write({ kind: 'session', phase: 'end', trigger: trigger.kind, sessionId, end: result.end, ms });
    const left = new Set(outbox.waiting(serverId, MAX_ALERTS).map(({ id }) => id));
    for (const alert of waiting) if (!left.has(alert.id)) log.write({ kind: 'reported', code: codeOf(alert) });
    return result;
  };
}

function codeOf({ data }: WaitingAlert): number {
  return Number(/<ResultCode>(\d+)/.exec(data)?.[1]);
}

/** The device's own log, in lines of the same file. */
export function jsonLogger(log: JsonLog): Logger {
  const at = (level: string) => (text: string, fields?: LogFields) =>
    log.write({ kind: 'log', level, text, ...fields });
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: () => {} };
}
