import type { Lab } from '../../flow/lab.js';
import { eventually } from '../../flow/wait.js';
import type { Place } from './client.js';

const RETRIEVED_WITHIN_MS = 120_000;
/** How exactly it is known when something has come. */
const LOOK_EVERY_MS = 10;

/** Where a LocalImageURI leads. */
export function placeOf(localImageURI: string): Place {
  const { hostname, port, pathname } = new URL(localImageURI);
  return { address: hostname, port: Number(port), path: pathname };
}

/** Waits until an image is stored and verified. @returns its LocalImageURI */
export function untilAvailable(lab: Lab, node: string): Promise<string> {
  return eventually(
    `the image ${node} to be there`,
    async () => {
      lab.requireAlive();
      const image = await lab.gateway.image(node);
      return image?.state === 'available' ? image.localImageURI : undefined;
    },
    { timeoutMs: RETRIEVED_WITHIN_MS },
  );
}

/** Waits until an image has a LocalImageURI, which may be before all of it is there. @returns it */
export function untilServed(lab: Lab, node: string): Promise<string> {
  return eventually(
    `the image ${node} to be served`,
    async () => {
      lab.requireAlive();
      return (await lab.gateway.image(node))?.localImageURI || undefined;
    },
    { timeoutMs: RETRIEVED_WITHIN_MS, everyMs: LOOK_EVERY_MS },
  );
}
