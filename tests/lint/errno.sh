#!/bin/sh
# tests/lint/errno.sh: every errno value that a public comment promises has a test.
#
# For " *   -ECANCELED  ..." above scope_spawn there is a test called ..._ecanceled which calls
# scope_spawn and compares with ECANCELED, itself or through functions of its file or a header.
cd "${1:-.}" || exit 2
awk '
# ---- the headers: what is promised
FNR == 1 { header = FILENAME ~ /^api\//; depth = 0; head = ""; name = "" }
header && /^\/\*\*/ { count = 0 }
header && match($0, /^ \*   -E[A-Z]+/) { value[++count] = substr($0, RSTART + 6, RLENGTH - 6) }
header && match($0, /^SCOPE_API .*[ *](scope_[a-z_]+)\(/) {
	call = $0
	sub(/\(.*/, "", call)
	sub(/.*[ *]/, "", call)
	for (i = 1; i <= count; i++) {
		promised[++promises] = call
		errno[promises] = value[i]
	}
	count = 0
}
header { next }

# ---- the tests: each function, the words in it, those that are tests.  A function starts with
# a brace in the first column and ends with one.
/^\{/ {
	name = head
	istest = sub(/^Test\([a-z0-9_]+, */, "", name)
	if (!istest)
		sub(/\(.*/, "", name)
	sub(/[,)].*/, "", name)
	sub(/.*[ *]/, "", name)
	name = (FILENAME ~ /\.h$/ ? "" : FILENAME) ":" name
	if (istest)
		tests[++all] = name
	next
}
/^\}/ { name = head = ""; next }
name != "" {
	line = $0
	while (match(line, /[A-Za-z_][A-Za-z0-9_]*/)) {
		word = substr(line, RSTART, RLENGTH)
		line = substr(line, RSTART + RLENGTH)
		if (!((name, word) in has)) {
			has[name, word] = 1
			words[name] = words[name] " " word
		}
	}
	next
}
/^[A-Za-z]/ { head = $0 }

# Marks what a function reaches within its file and the headers: its own words and those of what
# it names.
function reach(test, fn,   list, n, i, file) {
	file = fn
	sub(/:.*/, ":", file)
	n = split(words[fn], list, " ")
	for (i = 1; i <= n; i++) {
		if ((test, list[i]) in reached)
			continue
		reached[test, list[i]] = 1
		if ((file list[i]) in words)
			reach(test, file list[i])
		else if ((":" list[i]) in words)
			reach(test, ":" list[i])
	}
}
END {
	for (t = 1; t <= all; t++)
		reach(tests[t], tests[t])
	for (p = 1; p <= promises; p++) {
		suffix = "_" tolower(errno[p]) "$"
		found = 0
		for (t = 1; t <= all && !found; t++)
			found = tests[t] ~ suffix && ((tests[t], promised[p]) in reached) && \
				((tests[t], errno[p]) in reached)
		if (!found) {
			printf "api: no test of %s returning -%s (name it ..._%s)\n", promised[p], \
				errno[p], tolower(errno[p])
			bad = 1
		}
	}
	exit bad
}' api/*.h $(find tests -name '*.[ch]')
