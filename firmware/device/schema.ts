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

/**
 * What discovery adds. `found_address` is where it saw the device last: the Address leaf of a device that was only
 * discovered, a stand-in where a server or the configuration gave none. `confirmed`: it was seen for longer than a moment,
 * so that it does not give way to others. `shows_session`: it announces the SessionID that it acted on last.
 */
export const discoveredSchema: readonly SchemaStep[] = [
  {
    owner: 'device',
    sql: `
      ALTER TABLE device ADD COLUMN found_address TEXT;
      ALTER TABLE device ADD COLUMN mac TEXT;
      ALTER TABLE device ADD COLUMN confirmed INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE device ADD COLUMN shows_session INTEGER NOT NULL DEFAULT 0;
      CREATE INDEX device_mac ON device (mac) WHERE mac IS NOT NULL;
      CREATE INDEX device_fleeting ON device (last_seen_ms) WHERE source = 'mdns' AND reachable = 0;
      CREATE TABLE device_address (
        device INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
        address TEXT NOT NULL,
        last_ms INTEGER,
        PRIMARY KEY (device, address)
      ) WITHOUT ROWID;
    `,
  },
];

/** How many devices there are, by source: counting 10,000 rows for each one that is found took most of the time. */
export const countSchema: readonly SchemaStep[] = [
  {
    owner: 'device',
    sql: `
      CREATE TABLE device_count (source TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
      INSERT INTO device_count SELECT source, count(*) FROM device GROUP BY source;
      CREATE TRIGGER device_added AFTER INSERT ON device BEGIN
        INSERT INTO device_count VALUES (NEW.source, 1) ON CONFLICT DO UPDATE SET n = n + 1;
      END;
      CREATE TRIGGER device_removed AFTER DELETE ON device BEGIN
        UPDATE device_count SET n = n - 1 WHERE source = OLD.source;
      END;
      CREATE TRIGGER device_changed AFTER UPDATE OF source ON device WHEN OLD.source <> NEW.source BEGIN
        UPDATE device_count SET n = n - 1 WHERE source = OLD.source;
        INSERT INTO device_count VALUES (NEW.source, 1) ON CONFLICT DO UPDATE SET n = n + 1;
      END;
    `,
  },
];
