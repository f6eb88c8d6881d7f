import { success, type Outcome } from '../outcome/index.js';

/** Where a text stops being JSON, counted from 1. */
export interface JsonError {
  readonly line: number;
  readonly column: number;
  readonly text: string;
}

/** Nesting deeper than this is refused. */
const MAX_DEPTH = 32;

/**
 * Reads JSON (RFC 8259) that a person wrote: the error says where it is and what was expected, on every version of
 * Node.js alike, and a key that stands twice in an object is an error.
 */
export function readJson(text: string): Outcome<unknown, JsonError> {
  const reader = new Reader(text);
  try {
    return success(reader.document());
  } catch (thrown) {
    if (!(thrown instanceof Unexpected)) throw thrown;
    const before = text.slice(0, thrown.at).split('\n');
    return {
      ok: false,
      error: { line: before.length, column: (before.at(-1) ?? '').length + 1, text: thrown.message },
    };
  }
}

class Unexpected extends Error {
  constructor(
    readonly at: number,
    text: string,
  ) {
    super(text);
  }
}

const STRING = /"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})[^"\\\u0000-\u001f]*)*"/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
const SPACE = ' \t\r\n';

class Reader {
  #at = 0;

  constructor(private readonly text: string) {}

  document(): unknown {
    const value = this.#value(0);
    if (this.#at < this.text.length) this.#fail('expected the end of the file');
    return value;
  }

  #value(depth: number): unknown {
    this.#space();
    if (depth > MAX_DEPTH) this.#fail(`nested more than ${MAX_DEPTH} deep`);
    const value = this.#text('{')
      ? this.#object(depth)
      : this.#text('[')
        ? this.#list(depth)
        : this.#scalar('expected a value (text in double quotes, number, true, false, [ or {)');
    this.#space();
    return value;
  }

  #object(depth: number): unknown {
    const entries = new Map<string, unknown>();
    this.#space();
    while (!this.#text('}')) {
      if (entries.size > 0) this.#comma('}');
      const start = this.#at;
      const key = this.#string() ?? this.#fail('expected a key in double quotes');
      const name = JSON.parse(key) as string;
      if (entries.has(name)) throw new Unexpected(start, `the key ${key} stands twice in this object`);
      this.#space();
      if (!this.#text(':')) this.#fail('expected : after the key');
      entries.set(name, this.#value(depth + 1));
    }
    return Object.fromEntries(entries);
  }

  #list(depth: number): unknown {
    const items: unknown[] = [];
    this.#space();
    while (!this.#text(']')) {
      if (items.length > 0) this.#comma(']');
      items.push(this.#value(depth + 1));
    }
    return items;
  }

  #comma(end: string): void {
    const at = this.#at;
    if (!this.#text(',')) this.#fail(`expected , or ${end}`);
    this.#space();
    if (this.text[this.#at] === end) throw new Unexpected(at, `no comma may stand before ${end}`);
  }

  #scalar(expected: string): unknown {
    const token = this.#string() ?? this.#match(WORD) ?? this.#match(NUMBER) ?? this.#fail(expected);
    return JSON.parse(token);
  }

  #space(): void {
    while (SPACE.includes(this.text[this.#at] ?? '-')) this.#at += 1;
  }

  #text(character: string): boolean {
    if (this.text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #string(): string | undefined {
    const token = this.#match(STRING);
    if (token !== undefined || this.text[this.#at] !== '"') return token;
    throw new Unexpected(this.#at, 'this text has no closing ", a line end or a wrong \\ in it');
  }

  #match(token: RegExp): string | undefined {
    const start = this.#at;
    token.lastIndex = start;
    if (!token.test(this.text)) return undefined;
    this.#at = token.lastIndex;
    return this.text.slice(start, this.#at);
  }

  #fail(expected: string): never {
    const next = this.text[this.#at];
    if (next === undefined) throw new Unexpected(this.#at, `the file ends here; ${expected}`);
    if (next === '/' || next === '#') throw new Unexpected(this.#at, `comments are not allowed; ${expected}`);
    throw new Unexpected(this.#at, expected);
  }
}
