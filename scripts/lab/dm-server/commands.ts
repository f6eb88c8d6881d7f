import * as v from 'valibot';
import type { Item, Meta, ServerCommand } from '../../../firmware/dm/index.js';

/** A value of the admin API; numbers and booleans are a convenience. */
const data = v.pipe(v.union([v.string(), v.number(), v.boolean()]), v.transform(String));

const itemSchema = v.strictObject({
  target: v.optional(v.string()),
  source: v.optional(v.string()),
  /** Format of the node; `bin` data is given, and travels, as base64. */
  format: v.optional(v.string()),
  type: v.optional(v.string()),
  data: v.optional(data),
});

const commandFields = {
  /** Stands in the events about this command; default: made by the server. */
  id: v.optional(v.string()),
  target: v.optional(v.string()),
  source: v.optional(v.string()),
  format: v.optional(v.string()),
  type: v.optional(v.string()),
  /** Of an Alert: its code. */
  data: v.optional(data),
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

/** A command as it will be sent, without CmdID, with the ids under which its events tell of it. */
export interface PlannedCommand {
  readonly id: string;
  readonly command: ServerCommand;
  /** Of the commands inside an Atomic or a Sequence, in their order. */
  readonly inner: readonly PlannedCommand[];
}

/** @param newId makes the id of a command that brings none */
export function planCommand(input: CommandInput, newId: () => string): PlannedCommand {
  const id = input.id ?? newId();
  const inner = (input.commands ?? []).map((one, index) => planCommand(one, () => `${id}.${index + 1}`));
  return { id, command: toCommand(input, inner), inner };
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
        items: (input.items ?? []).map(toItem),
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
  return (input.items ?? [input]).map(toItem);
}

function toItem({ target, source, format, type, data }: v.InferOutput<typeof itemSchema>): Item {
  const meta: Meta = {
    // Octets travel base64-encoded in XML, and Meta Format says so.
    ...(format !== undefined && { format: format === 'bin' ? 'b64' : format }),
    ...(type !== undefined && { type }),
  };
  return {
    ...(target !== undefined && { target: { uri: target } }),
    ...(source !== undefined && { source: { uri: source } }),
    ...(Object.keys(meta).length > 0 && { meta }),
    ...(data !== undefined && { data }),
  };
}

/** The same command with CmdIDs, and what each of them stands for. */
export interface NumberedCommand {
  readonly command: ServerCommand;
  readonly ids: ReadonlyMap<string, PlannedCommand>;
}

/** @param firstCmdId of the command itself; those inside it count on */
export function numberCommand(planned: PlannedCommand, firstCmdId: number): NumberedCommand {
  const ids = new Map<string, PlannedCommand>();
  const number = (one: PlannedCommand): ServerCommand => {
    const cmdId = String(firstCmdId + ids.size);
    ids.set(cmdId, one);
    return one.command.kind === 'Atomic' || one.command.kind === 'Sequence'
      ? { ...one.command, cmdId, commands: one.inner.map(number) }
      : { ...one.command, cmdId };
  };
  return { command: number(planned), ids };
}
