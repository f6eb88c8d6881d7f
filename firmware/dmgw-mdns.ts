/**
 * The helper process that speaks with the system's mDNS daemon, started by the gateway for `discovery.backend` daemon or auto.
 * A program of its own, so that it takes no more memory than it needs.
 */
import { runBridge } from './discovery/bridge.js';
import { setFlags } from './flags.js';

setFlags();

void runBridge(process.stdin, (line) => process.stdout.write(line));
