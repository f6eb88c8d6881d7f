import * as v from 'valibot';
import type { Item, ItemData, Meta, ServerCommand } from '../../../firmware/dm/index.js';
import { asItemData, fileValue, octetsValue, textValue, Unsendable, type Value } from './values.js';

/** A value of the admin API; numbers and booleans are a convenience. */
const data = v.pipe(v.union([v.string(), v.number(), v.boolean()]), v.transform(String));

/** Who a command is about, and what value it carries. */
const partFields = {
  target: v.optional(v.string()),
  source: v.optional(v.string()),
  /** Format of the node. The data of `bin` is octets, given as base64. */
  format: v.optional(v.string()),
  type: v.optional(v.string()),
  /** Of an Alert: its code. */
  data: v.optional(data),
  /** Octets, whatever the format. */
  dataBase64: v.optional(v.pipe(v.string(), v.base64())),
};

const itemSchema = v.strictObject(partFields);

const commandFields = {
  /** Stands in the events about this command; default: made by the server. */
  id: v.optional(v.string()),
  ...partFields,
  /** A file with the value: octets where the format is `bin`, else text. */
  dataFile: v.optional(v.string()),
  correlator: v.optional(v.string()),
  /** Several Items instead of the one that target, format, type and data describe. */
  items: v.optional(v.array(itemSchema)),
};

interface CommandInput extends v.InferOutput<typeof plainSchema> {
  readonly commands?: CommandInput[] | undefined;
}

const plainSchema = v.strictObject({
  ...commandFields,
  cmd: v.picklist(['Add', 'Replace', 'Delete', 'Get', 'Exec', 'Copy', 'Alert', 'Atomic', 'Sequence']),
});

const commandSchema: v.GenericSchema<unknown, CommandInput> = v.strictObject({
  ...plainSchema.entries,
  /** What an Atomic or a Sequence holds. */
  commands: v.optional(v.array(v.lazy(() => commandSchema))),
});

/** Body of `POST /devices/<deviceId>/commands`. */
export const commandsSchema = v.strictObject({ commands: v.pipe(v.array(commandSchema), v.minLength(1)) });

/** A command with Items. */
export type ItemCommand = Extract<ServerCommand, { readonly items: readonly Item[] }>;

/** A command as it will be sent, without CmdID, with the ids under which its events tell of it. */
export interface PlannedCommand {
  readonly id: string;
  /** Its only Item lacks the Data where there is a `value`. */
  readonly command: ServerCommand;
  readonly value: Value | undefined;
  /** Of the commands inside an Atomic or a Sequence, in their order. */
  readonly inner: readonly PlannedCommand[];
}

/**
 * @param newId makes the id of a command that brings none
 * @throws Unsendable for a value that cannot be sent
 */
export function planCommand(input: CommandInput, newId: () => string): PlannedCommand {
  const id = input.id ?? newId();
  const inner = (input.commands ?? []).map((one, index) => planCommand(one, () => `${id}.${index + 1}`));
  const value = input.items || input.cmd === 'Alert' ? undefined : valueOf(input);
  return { id, command: toCommand(input, inner), value, inner };
}

function toCommand(input: CommandInput, inner: readonly PlannedCommand[]): ServerCommand {
  const correlator = input.correlator !== undefined && { correlator: input.correlator };
  switch (input.cmd) {
    case 'Atomic':
    case 'Sequence':
      return { kind: input.cmd, cmdId: '', commands: inner.map(({ command }) => command) };
    case 'Alert':
      return {
        kind: 'Alert',
        cmdId: '',
        ...(input.data !== undefined && { data: input.data }),
        ...correlator,
        items: (input.items ?? []).map(withData),
      };
    case 'Exec':
      return { kind: 'Exec', cmdId: '', ...correlator, items: itemsOf(input) };
    case 'Add':
    case 'Replace':
    case 'Delete':
    case 'Get':
    case 'Copy':
      return { kind: input.cmd, cmdId: '', items: itemsOf(input) };
  }
}

function itemsOf(input: CommandInput): Item[] {
  return input.items?.map(withData) ?? [toItem(input)];
}

type ItemInput = v.InferOutput<typeof itemSchema>;

function toItem({ target, source, format, type }: ItemInput): Item {
  const meta: Meta = { ...(format !== undefined && { format }), ...(type !== undefined && { type }) };
  return {
    ...(target !== undefined && { target: { uri: target } }),
    ...(source !== undefined && { source: { uri: source } }),
    ...(Object.keys(meta).length > 0 && { meta }),
  };
}

function withData(input: ItemInput): Item {
  const value = valueOf(input);
  return { ...toItem(input), ...(value && { data: wholeOf(value) }) };
}

function valueOf(input: ItemInput & { readonly dataFile?: string | undefined }): Value | undefined {
  const { format, data, dataBase64, dataFile } = input;
  if ([data, dataBase64, dataFile].filter((one) => one !== undefined).length > 1) {
    throw new Unsendable('only one of data, dataBase64 and dataFile');
  }
  if (dataFile !== undefined) return fileValue(dataFile, format === 'bin' ? 'octets' : 'text');
  if (dataBase64 !== undefined) return octetsValue(Buffer.from(dataBase64, 'base64'));
  if (data === undefined) return undefined;
  if (format !== 'bin') return textValue(data);
  if (!v.is(BASE64, data)) throw new Unsendable('the data of a bin is not base64');
  return octetsValue(Buffer.from(data, 'base64'));
}

const BASE64 = v.union([v.literal(''), v.pipe(v.string(), v.base64())]);

function wholeOf(value: Value): ItemData {
  return asItemData(value, value.read(0, value.bytes));
}

/** Octets of all values of a command: at least so many it adds to a message. */
export function bytesOfValues({ value, inner }: PlannedCommand): number {
  return inner.reduce((sum, one) => sum + bytesOfValues(one), value?.bytes ?? 0);
}

/** What each CmdID of a message stands for. */
export type CommandIds = ReadonlyMap<string, PlannedCommand>;

/**
 * The same command with CmdIDs and values.
 * @param firstCmdId of the command itself; those inside it count on
 * @throws Unsendable for a value that cannot be read
 */
export function numberCommand(
  planned: PlannedCommand,
  firstCmdId: number,
): { readonly command: ServerCommand; readonly ids: CommandIds } {
  const ids = new Map<string, PlannedCommand>();
  const number = (one: PlannedCommand): ServerCommand => {
    const cmdId = String(firstCmdId + ids.size);
    ids.set(cmdId, one);
    const { command, value } = one;
    if ('commands' in command) return { ...command, cmdId, commands: one.inner.map(number) };
    if (!value || !('items' in command)) return { ...command, cmdId };
    return { ...command, cmdId, items: [{ ...command.items[0], data: wholeOf(value) }] };
  };
  return { command: number(planned), ids };
}
