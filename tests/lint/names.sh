#!/bin/sh
# tests/lint/names.sh: the libraries define no names but their own.
#
# A hidden symbol of an archive collides with a program's own all the same, so the archive
# may define scope_* and sc_* only; the shared library exports exactly what SCOPE_API declares.
cd "${1:-.}" || exit 2
build=${BUILD:-build}
bad=0

foreign=$(nm -g --defined-only "$build/libscope.a" |
	awk 'NF == 3 && $3 !~ /^(scope|sc)_/ { print $3 }')
if [ -n "$foreign" ]; then
	echo "libscope.a defines names of others:" $foreign
	bad=1
fi

list=$(mktemp -d) || exit 2
trap 'rm -rf "$list"' EXIT
awk '
/^SCOPE_API / { declaration = "" ; inside = 1 }
inside {
	declaration = declaration $0
	if ($0 !~ /\(/ && $0 !~ /;/)
		next
	inside = 0
	sub(/[(;].*/, "", declaration)
	sub(/.*[ *]/, "", declaration)
	print declaration
}' api/*.h | sort -u >"$list/declared"
nm -D --defined-only "$build/libscope.so.0" |
	awk '$2 != "A" { print $3 }' | sort -u >"$list/exported"
for name in $(comm -23 "$list/declared" "$list/exported"); do
	echo "libscope.so does not export $name, which a header declares"
	bad=1
done
for name in $(comm -13 "$list/declared" "$list/exported"); do
	echo "libscope.so exports $name, which no header declares"
	bad=1
done
exit $bad
