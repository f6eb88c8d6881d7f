import type { Logger } from '../log/index.js';
import { describeThrown } from '../outcome/index.js';
import type { Peer } from './peer.js';
import type { Deliveries } from './deliveries.js';
import type { ImageRecord } from './image.js';
import type { Span } from './ranges.js';

/** Who wants to know which device fetches what. */
export interface Reactions {
  /** The devices that are known to have this address now, two of them at most; opaque here. */
  devicesAt(address: string): readonly string[];
  /**
   * An address has begun to fetch an image, or has got every byte of it.
   * @param imageId its ImageID
   */
  fetched(imageId: string, address: string, complete: boolean): void;
}

export interface AccountingOptions {
  readonly deliveries: Deliveries;
  readonly reactions: Reactions;
  readonly log: Logger;
}

/** What one answer sends. */
export interface Account {
  /** Told of the content in every write that the kernel has taken. */
  readonly sent: (content: readonly Span[]) => void;
  /** Told when nothing more will be sent. */
  readonly end: () => void;
}

/**
 * What was sent to whom. The content of an answer counts for its image when the answer ends; it counts towards a whole
 * image only when the client is known to have taken it: it asks on, or its kernel had acknowledged all of it (`isAcknowledged`)
 * by the time that the client ended the connection behind it, or was so long silent that we did, and no error came.
 *
 * An end of the client that came before the last byte was sent proves nothing: who closes only its own side of the
 * connection behind its request (no download client does) is answered, and never known to have got a whole image.
 */
export class Accounting {
  #lanBytes = 0;

  constructor(private readonly o: AccountingOptions) {}

  /** Bytes of image content sent into the LAN since the start. */
  get lanBytes(): number {
    return this.#lanBytes;
  }

  /** An answer with content begins. */
  begin(peer: Peer, image: ImageRecord, sha256: string): Account {
    this.o.reactions.fetched(image.imageId, peer.address, false);
    const spans: Span[] = [];
    return {
      sent: (content) => {
        for (const span of content) {
          this.#lanBytes += span.length;
          append(spans, span);
        }
      },
      end: () => {
        peer.unconfirmed.push({ image, sha256, spans });
      },
    };
  }

  /** Counts what was sent on a connection. A failing database must not end the connections. */
  confirm(peer: Peer, confirmed: boolean): void {
    const { address } = peer;
    const { deliveries, reactions, log } = this.o;
    for (const { image, sha256, spans } of peer.unconfirmed.splice(0)) {
      const sent = { image: image.id, sha256, size: image.size ?? 0, address, spans, confirmed };
      try {
        const whole = deliveries.sent({ ...sent, devices: reactions.devicesAt(address) });
        if (whole) reactions.fetched(image.imageId, address, true);
      } catch (thrown) {
        log.error('cannot account for a delivery', { address, reason: describeThrown(thrown) });
      }
    }
  }

  /** Writes what has been counted. */
  flush(): void {
    this.o.deliveries.flush();
  }
}

/** Adds a span to what was sent, so that an answer has no more of them than it has parts. */
function append(spans: Span[], { start, length }: Span): void {
  const last = spans.at(-1);
  if (last && last.start + last.length === start) {
    spans[spans.length - 1] = { start: last.start, length: last.length + length };
  } else spans.push({ start, length });
}
