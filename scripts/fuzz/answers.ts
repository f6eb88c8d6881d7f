import assert from 'node:assert/strict';
import type { DocumentLimits } from '../../firmware/codec/index.js';
import {
  decodeMessage,
  type BodyCommand,
  type Encoding,
  type Message,
  type ServerCommand,
} from '../../firmware/dm/index.js';
import { structureFault } from './content-models.js';
import { parse } from './encodings.js';

/** Longest message that the gateway takes in the fuzz, and announces. */
export const MAX_MSG_SIZE = 65_536;

/** As the gateway's own: what it reads, the check must read too. */
const READ_LIMITS: DocumentLimits = { maxBytes: MAX_MSG_SIZE, maxDepth: 64, maxElements: 50_000 };
/** Answers of the gateway may be longer: the server's MaxMsgSize bounds them, or nothing does. */
const ANSWER_LIMITS: DocumentLimits = { maxBytes: 16_000_000, maxDepth: 64, maxElements: 1_000_000 };
/** The gateway does not believe a smaller MaxMsgSize: no message could be held to it. */
const LEAST_MAX_MSG_SIZE = 1024;

/** How many Statuses a command may and must get. */
interface Owed {
  least: number;
  most: number;
  got: number;
}

/**
 * Holds the messages of the gateway in one session against what the server has sent: each must be well-formed and no
 * longer than the server takes, each Status and Results must belong to a command, and in the end each command must have
 * its Status.
 */
export class AnswerCheck {
  /** By MsgRef, CmdRef and Cmd. */
  readonly #owed = new Map<string, Owed>();
  #maxMsgSize = Infinity;
  /** An answer was too long for the server, so it never came. */
  leftOut = false;

  /** A message of the server, before the gateway has it. */
  serverSays(encoding: Encoding, octets: Uint8Array): Message | undefined {
    const root = octets.byteLength <= MAX_MSG_SIZE ? parse(encoding, octets, READ_LIMITS) : undefined;
    const message = root && decodeMessage(root);
    if (!message?.ok) return undefined;
    const { header, body } = message.value;
    this.#expect(header.msgId, '0', 'SyncHdr', 0, 1);
    for (const command of body) this.#expectStatuses(header.msgId, command);
    return message.value;
  }

  /** A message of the gateway. @throws AssertionError where it is not as it must be */
  clientSays(encoding: Encoding, octets: Uint8Array): Message {
    assert.ok(octets.byteLength <= this.#maxMsgSize, `${octets.byteLength} octets, ${this.#maxMsgSize} are allowed`);
    const root = parse(encoding, octets, ANSWER_LIMITS);
    assert.ok(root, 'the message is not well-formed');
    assert.equal(structureFault(root), undefined);
    const message = decodeMessage(root);
    assert.ok(message.ok, 'the message is not SyncML');
    const { body } = message.value;
    assert.deepEqual(
      body.map(({ cmdId }) => cmdId),
      body.map((_, index) => String(index + 1)),
      'CmdIDs count from 1',
    );
    for (const command of body) this.#count(command);
    return message.value;
  }

  /** The server's MaxMsgSize counts from its next answer on. */
  limit(message: Message): void {
    const size = message.header.meta?.maxMsgSize;
    if (size !== undefined) this.#maxMsgSize = Math.max(size, LEAST_MAX_MSG_SIZE);
  }

  /** The session has ended well. @throws AssertionError where a command has no Status */
  completed(): void {
    if (this.leftOut) return;
    for (const [key, { least, got }] of this.#owed) assert.ok(got >= least, `no Status for ${key}`);
  }

  #expectStatuses(msgId: string, command: BodyCommand): void {
    if (command.kind === 'Status' || command.kind === 'Results') return;
    const name = command.kind === 'Unusable' ? command.name : command.kind;
    // A Status is never answered, not even a malformed one.
    const isAnswer = command.kind === 'Unusable' && (name === 'Status' || name === 'Results');
    const most = 'items' in command ? Math.max(1, command.items.length) : 1;
    this.#expect(
      msgId,
      command.cmdId === '0' ? '' : command.cmdId,
      name,
      command.noResp || isAnswer ? 0 : 1,
      isAnswer ? 0 : most,
    );
    if ('commands' in command)
      for (const inner of command.commands) this.#expectStatuses(msgId, within(command, inner));
  }

  #expect(msgRef: string, cmdRef: string, cmd: string, least: number, most: number): void {
    const key = `${msgRef} ${cmdRef} ${cmd}`;
    const owed = this.#owed.get(key);
    if (owed) {
      owed.least += least;
      owed.most += most;
    } else this.#owed.set(key, { least, most, got: 0 });
  }

  #count(command: BodyCommand): void {
    if (command.kind === 'Status') {
      const key = `${command.msgRef} ${command.cmdRef} ${command.cmd}`;
      const owed = this.#owed.get(key);
      assert.ok(owed, `a Status for ${key}, which there is not`);
      owed.got += 1;
      assert.ok(owed.got <= owed.most, `a Status more than there may be for ${key}`);
    } else if (command.kind === 'Results') {
      assert.ok(
        this.#owed.has(`${command.msgRef ?? ''} ${command.cmdRef} Get`),
        `Results for no Get: ${command.cmdRef}`,
      );
    }
  }
}

/** What asks for no response inside a container may get a Status all the same. */
function within(container: ServerCommand, inner: ServerCommand): ServerCommand {
  return container.noResp && !inner.noResp ? { ...inner, noResp: false } : inner;
}
