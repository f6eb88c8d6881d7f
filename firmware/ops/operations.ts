import {
  exactOptional,
  flag,
  number,
  optional,
  section,
  text as textOf,
  whole,
  type InOf,
  type OutOf,
} from '../shape/index.js';
import type { ImageReport } from './reports.js';

/** Rows of one answer: a list of thousands is asked for in pages, and nobody holds all of it. */
const MAX_PAGE = 200;

const text = (longest: number) => textOf({ from: 0, to: longest });
const filled = (longest: number) => textOf({ from: 1, to: longest });

/** What `REQUESTS` is made of is made by each request: a start has none, and few come. */
const page = () => ({
  /** Continue behind this one: `next` of the page before. */
  after: exactOptional(text(2048)),
  limit: optional(whole(1, MAX_PAGE), MAX_PAGE),
});

/** The name of a node, an ImageID, a DevId. */
const name = () => filled(255);

/** What somebody may say of an image, beside where it is. The catalog says what is allowed in each. */
const imageLeaves = () => ({
  name: exactOptional(text(255)),
  version: exactOptional(text(255)),
  description: exactOptional(text(255)),
  digest: exactOptional(text(255)),
  signature: exactOptional(text(255)),
  priority: exactOptional(number()),
  pinned: exactOptional(flag()),
});

/** Longest ImageURI, in characters; the catalog has the last word. */
const MAX_URI_LENGTH = 8 * 1024;

/** What can be asked of the running gateway, and what a request says. Each is `POST /<name>` with JSON. */
export const REQUESTS = {
  'images/list': () => section(page()),
  'images/show': () => section({ id: name() }),
  'images/add': () => section({ id: name(), uri: filled(MAX_URI_LENGTH), ...imageLeaves() }),
  /** The octets of the image follow. */
  'images/content': () => section({ id: name(), bytes: whole(0, Number.MAX_SAFE_INTEGER), ...imageLeaves() }),
  'images/fetch': () => section({ id: name(), uri: exactOptional(filled(MAX_URI_LENGTH)) }),
  'images/pin': () => section({ id: name(), pinned: flag() }),
  'images/remove': () => section({ id: name() }),
  'images/verify': () => section({ id: name() }),
  'devices/list': () => section(page()),
  'devices/add': () =>
    section({
      deviceId: name(),
      address: name(),
      name: exactOptional(text(255)),
      groups: exactOptional(text(255)),
      encapsulation: exactOptional(text(16)),
      mode: exactOptional(text(16)),
    }),
  'devices/remove': () => section({ deviceId: name() }),
  'fanout/list': () => section(page()),
  'fanout/show': () => section({ id: name() }),
  'fanout/targets': () => section({ id: name(), ...page() }),
  'fanout/stop': () => section({ id: name() }),
  'session/now': () => section({ server: exactOptional(name()) }),
  'tree/get': () => section({ uri: filled(2048) }),
  'tree/ls': () => section({ uri: filled(2048), ...page() }),
  reload: () => section({}),
  /** @see LogLine */
  logs: () => section({ follow: flag(), lines: whole(0, 10_000) }),
} as const;

export type RequestName = keyof typeof REQUESTS;
export type RequestOf<Name extends RequestName> = OutOf<ReturnType<(typeof REQUESTS)[Name]>>;
/** As a client may write it: what has a default may be missing. */
export type Asked<Name extends RequestName> = InOf<ReturnType<(typeof REQUESTS)[Name]>>;

/** Some rows of a list, in its order. */
export interface Page<Row> {
  readonly rows: readonly Row[];
  /** To be given as `after` for the next page; null: there is none. */
  readonly next: string | null;
}

/** An image with all that is known of it. */
export interface ImageDetail extends ImageReport {
  /** Name of its node. */
  readonly node: string;
  readonly name: string;
  readonly version: string;
  readonly description: string;
  /** Without user, password and query; one for each mirror. */
  readonly imageURIs: readonly string[];
  /** As it was given; empty where nobody gave it. */
  readonly digest: string;
  readonly signed: boolean;
  /** Of the stored content; null until it is stored. */
  readonly sha256: string | null;
  readonly contentType: string | null;
  readonly priority: number;
  readonly pinned: boolean;
  /** ServerID of the DM Server that asked for it; empty: somebody at the gateway. */
  readonly requester: string;
  readonly availableAt: string | null;
  readonly servedAt: string | null;
  /** Received over the WAN for it, repeated bytes counted again. */
  readonly wanBytes: number;
}

export interface DeviceRow {
  readonly node: string;
  readonly deviceId: string;
  readonly name: string;
  /** Empty while nobody knows it. */
  readonly address: string;
  readonly encapsulation: string;
  readonly mode: string;
  readonly groups: string;
  readonly source: string;
  readonly reachable: boolean;
  readonly lastSeenAt: string | null;
}

export interface FanoutDetail {
  /** Name of its node. */
  readonly id: string;
  /** The word for the State node: `running`, `done`. */
  readonly state: string;
  readonly running: boolean;
  readonly requester: string;
  /** ImageID whose retrieval counts as a reaction; empty: none. */
  readonly imageRef: string;
  readonly total: number;
  readonly sent: number;
  readonly reacted: number;
  readonly failed: number;
}

export interface TargetRow {
  readonly target: string;
  readonly deviceId: string;
  /** The word for the Status node: `sent`, `reacted`. */
  readonly status: string;
  readonly attempts: number;
}

/** What became of the wish for sessions, server by server. */
export interface SessionsAsked {
  readonly servers: readonly {
    readonly serverId: string;
    /** Sessions that had ended before: the one that was asked for is a later one. */
    readonly ended: number;
    /** `due`: it begins at once; else why not. */
    readonly state: 'due' | 'running' | 'clock' | 'turn';
  }[];
}

export interface NodeReport {
  readonly uri: string;
  /** Not `format`: that of an answer is the number of its version. */
  readonly nodeFormat: string;
  /** Base64 where the format is `bin`. An interior node has none. */
  readonly value: string | null;
}

export interface ChildRow {
  readonly name: string;
  readonly format: string;
}

export interface Done {
  readonly done: true;
}

/** What is answered. */
export interface Answers {
  'images/list': Page<ImageReport>;
  'images/show': ImageDetail;
  'images/add': ImageDetail;
  'images/fetch': ImageDetail;
  'images/pin': ImageDetail;
  'images/remove': Done;
  'devices/list': Page<DeviceRow>;
  'devices/add': DeviceRow;
  'devices/remove': Done;
  'fanout/list': Page<FanoutDetail>;
  'fanout/show': FanoutDetail;
  'fanout/targets': Page<TargetRow>;
  'fanout/stop': FanoutDetail;
  'session/now': SessionsAsked;
  'tree/get': NodeReport;
  'tree/ls': Page<ChildRow>;
  /** It starts anew, soon, with the configuration as it is now. */
  reload: Done;
}

/** How far the reading of a stored image is, and at last what it found. */
export interface Verification {
  readonly checkedBytes: number;
  readonly sizeBytes: number;
  /** Null until the end. */
  readonly found: 'sound' | 'rotten' | 'gone' | 'unreadable' | null;
}

/** One line of the log; or how many were not kept because nobody took them in time. */
export type LogLine = { readonly line: string } | { readonly lost: number };

/** What is answered piece by piece, as lines of JSON, for as long as it takes. */
export interface Streams {
  'images/verify': Verification;
  logs: LogLine;
}

export type AnsweredName = keyof Answers;
export type StreamedName = keyof Streams;
