import type { SchemaStep } from '../store/index.js';

export const settingSchema: readonly SchemaStep[] = [
  {
    owner: 'settings',
    // configured: what the configuration said when the server set its value.
    sql: `CREATE TABLE setting (
      key TEXT PRIMARY KEY,
      value TEXT NOT NULL,
      configured TEXT NOT NULL,
      server_id TEXT NOT NULL
    ) WITHOUT ROWID`,
  },
];
