#!/bin/sh
# Builds the fault-injecting library and its test program into build/fault, when they are older than their sources.
# Exit code 3 with one line: there is no C compiler here.
set -eu
cd "$(dirname "$0")"
out=../../build/fault
cc=${CC:-cc}
if ! command -v "$cc" >/dev/null 2>&1; then
  echo "no C compiler ($cc): the tests that cut the power and fail the disk cannot run" >&2
  exit 3
fi
mkdir -p "$out"

# $1: result, $2: source, the rest: flags. Moved into place, so that builds at the same time do not meet.
build() {
  result=$out/$1
  source=$2
  shift 2
  if [ -n "$(find "$result" -newer "$source" 2>/dev/null)" ]; then return; fi
  "$cc" -std=gnu11 -O2 -g -Wall -Wextra -Werror -U_FORTIFY_SOURCE "$@" -o "$result.$$" "$source" -pthread
  mv "$result.$$" "$result"
}

build shim.so shim.c -shared -fPIC
build steps steps.c
