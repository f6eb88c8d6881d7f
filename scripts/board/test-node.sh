#!/usr/bin/env bash
#
# test-node.sh MAJOR: `make test` on another Node.js than the one in PATH, on this machine.
#
# Needs:  what `make setup` needs, and the npm registry: the package node-linux-ARCH has the program and its headers.
# Leaves: build/node/MAJOR: the Node.js, and a copy of the sources with addons of their own. The next run uses both again.
# TESTS:  test files, as for `make test`. Exit code: that of the tests; 1 where it does not come to them; 2 for wrong words.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# 24.18.1: an addon of the kind of better-sqlite3 12 that is compiled with the headers of 24.19 or later ends the process
# at some garbage collection (nodejs/node#65446).
declare -A VERSIONS=([20]=20.20.2 [22]=22.23.3 [24]=24.18.1)

version=${VERSIONS[${1:-none}]:-}
if [ "$#" -ne 1 ] || [ -z "$version" ]; then
  echo "usage: make test-node NODE=MAJOR, or test-node.sh MAJOR; there are: $(printf '%s\n' "${!VERSIONS[@]}" | sort | paste -sd ' ')" >&2
  exit 2
fi
work=$PWD/build/node/$1
package=node-linux-$(node -p process.arch)@$version
node=$work/$package
copy=$work/project

say() { printf 'test-node: %s\n' "$*"; }

if [ ! -x "$node/bin/node" ]; then
  say "$package"
  rm -rf "$node" && mkdir -p "$node"
  archive=$(npm pack --silent --pack-destination "$work" "$package" | tail -n 1)
  tar -xzf "$work/$archive" -C "$node" --strip-components=1
  rm "$work/$archive"
fi

# The files of the project, with those that git does not know yet, and without those that are deleted.
sources() {
  git ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done | LC_ALL=C sort -z
}

mkdir -p "$copy"
# Only what has changed is written: what was built of the rest stays.
sources |
  while IFS= read -r -d '' file; do
    cmp -s "$file" "$copy/$file" || { mkdir -p "$copy/$(dirname "$file")" && cp -p "$file" "$copy/$file"; }
  done
# A test that was removed would go on being run.
(cd "$copy" && find . \( -path ./node_modules -o -path ./build \) -prune -o ! -type d -printf '%P\0') | LC_ALL=C sort -z |
  LC_ALL=C comm -z -13 <(sources) - | (cd "$copy" && xargs -0 -r rm --)
# The build takes its time from the last commit.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

# Its own headers, whatever npm is told elsewhere.
export PATH=$node/bin:$PATH npm_config_nodedir=$node
say "Node.js $(node -p process.version), ABI $(node -p process.versions.modules), in build/node/$1/project"
make -C "$copy" setup
# The package better-sqlite3 loads its addon later.
for addon in better-sqlite3/build/Release/better_sqlite3.node libxmljs2 mdns; do
  works='does not work'
  if (cd "$copy" && node -e "require('$addon')" 2>/dev/null >&2); then works=works; fi
  say "${addon%%/*} $works"
done
make -C "$copy" test ${TESTS:+TESTS="$TESTS"}
