#!/bin/sh
# tests/lint/layers.sh: an include goes only to a layer that layers.txt allows.
#
# Internal includes start with the layer: "base/list.h".  Public headers are <scope.h>,
# <scope_chan.h>, and among themselves "scope.h".
cd "${1:-.}" || exit 2
find api runtime -name '*.[chS]' | sort | xargs awk '
function layer_of(path,   part) {
	split(path, part, "/")
	return part[1] == "api" ? "api" : part[2]
}
BEGIN {
	while ((getline line < "tests/lint/layers.txt") > 0) {
		if (line ~ /^#/ || line == "")
			continue
		n = split(line, field, /[ \t]+/)
		known[field[1]] = 1
		for (i = 1; i <= n; i++)
			allowed[field[1], field[i]] = 1
	}
}
/^[ \t]*#[ \t]*include/ {
	from = layer_of(FILENAME)
	if (match($0, /<scope[a-z_]*\.h>/) || match($0, /"scope[a-z_]*\.h"/))
		path = "api/" substr($0, RSTART + 1, RLENGTH - 2)
	else if (match($0, /"[^"]+"/))
		path = substr($0, RSTART + 1, RLENGTH - 2)
	else
		next
	split(path, part, "/")
	if (!(part[1] in known)) {
		printf "%s:%d: an include starts with a layer: %s\n", FILENAME, FNR, path
		bad = 1
	} else if (!((from, part[1]) in allowed)) {
		printf "%s:%d: layer %s may not include %s\n", FILENAME, FNR, from, path
		bad = 1
	}
}
END { exit bad }'
