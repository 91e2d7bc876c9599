#!/bin/sh
# tests/lint/errno.sh: every errno value that a public comment promises has a test.
#
# For " *   -ECANCELED  ..." above scope_spawn, some test is called ..._ecanceled and its file
# calls scope_spawn.
cd "${1:-.}" || exit 2
awk '
/^\/\*\*/ { count = 0 }
match($0, /^ \*   -E[A-Z]+/) { value[++count] = substr($0, RSTART + 6, RLENGTH - 6) }
match($0, /^SCOPE_API .*[ *](scope_[a-z_]+)\(/) {
	name = $0
	sub(/\(.*/, "", name)
	sub(/.*[ *]/, "", name)
	for (i = 1; i <= count; i++)
		print name, value[i]
	count = 0
}' api/*.h | {
	bad=0
	while read -r name value; do
		low=$(echo "$value" | tr '[:upper:]' '[:lower:]')
		[ -n "$(grep -rlE "_$low[,)]" tests --include='*.c' |
			xargs -r grep -l "$name(")" ] || {
			echo "api: no test of $name returning -$value (name it ..._$low)"
			bad=1
		}
	done
	exit $bad
}
