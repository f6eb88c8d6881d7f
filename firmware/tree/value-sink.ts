import { isUtf8 } from 'node:buffer';
import { success } from '../outcome/index.js';
import { Base64Decoder } from './base64.js';
import type { NodeDefinition } from './definition.js';
import { treeFailure, type TreeOutcome } from './errors.js';
import type { AnnouncedValue, ByteSink, LeafValue, StoredValue } from './provider.js';
import { isWbxmlTnds, MAX_TNDS_BYTES } from './tnds-read.js';
import { acceptAnnounced, boundOf, isEncoded, textOfValue, tooLarge } from './values.js';

/**
 * Takes one value as it stands in the messages that carry it, in pieces cut anywhere: text, or octets where WBXML
 * carried an opaque. After a failure only `discard` may follow.
 */
export interface ValueSink {
  /** Resolves when it may have more. Fails with `bad-value`, `too-large`, or what the leaf's owner says (`full`). */
  write(piece: LeafValue): Promise<TreeOutcome>;
  /** All pieces have come: resolves to what `add` or `replace` of the same node takes as its data. */
  end(): Promise<TreeOutcome<LeafValue | StoredValue>>;
  /** Drops what no committed transaction has taken. To be called in any case, at last; idempotent. */
  discard(): Promise<void>;
}

/** The octets of a leaf, decoded on the way into its owner's sink, or into memory up to the bound of the leaf. */
export class LeafSink implements ValueSink {
  readonly #base64: Base64Decoder | undefined;
  #bytes = 0;

  /** @param format what the peer calls it */
  constructor(
    private readonly definition: NodeDefinition,
    private readonly format: string | undefined,
    private readonly sink: ByteSink | MemorySink,
  ) {
    this.#base64 = definition.format === 'bin' ? new Base64Decoder() : undefined;
  }

  async write(piece: LeafValue): Promise<TreeOutcome> {
    const octets = this.#octets(piece);
    if (!octets) return treeFailure('bad-value', 'the value is not base64');
    this.#bytes += octets.byteLength;
    if (this.#bytes > boundOf(this.definition)) return tooLarge(this.definition);
    return octets.byteLength === 0 ? success() : this.sink.write(octets);
  }

  async end(): Promise<TreeOutcome<LeafValue | StoredValue>> {
    if (this.#base64?.complete === false) return treeFailure('bad-value', 'the value ends within a group of base64');
    const ended = await this.sink.end();
    if (!ended.ok || !(ended.value instanceof Uint8Array) || this.definition.format === 'bin') return ended;
    return isUtf8(ended.value) ? success(textOfValue(ended.value)) : treeFailure('bad-value', 'the value is not UTF-8');
  }

  discard(): Promise<void> {
    return this.sink.discard();
  }

  #octets(piece: LeafValue): Uint8Array | undefined {
    if (this.#base64 && isEncoded(this.format, piece)) return this.#base64.write(asText(piece));
    return typeof piece === 'string' ? Buffer.from(piece, 'utf8') : piece;
  }
}

/** A sink for a TNDS document: collected in memory, there is nothing to check before it is whole. */
export function openTndsSink(announced: AnnouncedValue): TreeOutcome<ValueSink> {
  const document: NodeDefinition = {
    key: 'document',
    name: 'document',
    format: isWbxmlTnds(announced.type) ? 'bin' : 'chr',
    access: [],
    occurrence: 'One',
    scope: 'Dynamic',
    description: 'A TNDS document',
    maxBytes: MAX_TNDS_BYTES,
  };
  const fits = acceptAnnounced(document, { ...announced, format: undefined, type: undefined });
  return fits.ok ? success(new LeafSink(document, announced.format, new MemorySink())) : fits;
}

/** Collects a value whose owner has no sink for it. The bound of the leaf is checked before it gets here. */
export class MemorySink {
  #pieces: Uint8Array[] = [];

  write(octets: Uint8Array): Promise<TreeOutcome> {
    this.#pieces.push(Uint8Array.from(octets));
    return Promise.resolve(success());
  }

  end(): Promise<TreeOutcome<Uint8Array>> {
    return Promise.resolve(success(Buffer.concat(this.#pieces)));
  }

  discard(): Promise<void> {
    this.#pieces = [];
    return Promise.resolve();
  }
}

/** Base64 is ASCII: any other octet becomes a character that is none of it. */
function asText(piece: LeafValue): string {
  return typeof piece === 'string'
    ? piece
    : Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength).toString('latin1');
}
