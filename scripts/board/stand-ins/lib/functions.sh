# shellcheck shell=sh
# For tests: in the place of OpenWrt's /lib/functions.sh, as far as the package uses it.
# shellcheck disable=SC1090,SC2154 # variables are set by eval

config_load() {
	CONFIG_SECTIONS=''
	CONFIG_COUNT=0
	. "$IPKG_INSTROOT/etc/config/$1"
}

# /etc/config/NAME is read as a script of these three.
config() {
	CONFIG_COUNT=$((CONFIG_COUNT + 1))
	CONFIG_SECTION=${2:-cfg$CONFIG_COUNT}
	CONFIG_SECTIONS="$CONFIG_SECTIONS $CONFIG_SECTION"
	eval "CONFIG_${CONFIG_SECTION}_TYPE=\$1"
}

# As libuci does, it leaves out what is empty.
option() {
	[ -n "$2" ] || return 0
	eval "CONFIG_${CONFIG_SECTION}_$1=\$2"
}

list() {
	eval "length=\$((\${CONFIG_${CONFIG_SECTION}_$1_LENGTH:-0} + 1))"
	eval "CONFIG_${CONFIG_SECTION}_$1_LENGTH=\$length"
	eval "CONFIG_${CONFIG_SECTION}_$1_ITEM$length=\$2"
	eval "CONFIG_${CONFIG_SECTION}_$1=\"\${CONFIG_${CONFIG_SECTION}_$1:+\$CONFIG_${CONFIG_SECTION}_$1 }\$2\""
}

config_get() { # VARIABLE SECTION OPTION [DEFAULT]
	eval "$1=\${CONFIG_$2_$3:-\${4:-}}"
}

config_get_bool() { # VARIABLE SECTION OPTION [DEFAULT]
	config_get stand_in_value "$2" "$3" "${4:-0}"
	case $stand_in_value in
	1 | on | true | yes | enabled) eval "$1=1" ;;
	*) eval "$1=0" ;;
	esac
}

config_foreach() { # FUNCTION TYPE WORD...
	stand_in_function=$1
	stand_in_type=$2
	shift 2
	for stand_in_section in $CONFIG_SECTIONS; do
		config_get stand_in_value "$stand_in_section" TYPE
		[ "$stand_in_value" != "$stand_in_type" ] || "$stand_in_function" "$stand_in_section" "$@"
	done
}

config_list_foreach() { # SECTION OPTION FUNCTION WORD...
	stand_in_list=$1_$2
	stand_in_each=$3
	shift 3
	eval "stand_in_length=\${CONFIG_${stand_in_list}_LENGTH:-0}"
	stand_in_at=1
	while [ "$stand_in_at" -le "$stand_in_length" ]; do
		eval "stand_in_value=\$CONFIG_${stand_in_list}_ITEM$stand_in_at"
		"$stand_in_each" "$stand_in_value" "$@"
		stand_in_at=$((stand_in_at + 1))
	done
}

default_postinst() {
	echo "default_postinst $(basename "$1")" >>"$STAND_IN_CALLS"
}

default_prerm() {
	echo "default_prerm $(basename "$1")" >>"$STAND_IN_CALLS"
}
