import { readdirSync, readFileSync } from 'node:fs';
import type { Encoding } from '../dm/index.js';
import { Bench } from './bench.js';
import { parseConversation } from './format.js';

/** A message of a conversation as it goes over the wire. */
export interface RecordedMessage {
  /** Name of the conversation's file, without `.txt`. */
  readonly conversation: string;
  readonly sender: 'client' | 'server';
  readonly encoding: Encoding;
  readonly octets: Uint8Array;
}

const FOLDER = new URL('../dm/conversations/', import.meta.url);

/** Names of all conversations, without `.txt`. */
export function conversationNames(): string[] {
  return readdirSync(FOLDER).flatMap((name) => (name.endsWith('.txt') ? [name.slice(0, -4)] : []));
}

export function conversationText(name: string): string {
  return readFileSync(new URL(`${name}.txt`, FOLDER), 'utf8');
}

/**
 * Replays every conversation and gives each message of both sides, in order; `<<< raw` answers are not among them.
 * @param encoding in which the conversations begin
 */
export async function recordConversations(encoding: Encoding): Promise<RecordedMessage[]> {
  const recorded: RecordedMessage[] = [];
  for (const conversation of conversationNames()) {
    const parsed = parseConversation(conversationText(conversation), encoding);
    const bench = new Bench(parsed.settings, {}, encoding);
    bench.onMessage = (sender, octets, spoken) =>
      recorded.push({ conversation, sender, encoding: spoken, octets: Uint8Array.from(octets) });
    try {
      await bench.follow(parsed);
    } finally {
      await bench.close();
    }
  }
  return recorded;
}
