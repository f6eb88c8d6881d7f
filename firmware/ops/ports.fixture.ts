import type { ControlPorts, OperationPorts } from './control.js';

const refuse = (): Promise<never> => Promise.reject(new Error('nothing is asked here'));

/** Operations that nothing is asked of. */
const refusingOperations: OperationPorts = {
  'images/list': refuse,
  'images/show': refuse,
  'images/add': refuse,
  'images/fetch': refuse,
  'images/pin': refuse,
  'images/remove': refuse,
  'devices/list': refuse,
  'devices/add': refuse,
  'devices/remove': refuse,
  'fanout/list': refuse,
  'fanout/show': refuse,
  'fanout/targets': refuse,
  'fanout/stop': refuse,
  'session/now': refuse,
  'tree/get': refuse,
  'tree/ls': refuse,
  reload: refuse,
};

/** Ports of a control socket that nothing is asked of. */
export const refusingPorts: ControlPorts = {
  status: refuse,
  health: refuse,
  event: refuse,
  settings: refuse,
  metered: refuse,
  setMetered: refuse,
  operations: refusingOperations,
  streams: { 'images/verify': refuse, logs: refuse },
  addContent: refuse,
};
