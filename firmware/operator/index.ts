/**
 * What whoever owns the gateway sees of it and does with it: the reports, and the operations of the control socket.
 * What `mo/` is for DM Servers, this room is for people: a thin translation. Leaves the socket and its forms to `ops/`,
 * the work to the rooms that do it, and their rules to them.
 */
import type { ControlPorts } from '../ops/index.js';
import { success } from '../outcome/index.js';
import { tellServers } from './client-event.js';
import { deviceOperations } from './devices.js';
import { fanoutOperations } from './fanouts.js';
import { addContent, imageOperations, verifyImage } from './images.js';
import type { OperatorParts } from './parts.js';
import { gatherHealth, gatherStatus, meteredReport } from './report.js';
import { sessionOperations } from './sessions.js';
import { treeOperations } from './tree.js';

/** All that the control socket shows and takes, but for the settings. */
export function operatorPorts(parts: OperatorParts): Omit<ControlPorts, 'settings' | 'setMetered'> {
  return {
    status: () => gatherStatus(parts),
    health: () => gatherHealth(parts),
    event: (event) => tellServers(event, parts),
    metered: () => meteredReport(parts),
    operations: {
      ...imageOperations(parts),
      ...deviceOperations(parts),
      ...fanoutOperations(parts),
      ...sessionOperations(parts),
      ...treeOperations(parts),
      reload: () => parts.reload(),
    },
    streams: {
      'images/verify': verifyImage(parts),
      logs: (request, signal) => success(parts.lines.read(request, signal)),
    },
    addContent: (request, octets) => addContent(parts, request, octets),
  };
}
