import { mirrorsOf } from './leaves.js';

/** The URLs of an ImageURI, in its order: whose turn it is, and which of them have ended for good. */
export class Mirrors {
  #turn = 0;
  readonly #dead = new Set<string>();

  /** The one whose turn it is. There is one: a retrieval ends with the last mirror. */
  current(imageUri: string): string {
    const mirrors = mirrorsOf(imageUri);
    const alive = this.#alive(mirrors);
    return alive[this.#turn % Math.max(1, alive.length)] ?? mirrors[0] ?? '';
  }

  /** It is the next one's turn, of those that are left. */
  advance(): void {
    this.#turn += 1;
  }

  /** The current one has ended. @returns true when others are left */
  end(imageUri: string): boolean {
    this.#dead.add(this.current(imageUri));
    return this.#alive(mirrorsOf(imageUri)).length > 0;
  }

  #alive(mirrors: readonly string[]): string[] {
    return mirrors.filter((url) => !this.#dead.has(url));
  }
}
