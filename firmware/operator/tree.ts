import type { OperationPorts } from '../ops/index.js';
import { success } from '../outcome/index.js';
import { pageOf } from './page.js';
import type { OperatorParts } from './parts.js';

/** The management tree as the gateway itself sees it: no ACL binds it, but what has no Get, such as a secret, cannot be read. */
export function treeOperations({ tree, store }: OperatorParts): Pick<OperationPorts, 'tree/get' | 'tree/ls'> {
  return {
    'tree/get': ({ uri }) =>
      store.transaction(() => {
        const got = tree.get('local', uri);
        if (!got.ok) return got;
        const { format, data } = got.value;
        const value = typeof data === 'string' ? data : Buffer.from(data).toString('base64');
        return success({ uri, nodeFormat: format, value: format === 'node' ? null : value });
      }),
    'tree/ls': ({ uri, after, limit }) =>
      store.transaction(() => {
        const children = tree.children('local', uri, after, limit + 1);
        return children.ok
          ? success(
              pageOf(
                children.value,
                limit,
                ({ name }) => name,
                (child) => child,
              ),
            )
          : children;
      }),
  };
}
