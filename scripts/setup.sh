#!/usr/bin/env bash
#
# setup.sh: everything that building and testing needs, from a fresh clone.
# setup.sh tools PACKAGE COMMAND...: only what a benchmark compares with: pairs of a Debian package and its command.
#
# Needs:  Node.js 20 or later with npm. On Debian and Ubuntu, as root or with sudo that asks for no password, it installs
#         with apt what is missing of make, compilers of C and C++, and python3 (the addons are compiled), and what is used where
#         it is there (see below). Anywhere else it names what is missing.
# Leaves: node_modules/, build/setup-apt.log, build/setup-npm.log.
#
# Exit code: 0 when all is there, 1 otherwise.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p build

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# The packages (in $missing) whose command or file is not there.
missing=()
need() { # PACKAGE COMMAND
  command -v "$2" >/dev/null || missing+=("$1")
}

# Runs a command as root. Fails when that takes a password.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

may_install() {
  command -v apt-get >/dev/null || return 1
  [ "$(id -u)" -eq 0 ] || { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }
}

apt_install() { # PACKAGE...
  {
    as_root apt-get update || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
  } >>build/setup-apt.log 2>&1 </dev/null
}

if [ "${1:-}" = tools ]; then
  shift
  PATH=$PATH:/usr/sbin
  while [ "$#" -gt 0 ]; do need "$1" "$2"; shift 2; done
  [ "${#missing[@]}" -gt 0 ] || exit 0
  may_install || die "missing: ${missing[*]}; install them (here it takes root and apt-get)"
  say "installing ${missing[*]}"
  apt_install "${missing[@]}" || die "apt-get could not install ${missing[*]}; see build/setup-apt.log"
  exit 0
fi

command -v node >/dev/null || die 'Node.js is missing; install version 20 or later'
command -v npm >/dev/null || die 'npm is missing; install it with Node.js 20 or later'
major=$(node -p 'process.versions.node.split(".")[0]')
[ "$major" -ge 20 ] || die "Node.js $(node -p process.version) is too old; install version 20 or later"

need make make
need gcc cc
need g++ c++
need python3 python3
if [ "${#missing[@]}" -gt 0 ]; then
  may_install || die "missing: ${missing[*]}; install them (here it takes root and apt-get)"
  say "installing ${missing[*]}"
  apt_install "${missing[@]}" || die "apt-get could not install ${missing[*]}; see build/setup-apt.log"
fi

# Not needed, but used where they are there: mdns is compiled with the headers of the system's DNS-SD, some tests compare
# with another WBXML codec and with nginx, speak mDNS with Avahi in network namespaces, make certificates, and check the
# shell scripts. Tests that miss a tool are skipped, and say so.
missing=()
need libwbxml2-utils wbxml2xml
need openssl openssl
need nginx-light nginx
need avahi-daemon avahi-daemon
need avahi-utils avahi-browse
need dbus dbus-daemon
need iproute2 ip
need shellcheck shellcheck
dns_sd_header=$(find /usr/include -maxdepth 2 -name dns_sd.h -print -quit 2>/dev/null || true)
[ -n "$dns_sd_header" ] || missing+=(libavahi-compat-libdnssd-dev)
if [ "${#missing[@]}" -gt 0 ] && may_install; then
  say "installing ${missing[*]}"
  apt_install "${missing[@]}" || say "warning: apt-get could not install ${missing[*]}; see build/setup-apt.log"
fi

say 'installing packages with npm ci (the native addons are compiled: one to three minutes)'
if ! npm ci --no-progress >build/setup-npm.log 2>&1 </dev/null; then
  tail -n 20 build/setup-npm.log >&2
  die 'npm ci failed; all of its output is in build/setup-npm.log'
fi
[ -d node_modules/mdns ] ||
  say 'warning: the optional addon mdns could not be built (libavahi-compat-libdnssd-dev, Node.js before 24); all else works'
