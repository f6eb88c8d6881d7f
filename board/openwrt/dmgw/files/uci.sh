# shellcheck shell=sh
# Turns /etc/config/dmgw into the daemon's configuration, JSON on standard output. To be sourced, behind functions.sh and
# config_load dmgw.
#
# uci-keys beside this file names every key: SECTION OPTION KEY TYPE, where KEY is the daemon's (README) and TYPE one of
# text, number, flag, list. It is made of the daemon's own schema. A `list` section stands for each item of a list:
# `account`, `credential`, `end_device`. What is not set is left to the board's profile. Values are not judged here: the
# daemon does that, in its own words.
# shellcheck disable=SC3043 # ash has local

# shellcheck source=/dev/null # OpenWrt's own
. "${IPKG_INSTROOT:-}/lib/functions/network.sh"

DMGW_KEYS=${IPKG_INSTROOT:-}/usr/lib/dmgw/uci-keys

# One line for the JSON writer: KEY, TYPE and the value, with tabs between them.
dmgw_emit() { # KEY TYPE VALUE
	local value="$3"
	# A line break would begin a new line here; the daemon takes no control characters anyway.
	case $value in *[[:cntrl:]]*) value=$(printf '%s' "$value" | tr '\n\r\t' '   ') ;; esac
	printf '%s\t%s\t%s\n' "$1" "$2" "$value"
}

dmgw_emit_item() { # VALUE KEY
	dmgw_emit "$2" item "$1"
}

# All options of one section. SECTION is its name, TYPE its name in uci-keys, PLACE what stands for [] in the keys.
dmgw_section() { # SECTION TYPE PLACE
	local section="$1" of="$2" place="$3" option key kind value length
	grep "^$of " "$DMGW_KEYS" | while read -r _ option key kind; do
		case "$key" in *'[]'*) key="${key%%'[]'*}[$place]${key#*'[]'}" ;; esac
		if [ "$kind" = list ]; then
			config_get length "$section" "${option}_LENGTH"
			[ -n "$length" ] || continue
			dmgw_emit "$key" list ''
			config_list_foreach "$section" "$option" dmgw_emit_item "$key"
		else
			config_get value "$section" "$option"
			[ -z "$value" ] || dmgw_emit "$key" "$kind" "$value"
		fi
	done
}

dmgw_item_section() { # SECTION TYPE
	dmgw_section "$1" "$2" "$DMGW_ITEM"
	DMGW_ITEM=$((DMGW_ITEM + 1))
}

# The networks of OpenWrt that the LAN is: `list network` in section lan, else lan.
dmgw_lan_networks() {
	local found
	found=$(config_list_foreach lan network echo)
	echo "${found:-lan}"
}

# All networks whose addresses the configuration depends on.
dmgw_networks() {
	local notify
	dmgw_lan_networks
	config_get_bool notify notification enabled 0
	[ "$notify" -eq 0 ] || echo wan
}

# What the section says itself goes before what the network says.
dmgw_unset() { # SECTION OPTION
	local length value
	config_get length "$1" "$2_LENGTH"
	config_get value "$1" "$2"
	[ -z "$length$value" ]
}

# The LAN as it is now: its prefixes, and the devices where images are served and End Devices looked for.
dmgw_lan() {
	local network nets nets6 device prefixes='' devices='' one
	for network in $(dmgw_lan_networks); do
		network_get_subnets nets "$network" && prefixes="$prefixes $nets"
		network_get_subnets6 nets6 "$network" && prefixes="$prefixes $nets6"
		network_get_device device "$network" && devices="$devices $device"
	done
	if dmgw_unset lan prefixes && [ -n "$prefixes" ]; then
		dmgw_emit lan.prefixes list ''
		for one in $prefixes; do dmgw_emit lan.prefixes item "$one"; done
	fi
	[ -n "$devices" ] || return 0
	if dmgw_unset serve interfaces && dmgw_unset serve listen; then
		dmgw_emit serve.interfaces list ''
		for one in $devices; do dmgw_emit serve.interfaces item "$one"; done
	fi
	if dmgw_unset discovery interfaces; then
		dmgw_emit discovery.interfaces list ''
		for one in $devices; do dmgw_emit discovery.interfaces item "$one"; done
	fi
}

# Notifications are listened for on the address that the WAN has, where nothing else is said.
dmgw_wan() {
	local enabled wan address
	config_get_bool enabled notification enabled 0
	[ "$enabled" -eq 1 ] && dmgw_unset notification listen || return 0
	network_find_wan wan && network_get_ipaddr address "$wan" || return 0
	dmgw_emit notification.listen list ''
	dmgw_emit notification.listen item "$address"
}

# Names of the sections that are there once (plain), or once for each item of a list (items).
dmgw_sections() { # KIND
	awk -v kind="$1" '($3 ~ /\[\]/) == (kind == "items") && !seen[$1]++ { print $1 }' "$DMGW_KEYS"
}

dmgw_lines() {
	local type there
	dmgw_section main main ''
	for type in $(dmgw_sections plain); do
		config_get there "$type" TYPE
		[ "$type" = main ] || [ -z "$there" ] || dmgw_section "$type" "$type" ''
	done
	for type in $(dmgw_sections items); do
		DMGW_ITEM=0
		config_foreach dmgw_item_section "$type" "$type"
	done
	network_flush_cache
	dmgw_lan
	dmgw_wan
}

# The daemon's configuration, as JSON.
dmgw_config() {
	dmgw_lines | awk -f "${DMGW_KEYS%/*}/json.awk"
}

# Files that configurations name, alone or in a list, which the jail must show to the daemon; of one that comes and goes, its
# folder.
dmgw_files() { # FILE...
	# Each key and each file of a list in a line of its own, as a board's profile has them already.
	sed 's/\([{,[]\)"/\1\
"/g' "$@" |
		sed -n 's/^ *//; s/^\("[A-Za-z]*":\) /\1/; /^"meteredFile":/ { s/^[^:]*:"\(\/.*\)\/[^"]*".*/\1/p; d }; s/^"[A-Za-z]*File":"\(\/[^"]*\)".*/\1/p; s/^"\(\/[^"]*\)".*/\1/p'
}
