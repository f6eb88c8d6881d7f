import type { SchemaStep } from '../store/index.js';

/**
 * A leaf that was not added is NULL. `fanout_run` is apart from `fanout`, whose row may be large, because it is written
 * with every batch: what the run's clock showed, and at what wall time. `due_ms` counts on that clock.
 * `sends` counts the tries that left the gateway, `attempts` all of them.
 */
export const notifySchema: readonly SchemaStep[] = [
  {
    owner: 'notify',
    sql: `
      CREATE TABLE fanout (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        node TEXT NOT NULL UNIQUE,
        requester TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'idle' CHECK (state IN ('idle', 'running', 'done', 'stopped', 'aborted')),
        type TEXT,
        repeat INTEGER,
        interval_seconds INTEGER,
        lifetime_seconds INTEGER,
        rate INTEGER,
        wave_size INTEGER,
        abort_after_failures INTEGER,
        image_ref TEXT,
        notification BLOB,
        targets TEXT
      );
      CREATE INDEX fanout_running ON fanout (id) WHERE state = 'running';
      CREATE TABLE fanout_run (
        fanout_id INTEGER PRIMARY KEY REFERENCES fanout (id) ON DELETE CASCADE,
        requester TEXT NOT NULL,
        correlator TEXT,
        elapsed_ms INTEGER NOT NULL,
        saved_wall_ms INTEGER
      );
      CREATE TABLE fanout_target (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        fanout_id INTEGER NOT NULL REFERENCES fanout (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        expanded INTEGER NOT NULL DEFAULT 0,
        stage INTEGER NOT NULL DEFAULT 0,
        status INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        sends INTEGER NOT NULL DEFAULT 0,
        due_ms INTEGER NOT NULL DEFAULT 0,
        reacted INTEGER,
        device_id TEXT,
        notification BLOB,
        UNIQUE (fanout_id, name),
        UNIQUE (fanout_id, device_id)
      );
      CREATE INDEX fanout_target_due ON fanout_target (fanout_id, stage, due_ms);
    `,
  },
];

/** What came for retention. */
export const endSchema: readonly SchemaStep[] = [
  {
    // The fanouts that ended, in that order; `at_ms` is null while the clock was not set.
    owner: 'notify',
    sql: `
      CREATE TABLE fanout_end (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        fanout_id INTEGER NOT NULL UNIQUE REFERENCES fanout (id) ON DELETE CASCADE,
        at_ms INTEGER
      ) STRICT;
    `,
  },
];

/**
 * What was known of the device at its last try: `hearable`, a reaction can be seen; `may_appear`, it is told when it
 * appears.
 */
export const sleepersSchema: readonly SchemaStep[] = [
  {
    owner: 'notify',
    sql: `
      ALTER TABLE fanout_target ADD COLUMN hearable INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE fanout_target ADD COLUMN may_appear INTEGER NOT NULL DEFAULT 0;
    `,
  },
];
