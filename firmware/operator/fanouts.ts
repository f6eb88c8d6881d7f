import { TARGET_STATUS, type FanoutRecord, type Fanouts, type TargetStatus } from '../notify/index.js';
import type { Answer, FanoutDetail, OperationPorts } from '../ops/index.js';
import { failure, success } from '../outcome/index.js';
import { pageOf } from './page.js';
import type { OperatorParts } from './parts.js';

/** The word for each number of the Status node. */
const STATUS_WORD = new Map<TargetStatus, string>(
  Object.entries(TARGET_STATUS).map(([word, number]) => [
    number,
    word.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`),
  ]),
);

/** What is seen of fanouts at the gateway, and that they are stopped. */
export function fanoutOperations({
  fanouts,
  store,
}: OperatorParts): Pick<OperationPorts, Extract<keyof OperationPorts, `fanout/${string}`>> {
  const find = <T>(id: string, use: (fanout: FanoutRecord) => Answer<T>): Answer<T> => {
    const fanout = fanouts.byNode(id);
    return fanout ? use(fanout) : failure('not-found', `there is no fanout '${id}'`);
  };
  return {
    'fanout/list': ({ after, limit }) =>
      success(
        pageOf(
          fanouts.nodes(after, limit + 1),
          limit,
          ({ node }) => node,
          (one) => detail(fanouts, one),
        ),
      ),
    'fanout/show': ({ id }) => find(id, (fanout) => success(detail(fanouts, fanout))),
    'fanout/targets': ({ id, after, limit }) =>
      find(id, (fanout) =>
        success(
          pageOf(
            fanouts.targets(fanout.id, after, limit + 1),
            limit,
            ({ name }) => name,
            (target) => ({
              target: target.name,
              deviceId: target.deviceId ?? '',
              status: STATUS_WORD.get(target.status) ?? '',
              attempts: target.attempts,
            }),
          ),
        ),
      ),
    'fanout/stop': ({ id }) =>
      find(id, async (fanout) => {
        // Whoever started it hears of the end.
        const stopped = fanouts.stop(fanout.id, {});
        if (!stopped.ok) return stopped;
        await store.durable();
        return success(detail(fanouts, fanouts.byId(fanout.id) ?? fanout));
      }),
  };
}

function detail(fanouts: Fanouts, { id, node, state, requester }: FanoutRecord): FanoutDetail {
  const { total, sent, reacted, failed } = fanouts.counters(id) ?? { total: 0, sent: 0, reacted: 0, failed: 0 };
  const imageRef = String(fanouts.getLeaf(id, 'imageRef') ?? '');
  return { id: node, state, running: state === 'running', requester, imageRef, total, sent, reacted, failed };
}
