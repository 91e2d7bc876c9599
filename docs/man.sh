#!/bin/sh
# docs/man.sh: writes a manual page for each public function from its comment.
#
# Usage: docs/man.sh VERSION DIRECTORY HEADER...
# A comment is /** ... */ before SCOPE_API: paragraphs of behaviour, then fixed lines
# ("name   text" for parameters, "Cancellation point", "Thread safety", "Cost", "Returns")
# and errno lines ("  -EXXX  text").
version=$1 directory=$2
shift 2
exec awk -v version="$version" -v directory="$directory" '
function escaped(s) {
	gsub(/\\/, "\\\\e", s)
	gsub(/-/, "\\-", s)
	gsub(/`/, "", s)
	if (s ~ /^[.\x27]/)
		s = "\\\\&" s
	return s
}
function trimmed(s) {
	gsub(/[ \t]+/, " ", s)
	sub(/^ /, "", s)
	sub(/ $/, "", s)
	return s
}
# The prototype in lines of at most 72 columns, the further ones below its first parameter.
function folded(prototype,   text, line, indent, n, i, part) {
	indent = sprintf("%*s", index(prototype, "("), "")
	n = split(prototype, part, /, /)
	line = part[1]
	for (i = 2; i <= n; i++) {
		if (length(line ", " part[i]) > 72) {
			text = text ".B \"" line ",\"\n"
			line = indent part[i]
		} else
			line = line ", " part[i]
	}
	return text ".B \"" line "\"\n"
}
# The page of function `name`, from comment[1..lines] and `prototype`.
function page(   file, i, s, summary, part, text, errors, notes, parameters, open, n, body) {
	file = directory "/" name ".3"
	n = split(FILENAME, body, "/")
	text = errors = notes = parameters = ""
	part = "text"
	for (i = 1; i <= lines; i++) {
		s = comment[i]
		if (match(s, /^  -E[A-Z0-9]+ +/)) {
			part = "error"
			match(s, /-E[A-Z0-9]+/)
			errors = errors ".TP\n.B \\-" substr(s, RSTART + 1, RLENGTH - 1) "\n" \
				escaped(trimmed(substr(s, RSTART + RLENGTH))) "\n"
		} else if (part == "error" && s ~ /^    /)
			errors = errors escaped(trimmed(s)) "\n"
		else if (s ~ /^(Cancellation point|Not a cancellation point|Thread safety|Cost)/) {
			part = "note"
			notes = notes ".PP\n" escaped(trimmed(s)) "\n"
		} else if (s ~ /^Returns / || (part == "error" && s != "")) {
			part = "returns"
			errors = errors ".PP\n" escaped(trimmed(s)) "\n"
		} else if (match(s, /^[a-z_]+  +/)) {
			part = "parameter"
			parameters = parameters ".TP\n.I " trimmed(substr(s, 1, RLENGTH)) "\n" \
				escaped(trimmed(substr(s, RLENGTH + 1))) "\n"
		} else if (s == "") {
			if (part == "text" && text != "")
				text = text ".PP\n"
			else
				part = "text"
		} else if (part == "returns")
			errors = errors escaped(trimmed(s)) "\n"
		else if (part == "note")
			notes = notes escaped(trimmed(s)) "\n"
		else if (part == "parameter")
			parameters = parameters escaped(trimmed(s)) "\n"
		else
			text = text escaped(trimmed(s)) "\n"
	}
	sub(/\.PP\n$/, "", text)
	summary = text
	gsub(/\n(\.PP\n)?/, " ", summary)
	# The first clause; dots within a range end none.
	if (match(summary, /[:;] |[^.]\. /))
		summary = substr(summary, 1, RSTART - (substr(summary, RSTART, 1) ~ /[:;]/))
	printf ".TH %s 3 \"\" \"libscope %s\" \"libscope\"\n", toupper(name), version >file
	summary = tolower(substr(summary, 1, 1)) substr(summary, 2)
	printf ".SH NAME\n%s \\- %s\n", name, summary >file
	printf ".SH SYNOPSIS\n.nf\n.B #include <%s>\n.PP\n%s.fi\n", body[n], folded(prototype) >file
	printf ".SH DESCRIPTION\n%s", text >file
	if (parameters != "")
		printf ".SH PARAMETERS\n%s", parameters >file
	if (notes != "")
		printf ".SH NOTES\n%s", notes >file
	if (errors != "")
		printf ".SH ERRORS\n%s", errors >file
	printf ".SH SEE ALSO\nThe header\n.I %s\ncarries the whole contract.\n", body[n] >file
	close(file)
}
FNR == 1 { inside = declaring = lines = 0 }
/^\/\*\*/ {
	inside = 1
	lines = 0
	sub(/^\/\*\*[ ]?/, "")
	if ($0 == "")
		next
	$0 = " * " $0
}
inside {
	over = sub(/[ ]*\*\/[ ]*$/, "")
	sub(/^ \*[ ]?/, "")
	if (!(over && $0 == ""))
		comment[++lines] = $0
	if (over)
		inside = 0
	next
}
/^SCOPE_API / { declaring = 1; prototype = "" }
declaring {
	if ($0 ~ /^#|^[ \t]*__attribute__|^[ \t]*;$/)
		next
	sub(/ SCOPE_QUERY;$/, ";")
	prototype = prototype " " $0
	if ($0 !~ /\)[ ]*;?$/)
		next
	declaring = 0
	prototype = trimmed(prototype)
	sub(/^SCOPE_API /, "", prototype)
	sub(/;?$/, ";", prototype)
	name = prototype
	sub(/\(.*/, "", name)
	sub(/.*[ *]/, "", name)
	if (lines)
		page()
	lines = 0
}
' "$@"
