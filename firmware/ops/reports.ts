/** Raised when a report's fields change, so that a command does not misread a daemon of another version. */
export const REPORT_FORMAT = 4;

/** What `dmgw status` shows. Times are ISO 8601 in UTC, null where there is none. */
export interface StatusReport {
  readonly format: typeof REPORT_FORMAT;
  readonly version: string;
  /** Name of the board profile; empty without one. */
  readonly board: string;
  readonly devId: string;
  readonly processId: number;
  readonly startedAt: string;
  readonly uptimeSeconds: number;
  /** False while the wall clock stands before the build date. */
  readonly clockPlausible: boolean;
  readonly accounts: readonly AccountReport[];
  readonly notification: ListenerReport;
  readonly retrieve: RetrieveReport;
  readonly images: readonly ImageReport[];
  readonly serve: ServeReport;
  readonly fanouts: readonly FanoutReport[];
  readonly devices: DevicesReport;
  readonly traffic: TrafficReport;
  readonly memory: MemoryReport;
  readonly store: StoreReport;
  /** What someone should look at, worst first; empty when all is well. */
  readonly problems: readonly Problem[];
}

export interface AccountReport {
  readonly serverId: string;
  readonly name: string;
  /** Without user, query and fragment. */
  readonly url: string;
  readonly sessionRunning: boolean;
  /** What a session that is due waits for: that the clock is set, or its turn after another server. */
  readonly sessionWaitsFor: 'clock' | 'turn' | null;
  readonly lastSessionAt: string | null;
  readonly lastSession: 'completed' | 'failed' | null;
  /** Code of its failure. */
  readonly lastFailure: string | null;
  /** Null where none is planned. */
  readonly nextSessionInSeconds: number | null;
  readonly failuresInARow: number;
  /** Sessions that have ended since the start of the daemon. */
  readonly sessions: number;
  /** Generic alerts that wait for delivery. */
  readonly alertsWaiting: number;
}

export interface ListenerReport {
  /** `address:port` of each listener. */
  readonly listening: readonly string[];
}

/** How images come in. */
export interface RetrieveReport {
  /** URL of the proxy that they come through, which then finds and checks the addresses of names; null: none. */
  readonly proxy: string | null;
  /** Whether the download window is open now; null: there is none, or the clock is not set. */
  readonly windowOpen: boolean | null;
  /** When it opens or closes. */
  readonly windowChangesAt: string | null;
  /** Whether the link is metered; null: nothing tells. */
  readonly metered: boolean | null;
}

export interface ImageReport {
  readonly imageId: string;
  /** The word for the State node: `available`, `downloading`. */
  readonly state: string;
  /** Durable: a power cut takes none of them. */
  readonly receivedBytes: number;
  /** As `receivedBytes`, with those that are not durable yet. */
  readonly arrivedBytes: number;
  /** Null while unknown. */
  readonly sizeBytes: number | null;
  /** Empty until the image is stored. */
  readonly localImageURI: string;
  /** The Result node. */
  readonly result: number;
  /** The ResultText node; empty where there is nothing to say. */
  readonly resultText: string;
  /** Devices that were sent the whole image. */
  readonly delivered: number;
}

export interface ServeReport {
  /** `address:port` of each listener. */
  readonly listening: readonly string[];
  readonly connections: number;
}

export interface FanoutReport {
  readonly id: string;
  /** The word for the State node: `running`, `done`. */
  readonly state: string;
  readonly total: number;
  readonly sent: number;
  readonly reacted: number;
  readonly failed: number;
}

export interface DevicesReport {
  readonly known: number;
  readonly reachable: number;
  readonly discovery: DiscoveryReport;
}

export interface DiscoveryReport {
  /** `off`, or who works. */
  readonly backend: string;
  /** `working`, `joining` or `away`; null where the system's daemon is not used. */
  readonly daemon: string | null;
  /** Interfaces on which it works. */
  readonly interfaces: readonly string[];
  /** Devices that announce themselves now. */
  readonly present: number;
  /** Datagrams that were not looked at, because more came than is good for a router. */
  readonly dropped: number;
}

/** Bytes since the start of the daemon. Of images, but for what is written. */
export interface TrafficReport {
  /** Received from download servers. */
  readonly wanReceivedBytes: number;
  /** Sent to End Devices. */
  readonly lanSentBytes: number;
  /** Written to the disk for everything: what wears the flash. Null where the system does not tell. */
  readonly diskWrittenBytes: number | null;
}

export interface MemoryReport {
  readonly residentBytes: number;
  /** What the program's own data takes (RssAnon); null where the system does not tell. */
  readonly anonymousBytes: number | null;
  readonly heapUsedBytes: number;
  readonly bufferBytes: number;
}

export interface StoreReport {
  readonly journal: 'wal' | 'truncate';
  readonly imageBytes: number;
  /** Null: no quota. */
  readonly quotaBytes: number | null;
  /** Free in the file system of storeDir; null where it cannot be told. */
  readonly freeBytes: number | null;
}

export interface Problem {
  /** Stable, for scripts: `clock`, `storage`, `account`. */
  readonly code: string;
  readonly severity: 'error' | 'warning';
  /** One sentence for a person, without secrets. */
  readonly text: string;
}

/** What `dmgw health` shows. */
export interface HealthReport {
  readonly format: typeof REPORT_FORMAT;
  readonly healthy: boolean;
  readonly checks: readonly HealthCheck[];
}

export interface HealthCheck {
  /** Stable, for scripts: `database`, `storage`, `serve`, `notification`, `clock`, `session`, `discovery`. */
  readonly name: string;
  readonly ok: boolean;
  /** One sentence for a person: what was seen. */
  readonly text: string;
}

/** What DM Servers have set in place of what the configuration says. */
export interface SettingsReport {
  readonly format: typeof REPORT_FORMAT;
  readonly changed: readonly {
    /** A key of the configuration: `fanout.repeat`. */
    readonly key: string;
    readonly value: number | readonly string[];
    readonly serverId: string;
  }[];
}

/** Healthy when every check is. */
export function healthReport(checks: readonly HealthCheck[]): HealthReport {
  return { format: REPORT_FORMAT, healthy: checks.every(({ ok }) => ok), checks };
}
