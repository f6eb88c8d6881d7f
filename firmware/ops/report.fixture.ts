import { REPORT_FORMAT, type StatusReport } from './reports.js';

/** A gateway in the middle of its work. */
export function exampleStatus(changes: Partial<StatusReport> = {}): StatusReport {
  return {
    format: REPORT_FORMAT,
    version: '1.2.3',
    board: 'dev',
    devId: 'MAC:001122AABBCC',
    processId: 4711,
    startedAt: '2026-03-01T10:00:00.000Z',
    uptimeSeconds: 12_000,
    clockPlausible: true,
    accounts: [
      {
        serverId: 'srv',
        name: 'Example',
        url: 'https://dm.example.com/dm',
        sessionRunning: false,
        sessionWaitsFor: null,
        lastSessionAt: '2026-03-01T13:00:00.000Z',
        lastSession: 'completed',
        lastFailure: null,
        nextSessionInSeconds: 5400,
        failuresInARow: 0,
        sessions: 1,
        alertsWaiting: 2,
      },
    ],
    notification: { listening: ['0.0.0.0:2948'] },
    retrieve: { proxy: null, windowOpen: null, windowChangesAt: null, metered: null },
    images: [
      {
        imageId: 'package1',
        state: 'available',
        receivedBytes: 1_048_576,
        arrivedBytes: 1_048_576,
        sizeBytes: 1_048_576,
        localImageURI: 'http://192.168.1.1:8180/scomo/package1',
        result: 1200,
        resultText: '',
        delivered: 3,
      },
      {
        imageId: 'p2',
        state: 'waiting',
        receivedBytes: 500,
        arrivedBytes: 510,
        sizeBytes: 1000,
        localImageURI: '',
        result: 0,
        resultText: 'no connection',
        delivered: 0,
      },
    ],
    serve: { listening: ['192.168.1.1:8180'], connections: 1 },
    fanouts: [{ id: 'f1', state: 'running', total: 5, sent: 3, reacted: 2, failed: 0 }],
    devices: {
      known: 5,
      reachable: 4,
      discovery: { backend: 'builtin', daemon: null, interfaces: ['br-lan'], present: 3, dropped: 0 },
    },
    traffic: { wanReceivedBytes: 1_049_076, lanSentBytes: 3_145_728, diskWrittenBytes: 1_101_004 },
    memory: { residentBytes: 55_000_000, anonymousBytes: 9_000_000, heapUsedBytes: 5_000_000, bufferBytes: 100_000 },
    store: { journal: 'wal', imageBytes: 1_049_076, quotaBytes: null, freeBytes: 2_000_000_000 },
    problems: [],
    ...changes,
  };
}
