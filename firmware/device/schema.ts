import type { SchemaStep } from '../store/index.js';

/**
 * `id` is the identity that outlives a renamed node. A leaf that was not added is NULL; `device_id` is NULL only between
 * the Add of the node and the Add of its DeviceID. `host` is derived from `address`, for the way back from an IP address.
 */
export const deviceSchema: readonly SchemaStep[] = [
  {
    owner: 'device',
    sql: `
      CREATE TABLE device (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        node TEXT NOT NULL UNIQUE,
        requester TEXT NOT NULL,
        source TEXT NOT NULL CHECK (source IN ('server', 'config', 'mdns')),
        device_id TEXT UNIQUE,
        component_type TEXT,
        mode TEXT,
        address TEXT,
        host TEXT,
        encapsulation TEXT,
        groups TEXT,
        name TEXT,
        last_seen_ms INTEGER,
        reachable INTEGER NOT NULL DEFAULT 0
      );
      CREATE INDEX device_host ON device (host) WHERE host IS NOT NULL;
    `,
  },
];
