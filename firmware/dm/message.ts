/**
 * The message model of OMA DM 1.2 (SyncML representation protocol) as plain values: what stands on the wire, without
 * knowledge of XML, WBXML or sessions.
 */

/** Metinf `Meta` of a command or an Item; a field is absent when the element was. Item level overrides command level. */
export interface Meta {
  readonly format?: string;
  readonly type?: string;
  readonly mark?: string;
  /** Octets of the data as it stands in the message, announced with the first chunk of a large object. */
  readonly size?: number;
  /** Base64 text. */
  readonly nextNonce?: string;
  readonly maxMsgSize?: number;
  readonly maxObjSize?: number;
}

/** `Target` or `Source`. */
export interface Location {
  readonly uri: string;
  readonly name?: string;
}

/** Data of an Item: text, or raw octets where WBXML carried an opaque. Base64 is still encoded: Meta Format says so. */
export type ItemData = string | Uint8Array;

export interface Item {
  readonly target?: Location;
  readonly source?: Location;
  readonly meta?: Meta;
  /** Absent when there was no Data element; an empty Data is the empty string. */
  readonly data?: ItemData;
  readonly moreData?: boolean;
}

export interface Cred {
  readonly meta: Meta;
  /** As on the wire: base64 text. */
  readonly data: string;
}

export interface Header {
  readonly verDtd: string;
  readonly verProto: string;
  readonly sessionId: string;
  readonly msgId: string;
  readonly target: Location;
  readonly source: Location;
  readonly respUri?: string;
  readonly noResp?: boolean;
  readonly cred?: Cred;
  readonly meta?: Meta;
}

interface Command {
  readonly cmdId: string;
  readonly noResp?: boolean;
  readonly meta?: Meta;
}

interface ItemCommand extends Command {
  readonly items: readonly Item[];
}

export interface AddCommand extends ItemCommand {
  readonly kind: 'Add';
}
export interface ReplaceCommand extends ItemCommand {
  readonly kind: 'Replace';
}
export interface CopyCommand extends ItemCommand {
  readonly kind: 'Copy';
}
export interface DeleteCommand extends ItemCommand {
  readonly kind: 'Delete';
}
export interface GetCommand extends ItemCommand {
  readonly kind: 'Get';
}
export interface ExecCommand extends ItemCommand {
  readonly kind: 'Exec';
  readonly correlator?: string;
}
export interface AlertCommand extends ItemCommand {
  readonly kind: 'Alert';
  /** The alert code as text, undefined where Data was missing. */
  readonly data?: string;
  readonly correlator?: string;
}
export interface AtomicCommand extends Command {
  readonly kind: 'Atomic';
  readonly commands: readonly ServerCommand[];
}
export interface SequenceCommand extends Command {
  readonly kind: 'Sequence';
  readonly commands: readonly ServerCommand[];
}

/**
 * An element where a command should stand that is not one of DM's (Put, Sync, or unknown), or a known one without its
 * CmdID: it gets a Status all the same, in its place.
 */
export interface UnusableCommand extends Command {
  readonly kind: 'Unusable';
  /** The element's name, repeated in the Status. */
  readonly name: string;
  /** `unknown`: no such element; `unused`: SyncML knows it, DM does not use it; `malformed`: mandatory parts missing. */
  readonly reason: 'unknown' | 'unused' | 'malformed';
}

export interface StatusCommand extends Command {
  readonly kind: 'Status';
  readonly msgRef: string;
  readonly cmdRef: string;
  /** Name of the answered command, `SyncHdr` for the header. */
  readonly cmd: string;
  readonly targetRefs: readonly string[];
  readonly sourceRefs: readonly string[];
  readonly cred?: Cred;
  readonly chal?: Meta;
  /** Status code as text. */
  readonly data: string;
  readonly items: readonly Item[];
}

export interface ResultsCommand extends ItemCommand {
  readonly kind: 'Results';
  readonly msgRef?: string;
  readonly cmdRef: string;
  readonly targetRef?: string;
  readonly sourceRef?: string;
}

/** Commands that a DM Server sends to a client (and, for Alert and Replace, the client to the server). */
export type ServerCommand =
  | AddCommand
  | ReplaceCommand
  | CopyCommand
  | DeleteCommand
  | GetCommand
  | ExecCommand
  | AlertCommand
  | AtomicCommand
  | SequenceCommand
  | UnusableCommand;

export type BodyCommand = ServerCommand | StatusCommand | ResultsCommand;

/** A command of ours without the CmdID that its message gives it. */
export type Part = Unnumbered<StatusCommand | ResultsCommand | AlertCommand | ReplaceCommand>;

/** A command without its CmdID. */
export type Unnumbered<C> = C extends BodyCommand ? Omit<C, 'cmdId'> : never;

export interface Message {
  readonly header: Header;
  readonly body: readonly BodyCommand[];
  readonly final: boolean;
}
