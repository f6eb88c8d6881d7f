import type { Handler, HttpConnection, HttpRequest } from '../http-server/index.js';
import type { Accounting } from './accounting.js';
import type { Answering } from './answering.js';
import type { ImageRecord } from './image.js';
import type { Span } from './ranges.js';

/** What was sent on a connection and is not yet known to have arrived: the content of one answer. */
export interface Unconfirmed {
  readonly image: ImageRecord;
  readonly sha256: string;
  readonly spans: readonly Span[];
}

/** One client on its connection. */
export class Peer implements Handler {
  unconfirmed: Unconfirmed[] = [];

  /** @param answers those that are under way, of all */
  constructor(
    readonly connection: HttpConnection,
    private readonly answering: Answering,
    private readonly accounting: Accounting,
    private readonly answers: Set<Promise<void>>,
  ) {}

  get address(): string {
    return this.connection.address;
  }

  answer(request: HttpRequest): Promise<void> | undefined {
    // What it may not have taken yet is judged at its next request, or at the end of the connection.
    if (this.connection.hasAll) this.accounting.confirm(this, true);
    const answer = this.answering.answer(this, request);
    if (answer) {
      this.answers.add(answer);
      void answer.finally(() => this.answers.delete(answer));
    }
    return answer;
  }

  closed(): void {
    this.accounting.confirm(this, this.connection.taken);
  }
}
