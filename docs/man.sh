#!/bin/sh
# docs/man.sh: writes a manual page for each public function, struct and enum from its comment,
# and one for each header.
#
# Usage: docs/man.sh VERSION DIRECTORY HEADER...
# NAME.7 of NAME.h: its first comment, and what it declares, by its ruled headings, with the
# comments there that begin with a line "/*".
# And libscope.7: docs/libscope.7 with the list of the calls in the place of its line "CALLS".
# A comment is /** ... */ before SCOPE_API: paragraphs of behaviour, then fixed lines
# ("name   text" for parameters, "Cancellation point", "Thread safety", "Cost", "Returns")
# and errno lines ("  -EXXX  text").
version=$1 directory=$2
shift 2
awk -v version="$version" -v directory="$directory" '
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
	printf ".SH SYNOPSIS\n.nf\n.B #include <%s>\n.PP\n%s", body[n], folded(prototype) >file
	# A type of the same name has no page of its own.
	if (name in definition)
		printf ".PP\n%s", definition[name] >file
	printf ".fi\n" >file
	printf ".SH DESCRIPTION\n%s", text >file
	if (parameters != "")
		printf ".SH PARAMETERS\n%s", parameters >file
	if (notes != "")
		printf ".SH NOTES\n%s", notes >file
	if (errors != "")
		printf ".SH RETURN VALUE\n%s", errors >file
	printf ".SH SEE ALSO\n.BR libscope (7)\n.PP\nThe header\n.I %s\n", body[n] >file
	printf "carries the whole contract.\n" >file
	close(file)
	list(body[n], name, summary)
}
# A line of the overviews.
function list(header, name, summary,   line) {
	if (header != listed) {
		line = header
		sub(/\.h$/, "", line)
		printf ".SS %s\n.BR %s (7)\nintroduces it.\n", header, line >calls
		listed = header
	}
	line = sprintf(".TP\n.BR %s (3)\n%s\n", name, summary)
	printf "%s", line >calls
	in_header[name] = 1
	tell(line)
}
# What the page of a header says: at first in its description, then of its calls.  A heading
# waits for what is below it.
function tell(s) {
	if ((heading != "" || s ~ /^\.TP/) && !told_calls++)
		printf ".SH CALLS\n" >overview
	if (heading != "")
		printf ".SS %s\n", heading >overview
	heading = ""
	printf "%s", s >overview
}
# Paragraphs from remark[first..remarks]; what is indented stays as it is.
function tell_remark(first,   i, s, verbatim) {
	for (i = first; i <= remarks; i++) {
		s = remark[i]
		if (s ~ /^[ \t]/ && !verbatim)
			tell(".nf\n")
		if (verbatim && s !~ /^[ \t]/)
			tell(".fi\n")
		verbatim = s ~ /^[ \t]/
		tell(s == "" ? ".PP\n" : escaped(verbatim ? s : trimmed(s)) "\n")
	}
	if (verbatim)
		tell(".fi\n")
}
# The page of a header, as far as its first comment goes.
function begin_header(   n, body, name, summary, i) {
	n = split(FILENAME, body, "/")
	name = body[n]
	sub(/\.h$/, "", name)
	overview = directory "/" name ".7"
	told_calls = types = 0
	heading = ""
	delete in_header
	summary = remark[1]
	for (i = 2; i <= remarks && remark[i] != ""; i++)
		summary = summary " " remark[i]
	sub(/^[^:]*: /, "", summary)
	sub(/\.$/, "", summary)
	printf ".TH %s 7 \"\" \"libscope %s\" \"libscope\"\n", toupper(name), version >overview
	printf ".SH NAME\n%s \\- %s\n", name, escaped(trimmed(summary)) >overview
	printf ".SH SYNOPSIS\n.nf\n.B #include <%s>\n.fi\n", body[n] >overview
	printf ".SH DESCRIPTION\n" >overview
	if (i > remarks)
		printf "%s.\n", toupper(substr(summary, 1, 1)) escaped(substr(summary, 2)) >overview
	tell_remark(i + 1)
}
function end_header(   i, refs) {
	for (i = 1; i <= types; i++)
		if (!(type[i] in in_header))
			refs = refs ".BR " type[i] " (3),\n"
	printf ".SH SEE ALSO\n%s.BR libscope (7)\n", refs >overview
	close(overview)
}
# The page of a struct or an enum: its comment, and its definition with the comments inside.
function type_page(   file, i, n, body) {
	file = directory "/" name ".3"
	n = split(FILENAME, body, "/")
	printf ".TH %s 3 \"\" \"libscope %s\" \"libscope\"\n", toupper(name), version >file
	printf ".SH NAME\n%s \\- %s of libscope\n", name, kind >file
	printf ".SH SYNOPSIS\n.nf\n.B #include <%s>\n.PP\n", body[n] >file
	for (i = 1; i <= fields; i++)
		printf "%s\n", escaped(field[i]) >file
	printf ".fi\n" >file
	if (remarks > 0)
		printf ".SH DESCRIPTION\n" >file
	for (i = 1; i <= remarks; i++)
		printf "%s\n", remark[i] == "" ? ".PP" : escaped(trimmed(remark[i])) >file
	definition[name] = ""
	for (i = 1; i <= fields; i++)
		definition[name] = definition[name] escaped(field[i]) "\n"
	printf ".SH SEE ALSO\n.BR libscope (7)\n" >file
	close(file)
	type[++types] = name
}
BEGIN { calls = directory "/calls" }
FNR == 1 && NR > 1 { end_header() }
FNR == 1 { begun = inside = declaring = lines = defining = remarking = remarks = 0 }
# ---- types: a plain comment, and what is defined behind it
/^\/\* ---- / {
	heading = $0
	gsub(/^\/\* -+ | -+ \*\/$/, "", heading)
	next
}
/^\/\*([^*]|$)/ { remarking = 1; remarks = 0; introduces = $0 == "/*" }
remarking {
	s = $0
	over = sub(/[ ]*\*\/[ ]*$/, "", s)
	sub(/^(\/\*| \*)[ ]?/, "", s)
	if (s != "" || remarks > 0)
		remark[++remarks] = s
	if (over) {
		remarking = 0
		while (remarks > 0 && remark[remarks] == "")
			remarks--
		if (!begun++)
			begin_header()
		else if (introduces) {
			tell(".PP\n")
			tell_remark(1)
		}
	}
	next
}
/^(struct|enum) scope[a-z_]* \{$/ {
	kind = $1
	name = $2
	defining = 1
	fields = 0
}
defining {
	field[++fields] = $0
	if ($0 ~ /^\}/) {
		type_page()
		defining = remarks = 0
	}
	next
}
/^$/ || /^SCOPE_API/ || /^\/\*\*/ { remarks = 0 }
# ---- functions
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
END { end_header() }
' "$@" || exit
awk -v version="$version" -v calls="$directory/calls" '
/^CALLS$/ { while ((getline line <calls) > 0) print line; next }
{ sub(/@VERSION@/, version); print }' docs/libscope.7 >"$directory/libscope.7"
rm "$directory/calls"
