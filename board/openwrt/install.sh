#!/bin/sh
#
# install.sh: lays the files of the package `dmgw` into a root, for OpenWrt's build and for `make package` alike.
#
#   install.sh BUILT ROOT     BUILT: build/board/NAME, as `make firmware BOARD=NAME` leaves it
#
# The package's `usr/lib/dmgw` is BUILT/app; what belongs to the board is made of its profile by `make firmware`:
# BUILT/board.json, node-flags, uci-keys and dmgw.config.
set -eu

[ "$#" -eq 2 ] || { echo 'usage: install.sh BUILT ROOT' >&2; exit 2; }
built=$1
root=$2
files=$(dirname "$0")/dmgw/files

put() { # MODE FROM TO
	install -D -m "$1" "$2" "$root/$3"
}

mkdir -p "$root/usr/lib/dmgw"
cp -R "$built/app/." "$root/usr/lib/dmgw/"
chmod -R u=rwX,go=rX "$root/usr/lib/dmgw"
put 0644 "$files/uci.sh" usr/lib/dmgw/uci.sh
put 0644 "$files/json.awk" usr/lib/dmgw/json.awk
put 0644 "$built/uci-keys" usr/lib/dmgw/uci-keys
put 0644 "$built/board.json" usr/share/dmgw/board.json
put 0644 "$built/node-flags" usr/share/dmgw/node-flags
put 0755 "$files/dmgw.sh" usr/bin/dmgw
put 0755 "$files/dmgw.init" etc/init.d/dmgw
put 0755 "$files/dmgw.defaults" etc/uci-defaults/60-dmgw
put 0644 "$files/dmgw.upgrade" lib/upgrade/dmgw.sh
put 0600 "$built/dmgw.config" etc/config/dmgw
