import type { Tree } from '../tree/index.js';
import { Alert } from './codes.js';
import type { Item, Part } from './message.js';

/** What every package 1 says: who opens the session, and all DevInfo leaves (DMPRO, facts 3.1). */
export function openingParts(tree: Tree, serverInitiated: boolean): readonly Part[] {
  const code = serverInitiated ? Alert.SERVER_INITIATED : Alert.CLIENT_INITIATED;
  return [
    { kind: 'Alert', data: String(code), items: [] },
    { kind: 'Replace', items: deviceInfoItems(tree) },
  ];
}

/** As Source, not Target. */
function deviceInfoItems(tree: Tree): Item[] {
  const names = tree.get('local', './DevInfo');
  if (!names.ok) throw new Error('the tree has no DevInfo');
  return String(names.value.data)
    .split('/')
    .flatMap((name) => {
      const uri = `./DevInfo/${name}`;
      const leaf = tree.get('local', uri);
      if (!leaf.ok || leaf.value.format === 'node') return [];
      const { format, type, data } = leaf.value;
      return [{ source: { uri }, meta: { format, type }, data: String(data) }];
    });
}
