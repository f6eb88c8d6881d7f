import type { SchemaStep } from '../store/index.js';

/** The tables of this room. Steps are appended, never changed. */
export const imageSchema: readonly SchemaStep[] = [
  {
    owner: 'image',
    sql: `
      CREATE TABLE image (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        node TEXT NOT NULL UNIQUE,
        effective_id TEXT NOT NULL UNIQUE,
        image_id TEXT, name TEXT, version TEXT, description TEXT,
        image_uri TEXT, digest TEXT, signature TEXT, priority INTEGER, pinned INTEGER,
        state TEXT NOT NULL,
        result TEXT, result_text TEXT NOT NULL,
        size INTEGER, content_type TEXT, received INTEGER NOT NULL,
        blob TEXT,
        requester TEXT NOT NULL, correlator TEXT,
        available_ms INTEGER, served_ms INTEGER,
        wan_bytes INTEGER NOT NULL,
        generation INTEGER NOT NULL, source TEXT, validator TEXT, unguarded INTEGER NOT NULL, attempts INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX image_by_blob ON image (blob) WHERE blob IS NOT NULL;
      CREATE TABLE image_delivery (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        image INTEGER NOT NULL REFERENCES image (id) ON DELETE CASCADE,
        blob TEXT NOT NULL,
        address TEXT NOT NULL,
        device TEXT,
        bytes INTEGER NOT NULL,
        covered INTEGER NOT NULL,
        complete INTEGER NOT NULL,
        time_ms INTEGER,
        UNIQUE (image, address)
      ) STRICT;`,
  },
];

/** What came for retrievals: what partial bytes belong to, and the reports that download descriptors ask for. */
export const retrievalSchema: readonly SchemaStep[] = [
  {
    owner: 'image',
    sql: `
      ALTER TABLE image ADD COLUMN partial_digest TEXT;
      ALTER TABLE image ADD COLUMN descriptor TEXT;
      ALTER TABLE image ADD COLUMN install_notify TEXT;
      CREATE TABLE install_report (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        image TEXT NOT NULL,
        url TEXT NOT NULL,
        status INTEGER NOT NULL,
        tries INTEGER NOT NULL DEFAULT 0
      ) STRICT;`,
  },
];

/** What came for LocalImageURI: the key of its tokens, and the place that was told last; null before there is one. */
export const imageServerSchema: readonly SchemaStep[] = [
  {
    owner: 'image',
    sql: `
      CREATE TABLE image_server (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        token_key BLOB,
        place TEXT
      ) STRICT;
      INSERT INTO image_server (id) VALUES (1);`,
  },
];

/** What came for deliveries in several pieces, by several devices, and their beginning. */
export const piecesSchema: readonly SchemaStep[] = [
  {
    // Of what was sent behind a gap: ranges, as `rangesText` writes them.
    owner: 'image',
    sql: `
      ALTER TABLE image_delivery ADD COLUMN ahead TEXT NOT NULL DEFAULT '';
      ALTER TABLE image_delivery ADD COLUMN ambiguous INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE image_delivery ADD COLUMN first_ms INTEGER;`,
  },
];

/** What came for eviction and retention. */
export const momentSchema: readonly SchemaStep[] = [
  {
    // When something last became of an image: its content came, was served, or what was asked for ended. `seq` tells the
    // order also where the clock does not; `at_ms` is null while it was not set.
    owner: 'image',
    sql: `
      CREATE TABLE image_moment (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        image INTEGER NOT NULL UNIQUE REFERENCES image (id) ON DELETE CASCADE,
        at_ms INTEGER
      ) STRICT;`,
  },
];
