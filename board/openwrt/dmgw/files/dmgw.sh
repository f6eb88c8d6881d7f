#!/bin/sh
# The command line. Where it is told nothing else it uses the configuration that the init script has made of
# /etc/config/dmgw, and the board's profile.
# shellcheck disable=SC2046 # flags, one a word
root=${IPKG_INSTROOT:-}
case " $* " in
*' --config'* | *' --socket'* | *' --help '* | *' -h '* | ' config keys '*) ;;
*) case "${1:-}" in '' | help | version | compile | ddf | -*) ;; *)
	set -- "$@" --config "$root/var/run/dmgw/dmgw.json" --board "$root/usr/share/dmgw/board.json" ;;
esac ;;
esac
exec "$root/usr/bin/node" $(cat "$root/usr/share/dmgw/node-flags") "$root/usr/lib/dmgw/dmgw.cjs" "$@"
