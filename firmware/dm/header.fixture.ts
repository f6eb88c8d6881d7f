import type { Header } from './message.js';

/** Of a message of the client, for tests to which its content is all one. */
export const HEADER: Header = {
  verDtd: '1.2',
  verProto: 'DM/1.2',
  sessionId: '1',
  msgId: '1',
  target: { uri: 's' },
  source: { uri: 'd' },
};
