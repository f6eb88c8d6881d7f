import type { Element } from '../../firmware/codec/index.js';
import {
  expandMessage,
  NONCES,
  parseConversation,
  SERVER,
  withNamespaces,
  type Conversation,
} from '../../firmware/conversations/format.js';
import { conversationNames, conversationText } from '../../firmware/conversations/messages.js';
import { buildNotification, NOTIFICATION_VERSION, UiMode, wrapWsp } from '../../firmware/dm/index.js';
import type { Life } from './life.js';

/** The server's side of a conversation. */
export interface RealSession {
  readonly name: string;
  readonly settings: Life['settings'];
  /** A message as elements, or as octets where the conversation has it raw. */
  readonly messages: readonly (Element | Uint8Array)[];
}

/** Every conversation of firmware/dm/conversations in which the server says something. */
export function realSessions(): RealSession[] {
  return conversations().map(([name, { settings, turns }]) => {
    const sessionId = settings.find(([key]) => key === 'session')?.[1].split(' ')[0] ?? '1234';
    let msgId = 0;
    const messages = turns.flatMap(({ server }): (Element | Uint8Array)[] => {
      if (server.kind === 'broken' || server.kind === 'http') return [];
      if (server.kind === 'raw') return [Buffer.from(server.text)];
      msgId += 1;
      return [withNamespaces(expandMessage(server.text, 'server', msgId, sessionId))];
    });
    return { name, settings, messages };
  });
}

/** Every message of the gateway in the conversations: what a confused server might send back. */
export function clientMessages(): Element[] {
  return conversations().flatMap(([, { turns }]) =>
    turns.flatMap(({ client }) =>
      client.startsWith('<') ? [withNamespaces(expandMessage(client, 'client', 1, '1234'))] : [],
    ),
  );
}

/** Package#0s that the server of the conversations may send, bare: they verify with its nonce, or with the default one. */
export function realNotifications(): Uint8Array[] {
  const fields = {
    version: NOTIFICATION_VERSION,
    uiMode: UiMode.BACKGROUND,
    initiator: 'server',
    sessionId: 0x1234,
    serverId: SERVER.name,
    vendor: new Uint8Array(),
  } as const;
  const nonce = (name: 's0' | 'default'): Uint8Array => NONCES[name] ?? new Uint8Array();
  return [
    buildNotification(fields, SERVER.secret, nonce('s0')),
    buildNotification({ ...fields, sessionId: 5 }, SERVER.secret, nonce('default')),
    buildNotification({ ...fields, vendor: Uint8Array.of(1, 2) }, SERVER.secret, nonce('s0')),
  ];
}

/** The same, in a WSP Push. */
export function realPushes(): Uint8Array[] {
  return realNotifications().map((notification, index) => wrapWsp(notification, index));
}

function conversations(): (readonly [name: string, conversation: Conversation])[] {
  return conversationNames().map((name) => [name, parseConversation(conversationText(name))]);
}
