import type { NodePath, Provider } from '../tree/index.js';

/** A provider that also knows the ACL of nodes for which none is stored. */
export function delegating(provider: Provider, initialAcl: (path: NodePath) => string | undefined): Provider {
  return {
    locate: (path) => provider.locate(path),
    children: (path, after, limit) => provider.children(path, after, limit),
    read: (path) => provider.read(path),
    stage: (operation) => provider.stage(operation),
    exec: (request) => provider.exec(request),
    ...(provider.rename && { rename: provider.rename.bind(provider) }),
    ...(provider.writeSink && { writeSink: provider.writeSink.bind(provider) }),
    initialAcl,
  };
}
