/**
 * The composition root: builds every part of the gateway from the configuration, starts them in order, closes them in the
 * reverse order. Leaves to the rooms what the parts do, and to `run.ts` the process.
 */
export { startGateway, type Gateway } from './gateway.js';
