# shellcheck shell=sh
# For tests: in the place of OpenWrt's /lib/functions/network.sh: a LAN and, where STAND_IN_WAN is set, a WAN.

# As OpenWrt's, it goes on with what it has read once, until that is dropped. Here: the first address of the LAN.
network_flush_cache() { unset __NETWORK_CACHE; }

network_get_subnets() { # VARIABLE NETWORK
	case $2 in
	lan) eval "$1=\${__NETWORK_CACHE:-192.168.7.1/24}" ;;
	guest) eval "$1='10.7.0.1/16 10.8.0.1/16'" ;;
	*) return 1 ;;
	esac
}

network_get_subnets6() { # VARIABLE NETWORK
	[ "$2" = lan ] || return 1
	eval "$1='fd00:7::1/64'"
}

network_get_device() { # VARIABLE NETWORK
	case $2 in
	lan | guest) eval "$1=br-$2" ;;
	*) return 1 ;;
	esac
}

network_find_wan() { # VARIABLE
	[ -n "${STAND_IN_WAN:-}" ] || return 1
	eval "$1=wan"
}

network_get_ipaddr() { # VARIABLE NETWORK
	[ "$2" = wan ] || return 1
	eval "$1=\$STAND_IN_WAN"
}
