#!/bin/sh
# The command line. Where it is told nothing else it uses the configuration that the init script has made of
# /etc/config/dmgw, root the one that is root's, and the board's profile. `ddf` describes a router that has none yet, too.
# shellcheck disable=SC2046 # flags, one a word
root=${IPKG_INSTROOT:-}
config=$root/var/run/dmgw.root.json
[ -r "$config" ] || config=$root/var/run/dmgw.json
case " $* " in
*' --config'* | *' --socket'* | *' --help '* | *' -h '* | ' config keys '*) ;;
' ddf'*' --board'*) ;;
*) case "${1:-}" in '' | help | version | compile | -*) ;; *)
	if [ "$1" != ddf ] || [ -r "$config" ]; then set -- "$@" --config "$config"; fi
	set -- "$@" --board "$root/usr/share/dmgw/board.json" ;;
esac ;;
esac
# What a sysupgrade has kept would come back.
case " $* " in ' factory-reset '*'--yes '*) rm -rf "$root/etc/dmgw/kept" 2>/dev/null ;; esac
exec "$root/usr/bin/node" $(cat "$root/usr/share/dmgw/node-flags") "$root/usr/lib/dmgw/dmgw.cjs" "$@"
