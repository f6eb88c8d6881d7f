# Makes JSON of lines `KEY <tab> TYPE <tab> VALUE`. A KEY is a place such as accounts[0].client.secret; a line of type
# `list` makes a list that is empty, and a line of type `item` adds a text to the list at its KEY. Lines may stand in any
# order; members appear in the order of their first line.
BEGIN { FS = "\t" }

{
	path = $1
	gsub(/\[/, ".", path)
	gsub(/\]/, "", path)
	if ($2 == "list") kind[path] = "list"
	else if ($2 == "item") {
		kind[path] = "list"
		add(path, count[path] + 0)
		value[path SUBSEP count[path] - 1] = text($3)
		next
	} else value[path] = json($2, $3)
	parents(path, $1)
}

END { print object("") }

# Every place on the way to a path is a member of the one above it.
function parents(path, given, parts, n, i, at, above) {
	n = split(path, parts, ".")
	above = ""
	for (i = 1; i <= n; i++) {
		at = (i == 1) ? parts[1] : above "." parts[i]
		if (!(at in known)) {
			known[at] = 1
			members[above] = members[above] (members[above] == "" ? "" : "\n") parts[i]
			if (parts[i] ~ /^[0-9]+$/) kind[above] = "objects"
		}
		above = at
	}
}

function add(path, index_) {
	parents(path, path)
	count[path] = index_ + 1
}

function object(at, names, n, i, inner, out) {
	n = split(members[at], names, "\n")
	out = ""
	for (i = 1; i <= n; i++) {
		inner = (at == "") ? names[i] : at "." names[i]
		out = out (i > 1 ? "," : "") (kind[at] == "objects" ? "" : text(names[i]) ":") render(inner)
	}
	return kind[at] == "objects" ? "[" out "]" : "{" out "}"
}

function render(at, i, out) {
	if (kind[at] != "list") return (at in value) ? value[at] : object(at)
	out = ""
	for (i = 0; i < count[at]; i++) out = out (i > 0 ? "," : "") value[at SUBSEP i]
	return "[" out "]"
}

# What is no number or no flag stays text, for the daemon to say so.
function json(type, given) {
	if (type == "number" && given ~ /^-?(0|[1-9][0-9]*)$/) return given
	if (type == "flag" && given ~ /^(1|on|true|yes|enabled)$/) return "true"
	if (type == "flag" && given ~ /^(0|off|false|no|disabled)$/) return "false"
	return text(given)
}

# Sign by sign: what awks make of backslashes in the replacement of gsub differs.
function text(given, i, sign, out) {
	out = ""
	for (i = 1; i <= length(given); i++) {
		sign = substr(given, i, 1)
		out = out (sign == "\\" || sign == "\"" ? "\\" sign : sign)
	}
	return "\"" out "\""
}
