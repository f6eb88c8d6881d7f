import { fault, type Fault } from './fault.js';
import type { IntakeEnd } from './intake.js';

/** What became of one try. */
export type TryEnd =
  | { readonly kind: 'whole' } // every byte is there
  | { readonly kind: 'more' } // go on at once
  | { readonly kind: 'stop' } // aborted, superseded or ended
  | Fault;

/** A body whose end leaves its bytes as they are. */
export type BodyEnd = Exclude<IntakeEnd['kind'], 'disk' | 'refused'>;

/** How far a body has brought a file: bytes of the body, those that it announced, those of the file, and of all of it. */
interface Reached {
  readonly taken: number;
  readonly announced: number | undefined;
  readonly received: number;
  readonly total: number | undefined;
}

/** What the end of a body means. */
export function meaningOfEnd(end: BodyEnd, { taken, announced, received, total }: Reached): TryEnd {
  switch (end) {
    case 'aborted':
      return { kind: 'stop' };
    case 'overflow':
      return fault('bad-reply', 'fail', 'the server sends more bytes than announced');
    case 'cut':
      return fault('broken', 'again', `the connection broke at byte ${received}`);
    case 'stalled':
      return fault('broken', 'again', `the server stalled at byte ${received}`);
    case 'complete':
      // Without an announced length the end of the body is the end of the file.
      if (announced === undefined) return { kind: 'whole' };
      if (taken < announced) {
        return fault('broken', 'again', `the body ended early at byte ${received}`);
      }
      // A range may be shorter than asked for; the rest is asked for next.
      return { kind: received === total ? 'whole' : 'more' };
  }
}
