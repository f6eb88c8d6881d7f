import type { Account } from './accounts.js';
import { VER_DTD, VER_PROTO } from './codes.js';
import { reference } from './executor.js';
import { MessageDraft, type WrittenMessage } from './message-draft.js';
import type { Header, Meta, Part, StatusCommand } from './message.js';
import type { ClientProof } from './proof.js';
import type { ServerAddress } from './server-address.js';
import type { Wire } from './wire.js';

export interface WriterOptions {
  readonly account: Account;
  /** DevInfo/DevId: Source of every message. */
  readonly deviceId: string;
  readonly sessionId: string;
  /** Largest message that we accept, in octets; announced to the server. */
  readonly maxMsgSize: number;
  /** Largest object that we accept, in octets as transported; announced to the server. */
  readonly maxObjSize: number;
  /** In what the first message goes out. */
  readonly wire: Wire;
  /** Where the messages go. */
  readonly address: ServerAddress;
}

/** A message that is to go out. */
export interface SendStep {
  readonly kind: 'send';
  readonly message: WrittenMessage;
  readonly url: string;
  readonly wire: Wire;
  /** Makes the content of `x-syncml-hmac` for the octets of the message, where the account wants one. */
  readonly sign: ((body: Uint8Array) => string) | undefined;
}

/** A MsgID is a small decimal number; it is repeated in each Status, so a longer one would multiply. */
export const MAX_MSG_ID_LENGTH = 10;

/** A server that has not told its MaxMsgSize yet is spared alerts beyond this: its first message must reach it. */
const FIRST_MESSAGE_BYTES = 8 * 1024;

/** A peer that announces less cannot be talked to: the SyncHdr alone takes this much. */
const MIN_PEER_MESSAGE_BYTES = 1024;

/** Begins the messages of one session: their headers, their numbers, and how long each may be. */
export class MessageWriter {
  wire: Wire;
  #msgId = 0;
  #peerMaxMsgSize: number | undefined;
  /** Status of the last header of the server. */
  #headerStatus: Omit<StatusCommand, 'cmdId'> | undefined;

  constructor(
    private readonly o: WriterOptions,
    private readonly proof: ClientProof,
  ) {
    this.wire = o.wire;
  }

  /** MsgID of the last message. */
  get msgId(): number {
    return this.#msgId;
  }

  /** The server has answered once: it knows of the session. */
  get wasAnswered(): boolean {
    return this.#headerStatus !== undefined;
  }

  /** @param maxMsgSize of the server, where it has named one; valid until it names another */
  limit(maxMsgSize: number | undefined): void {
    if (maxMsgSize !== undefined) this.#peerMaxMsgSize = Math.max(maxMsgSize, MIN_PEER_MESSAGE_BYTES);
  }

  /** The header of the server that the next messages answer. */
  answer(header: Header, code: number, chal: Meta | undefined, items: StatusCommand['items'] = []): void {
    this.#headerStatus = {
      kind: 'Status',
      msgRef: header.msgId,
      cmdRef: '0',
      cmd: 'SyncHdr',
      targetRefs: reference(header.target),
      sourceRefs: reference(header.source),
      ...(chal && { chal }),
      data: String(code),
      items,
    };
  }

  /** The next message, with the Status of the header that it answers. */
  begin(): MessageDraft {
    this.#msgId += 1;
    return this.#draft();
  }

  /**
   * Octets of a message for answers, when nothing is in it but what every one may have to say.
   * @param draft one that has just begun
   */
  roomForAnswers(draft = this.#draft()): number {
    return draft.room - this.wire.sizeOf(ASKED_FOR_MORE, draft.nextCmdId);
  }

  step(message: WrittenMessage): SendStep {
    return { kind: 'send', message, url: this.o.address.url, wire: this.wire, sign: this.proof.signer() };
  }

  #draft(): MessageDraft {
    const unknown = this.wasAnswered ? Infinity : FIRST_MESSAGE_BYTES;
    const draft = new MessageDraft(this.#header(), this.wire, this.#peerMaxMsgSize ?? unknown);
    if (this.#headerStatus) draft.add(this.#headerStatus);
    return draft;
  }

  #header(): Header {
    const { deviceId, sessionId, account, maxMsgSize, maxObjSize, address } = this.o;
    const cred = this.proof.cred();
    return {
      verDtd: VER_DTD,
      verProto: VER_PROTO,
      sessionId,
      msgId: String(this.#msgId),
      target: { uri: address.url },
      source: { uri: deviceId, ...(account.client.name !== '' && { name: account.client.name }) },
      ...(cred && { cred }),
      meta: { maxMsgSize, maxObjSize },
    };
  }
}

/** The longest Status of an alert 1222 amid our package. */
const ASKED_FOR_MORE: Part = {
  kind: 'Status',
  msgRef: '9'.repeat(MAX_MSG_ID_LENGTH),
  cmdRef: '99',
  cmd: 'Alert',
  targetRefs: [],
  sourceRefs: [],
  data: '200',
  items: [],
};
