/** What somebody who writes a value may be told of it. */
export interface Notes {
  /** What it is for. */
  readonly help?: string;
  /** What is allowed, as it stands behind "expected", where the shape alone does not say it. */
  readonly allowed?: string;
  /** The default, in words, where it follows from another value. */
  readonly derived?: string | undefined;
  /** The value is never shown. */
  readonly secret?: boolean;
}

interface TextShape extends Notes {
  readonly kind: 'text';
  /** Shortest and longest, in UTF-16 code units. */
  readonly from?: number;
  readonly to?: number;
  readonly pattern?: RegExp;
  readonly rule?: (value: string) => boolean;
}

interface NumberShape extends Notes {
  readonly kind: 'number';
  /** Least and greatest; `isWhole`: nothing behind the point. */
  readonly from: number;
  readonly to: number;
  readonly isWhole: boolean;
}

interface FlagShape extends Notes {
  readonly kind: 'flag';
}

interface ChoiceShape extends Notes {
  readonly kind: 'choice';
  readonly values: readonly string[];
}

interface ListShape extends Notes {
  readonly kind: 'list';
  readonly item: Shape;
  /** Fewest and most items. */
  readonly from: number;
  readonly to: number;
  /** What it is a list of. */
  readonly of: string;
}

/** An object with these keys and no others. */
interface SectionShape extends Notes {
  readonly kind: 'section';
  readonly entries: Entries;
  /** Makes of what is right what it stands for. */
  readonly derive: ((value: never) => unknown) | undefined;
}

/** An object with any keys. */
interface RecordShape extends Notes {
  readonly kind: 'record';
  /** Of each value; undefined: anything. */
  readonly value: Shape | undefined;
}

/** A key that may be missing. */
interface OptionalKey {
  readonly kind: 'optional';
  readonly wrapped: Shape;
  /** What counts then; undefined: nothing does. */
  readonly otherwise: unknown;
}

/** What a value is once it is read, and what may be written for it: for the compiler, never there. */
interface Typed<Out, In> {
  readonly out?: Out;
  readonly in?: In;
}

type AnyShape = TextShape | NumberShape | FlagShape | ChoiceShape | ListShape | SectionShape | RecordShape;

/** What a value must be: plain data, made at each start by the hundred. */
export type Shape<Out = unknown, In = unknown> = AnyShape & Typed<Out, In>;
/** A key with a default. */
export type Defaulted<Out, In> = OptionalKey & Typed<Out, In> & { readonly presence?: 'defaulted' };
/** A key that is not there where nobody wrote it. */
export type Absent<Out, In> = OptionalKey & Typed<Out, In> & { readonly presence?: 'absent' };

export type Key = Shape | OptionalKey;
export type Entries = Readonly<Record<string, Key>>;

export type OutOf<K> = K extends Typed<infer Out, unknown> ? Out : never;
export type InOf<K> = K extends Typed<unknown, infer In> ? In : never;

type AbsentIn<E> = { [K in keyof E]: E[K] extends { readonly presence?: 'absent' } ? K : never }[keyof E];
type MissableIn<E> = { [K in keyof E]: E[K] extends OptionalKey ? K : never }[keyof E];
type Flat<T> = { [K in keyof T]: T[K] };
type SectionOut<E> = Flat<{ [K in Exclude<keyof E, AbsentIn<E>>]: OutOf<E[K]> } & { [K in AbsentIn<E>]?: OutOf<E[K]> }>;
type SectionIn<E> = Flat<
  { [K in Exclude<keyof E, MissableIn<E>>]: InOf<E[K]> } & { [K in MissableIn<E>]?: InOf<E[K]> }
>;

export function text(about: Omit<TextShape, 'kind'>): Shape<string, string> {
  return { kind: 'text', ...about };
}

/** A whole number with both bounds inclusive. */
export function whole(from: number, to: number, help = '', derived?: string): Shape<number, number> {
  return { kind: 'number', from, to, isWhole: true, help, derived };
}

/** Any number but those that JSON does not have. */
export function number(): Shape<number, number> {
  return { kind: 'number', from: -Number.MAX_VALUE, to: Number.MAX_VALUE, isWhole: false };
}

export function flag(help = ''): Shape<boolean, boolean> {
  return { kind: 'flag', help };
}

export function choice<const T extends string>(values: readonly T[], help = '', derived?: string): Shape<T, T> {
  return { kind: 'choice', values, help, derived };
}

export interface ListBounds {
  readonly from?: number;
  readonly to: number;
}

/** @param of what it is a list of */
export function list<Out, In>(
  item: Shape<Out, In>,
  { from = 0, to }: ListBounds,
  help: string,
  of: string,
): Shape<Out[], readonly In[]> {
  return { kind: 'list', item, from, to, of, help };
}

export function section<const E extends Entries>(
  entries: E,
  help = '',
): Shape<SectionOut<E>, SectionIn<E>> & { readonly entries: E } {
  return { kind: 'section', entries, derive: undefined, help };
}

/** A section, and what is made of it once all of it is right; of what was made of it before, where something was. */
export function derived<E extends Entries, Out, In, Made>(
  from: Shape<Out, In> & { readonly entries: E },
  derive: (value: Out) => Made,
): Shape<Made, In> & { readonly entries: E } {
  const { derive: before, ...plain } = from as unknown as SectionShape;
  const both = before ? (value: never): Made => derive(before(value) as Out) : derive;
  return { ...plain, derive: both } as unknown as Shape<Made, In> & { readonly entries: E };
}

export function record<Out = unknown, In = unknown>(
  value: Shape<Out, In> | undefined,
  about: Notes,
): Shape<Record<string, Out>, Readonly<Record<string, In>>> {
  return { kind: 'record', value, ...about };
}

/** A key with a default, which is written as somebody would write it. */
export function optional<Out, In>(wrapped: Shape<Out, In>, otherwise: In): Defaulted<Out, In> {
  return { kind: 'optional', wrapped, otherwise };
}

/** A key that is not there where nobody wrote it. */
export function exactOptional<Out, In>(wrapped: Shape<Out, In>): Absent<Out, In> {
  return { kind: 'optional', wrapped, otherwise: undefined };
}

/** What is allowed, as it stands behind "expected". */
export function allowedBy(shape: Shape): string {
  if (shape.allowed !== undefined) return shape.allowed;
  switch (shape.kind) {
    case 'text':
      return shape.to === undefined ? 'a text' : `text of ${shape.from ?? 0} to ${shape.to} characters`;
    case 'number':
      return shape.isWhole ? `a whole number from ${shape.from} to ${shape.to}` : 'a number';
    case 'flag':
      return 'true or false (without quotes)';
    case 'choice':
      return shape.values.length === 1 ? `"${shape.values.join()}"` : `one of ${shape.values.join(', ')}`;
    case 'list':
      return `a list of ${shape.from === 0 ? 'at most' : `${shape.from} to`} ${shape.to} ${shape.of}`;
    case 'section':
    case 'record':
      return 'an object { ... }';
  }
}
