import { statSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { describeThrown, failure, success, type CodedError, type Outcome } from '../outcome/index.js';

/** The owner of a folder cannot be told, or the system does not let root take his rights, as without CAP_SETUID. */
export type OwnerError = CodedError<'no-rights'>;

/**
 * Does what root does in a folder of the gateway's with the rights of whom the folder belongs to, as a gateway may have a
 * user of its own: what is made is that user's, and a link leads nowhere that this user could not go. Where the folder is not
 * there yet, the nearest one above it counts. Whoever is not root does it with his own rights. The rights are those of the
 * whole process while the work lasts, and root's again afterwards, whatever came of it.
 * @throws what the work throws
 */
export async function asOwnerOf<T, E>(
  folder: string,
  work: () => Outcome<T, E> | Promise<Outcome<T, E>>,
): Promise<Outcome<T, E | OwnerError>> {
  const taken = takeRights(folder);
  if (!taken.ok) return taken;
  try {
    return await work();
  } finally {
    taken.value();
  }
}

/** @returns what gives the rights back */
function takeRights(folder: string): Outcome<() => void, OwnerError> {
  const taken: (() => void)[] = [];
  const giveBack = (): void => {
    for (const undo of taken.reverse()) undo();
  };
  if (process.geteuid?.() !== 0) return success(giveBack);
  const [ownGid, groups] = [process.getegid?.() ?? 0, process.getgroups?.() ?? []];
  try {
    const { uid, gid } = nearest(folder);
    if (uid === 0) return success(giveBack);
    process.setgroups?.([gid]);
    taken.push(() => process.setgroups?.(groups));
    process.setegid?.(gid);
    taken.push(() => process.setegid?.(ownGid));
    process.seteuid?.(uid);
    taken.push(() => process.seteuid?.(0));
    return success(giveBack);
  } catch (thrown) {
    giveBack();
    return failure('no-rights', `cannot act as the owner of ${folder} (${describeThrown(thrown)})`, thrown);
  }
}

function nearest(folder: string): Stats {
  return statSync(folder, { throwIfNoEntry: false }) ?? nearest(dirname(folder));
}
