import { success } from '../outcome/index.js';
import { treeFailure, type NodePath, type Provider, type TreeOutcome } from '../tree/index.js';

/** The leaves of an object by their path from its root (`URI/MaxDepth`), each read when it is asked for. */
export type FixedLeaves = Readonly<Record<string, () => string>>;

/** A management object whose nodes always exist and can only be read. */
export function fixedProvider(leaves: FixedLeaves): Provider {
  const places = new Set(['']);
  for (const path of Object.keys(leaves)) {
    const names = path.split('/');
    for (let depth = 1; depth <= names.length; depth += 1) places.add(names.slice(0, depth).join('/'));
  }
  const key = (path: NodePath): string => path.join('/');
  const readOnly = (): TreeOutcome<never> => treeFailure('not-allowed', 'the object can only be read');
  return {
    locate: (path) => (places.has(key(path)) ? key(path) : undefined),
    children: () => [],
    read: (path) => {
      const leaf = leaves[key(path)];
      return leaf ? success(leaf()) : treeFailure('not-found', 'there is no such node');
    },
    stage: readOnly,
    exec: readOnly,
  };
}
