import { Bench } from '../../../firmware/conversations/bench.js';
import { WIRES, type Carrier, type Encoding } from '../../../firmware/dm/index.js';
import { failure, success } from '../../../firmware/outcome/index.js';
import { GIVEN } from './messages.js';

/** Longest message of the server, in octets. */
export const MAX_MSG_SIZE = 65_536;

/** The DM client with all its management objects on a database of its own, and a server without a network. */
export class BenchClient {
  readonly #bench = new Bench(GIVEN);

  /**
   * Holds one session in which the server says these messages.
   * @param onAnswer told of each message of the gateway but the first
   * @throws when the session does not end as it should
   */
  async session(
    messages: readonly Uint8Array[],
    encoding: Encoding,
    onAnswer: (octets: Uint8Array) => void = () => {},
  ): Promise<void> {
    let said = 0;
    const contentType = WIRES[encoding].mediaType;
    const server: Carrier = {
      post: (_, octets) => {
        if (said > 0) onAnswer(octets);
        const body = messages[said];
        said += 1;
        return Promise.resolve(
          body ? success({ status: 200, contentType, body }) : failure('bad-url', 'the server has said everything'),
        );
      },
      close: () => {},
    };
    const end = await this.#bench.run(server, MAX_MSG_SIZE);
    if (end !== 'completed' || said !== messages.length) throw new Error(`the session ${end} after ${said} messages`);
  }

  close(): Promise<void> {
    return this.#bench.close();
  }
}
