/** A gateway that executes commands on a disk that may fail, while the server remembers what it was answered. */
import type { Command } from '../flow/dm-server.js';
import { OneProcess, type Told } from '../flow/one-process.js';
import { asRead, SERVER_ID, URIS, type State } from './command-model.js';

/** The shortest that a gateway may take: many messages, and large objects among the commands. */
const MAX_MESSAGE_BYTES = 4096;

export class CommandLab {
  private constructor(private readonly lab: OneProcess) {}

  /** @param onFatal the gateway's disk has failed */
  static async start(folder: string, onFatal: (thrown: unknown) => void): Promise<CommandLab> {
    const settings = {
      session: { maxMessageBytes: MAX_MESSAGE_BYTES, startDelaySeconds: 3600, intervalSeconds: 0, jitterSeconds: 0 },
      lan: { prefixes: ['127.0.0.0/8'] },
      serve: { listen: ['127.0.0.1'] },
    };
    return new CommandLab(await OneProcess.start({ folder, serverId: SERVER_ID, settings, onFatal }));
  }

  /** Has the gateway execute commands, in one session, and tells what became of each as soon as the server knows. */
  execute(commands: readonly (Command & { readonly id: string })[], told: Told): Promise<void> {
    return this.lab.execute(commands, told);
  }

  /** What the tree has of the nodes that the commands make. */
  async read(): Promise<State> {
    const before = (await this.lab.events()).at(-1)?.n ?? 0;
    const gets = URIS.map((uri) => ({ id: uri, cmd: 'Get', target: uri }) as const);
    await this.execute(gets, () => {});
    const state = new Map<string, string>();
    for (const { kind, id = '', value = '' } of await this.lab.events(before)) {
      if (kind === 'results') state.set(id, asRead(id, value));
    }
    return state;
  }

  close(): Promise<void> {
    return this.lab.close();
  }
}
