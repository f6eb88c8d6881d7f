#!/bin/sh
#
# native.sh FILE: compiles firmware/native/*.c to FILE, for this machine or with the cross
# compiler in CC. CFLAGS and LDFLAGS are added to what it needs.
set -eu
cd "$(dirname "$0")/.."
# shellcheck disable=SC2086 # CC and CFLAGS may be several words
${CC:-cc} -std=gnu11 -Os -Wall -Wextra ${CFLAGS:-} -D_FILE_OFFSET_BITS=64 -fPIC -fvisibility=hidden -pthread -shared ${LDFLAGS:-} \
  -I node_modules/node-api-headers/include -o "$1" firmware/native/*.c
