#!/bin/sh
# tests/lint/style.sh: what a reader relies on in every file -- a first line that says what the
# file is for, at most 100 columns, no space at the end of a line, no unfinished marks.
cd "${1:-.}" || exit 2
find api runtime tests perf examples docs .ci Makefile -type f ! -path 'perf/peers/*' \
	\( -name '*.[chS]' -o -name '*.cc' -o -name '*.hpp' -o -name '*.sh' \
	-o -name run -o -name Makefile \) | sort | xargs awk '
function complain(text) {
	printf "%s:%d: %s\n", FILENAME, FNR, text
	bad = 1
}
FNR == 1 { headed = 0 }
FNR <= 2 {
	name = FILENAME
	sub(/^api\//, "", name)
	if (index($0, name ":"))
		headed = 1
	if (FNR == 2 && !headed)
		complain("the first line must be \"" name ": what the file is for\"")
}
/[ \t]$/ { complain("space at the end of the line") }
{
	line = $0
	width = 0
	n = split(line, part, "\t")
	for (i = 1; i < n; i++)
		width = int((width + length(part[i])) / 8 + 1) * 8
	if (width + length(part[n]) > 100)
		complain("more than 100 columns")
}
/[^A-Z](TOD[O]|FIXM[E]|XX[X])[^A-Z]/ { complain("unfinished") }
END { exit bad }'
