#!/bin/sh
# docs/man1.sh: writes a manual page for each example from the comment at the head of its main.c.
#
# Usage: docs/man1.sh VERSION DIRECTORY MAIN_C...
# The comment: "examples/NAME/main.c: what it is." "Usage: ...", paragraphs, lines of options
# ("  -x  text"), "Exit 0: ...; 1: ...".
version=$1 directory=$2
shift 2
awk -v version="$version" -v directory="$directory" '
function escaped(s) {
	gsub(/\\/, "\\\\e", s)
	gsub(/-/, "\\-", s)
	if (s ~ /^[.\x27]/)
		s = "\\\\&" s
	return s
}
FNR == 1 {
	split(FILENAME, path, "/")
	name = path[2]
	file = directory "/" name ".1"
	summary = $0
	sub(/^[^:]*: */, "", summary)
	part = "summary"
	usage = name "\n"
	text = status = ""
	next
}
part == "done" { next }
{
	over = sub(/[ ]*\*\/[ ]*$/, "")
	sub(/^ \*[ ]?/, "")
}
part == "summary" && $0 != "" && $0 !~ /^Usage: / { summary = summary " " $0 }
part == "summary" && $0 == "" { part = "text" }
/^Usage: / {
	part = "usage"
	usage = substr($0, 8) "\n"
	next
}
part == "usage" && $0 != "" {
	sub(/^       /, "")
	usage = usage $0 "\n"
}
/^Exit / {
	part = "status"
	sub(/^Exit /, "")
}
part == "status" && $0 != "" { status = status escaped($0) "\n" }
part == "usage" && $0 == "" {
	part = "text"
	next
}
part == "text" && match($0, /^  +-[^ ]+( [A-Z_]+)?  +/) {
	option = substr($0, 1, RLENGTH)
	gsub(/^ +| +$/, "", option)
	text = text ".TP\n.B " escaped(option) "\n" escaped(substr($0, RLENGTH + 1)) "\n"
	next
}
part == "text" && $0 == "" && !over { text = text ".PP\n"; next }
part == "text" && $0 != "" {
	sub(/^ +/, "")
	text = text escaped($0) "\n"
}
over {
	sub(/\.$/, "", summary)
	sub(/^(\.PP\n)+/, "", text)
	sub(/(\.PP\n)+$/, "", text)
	part = "done"
	printf ".TH %s 1 \"\" \"libscope %s\" \"libscope\"\n", escaped(toupper(name)), version >file
	printf ".SH NAME\n%s \\- %s\n", escaped(name), escaped(summary) >file
	printf ".SH SYNOPSIS\n.nf\n%s.fi\n.SH DESCRIPTION\n%s", escaped(usage), text >file
	if (status != "")
		printf ".SH EXIT STATUS\n%s", status >file
	printf ".SH ENVIRONMENT\n.B SCOPE_WORKERS\nis the number of threads; " >file
	printf "without it, that of the processors.\n" >file
	printf ".SH SEE ALSO\n.BR libscope (7)\n" >file
	close(file)
}' "$@"
