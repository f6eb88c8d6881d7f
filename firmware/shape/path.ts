/** A place in a value: names of keys and indices of lists. */
export type KeyPath = readonly (string | number)[];

/** As it stands in error lines: `accounts[0].url`. */
export function formatPath(path: KeyPath): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`),
    '',
  );
}
