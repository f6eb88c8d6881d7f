import { run } from './run.js';

/** What an archive holds depends on its files alone: not on their times and owners, nor on the order of a folder. */
export interface ArchiveOptions {
  /** Time of every file, in seconds since 1970. */
  readonly epochSeconds: number;
  /** Without it: all that is in the folder. */
  readonly members?: readonly string[];
}

/** Writes a .tar.gz of a folder, as root's, with names that begin with `./`. Permissions are those of the files. */
export function writeArchive(file: string, folder: string, { epochSeconds, members = ['.'] }: ArchiveOptions): void {
  const tar = [
    ...['--create', '--format=gnu', '--sort=name', '--owner=0', '--group=0', '--numeric-owner'],
    `--mtime=@${epochSeconds}`,
  ];
  const script = 'set -o pipefail; out=$1; shift; LC_ALL=C tar "$@" | gzip -9n >"$out"';
  run('bash', ['-c', script, 'archive', file, ...tar, '-C', folder, ...members]);
}
