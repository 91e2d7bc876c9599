#!/usr/bin/env bash
# tests/examples/report.sh: a program that fails says what README.md says that it does: with
# debug information, with symbols alone, and stripped.
#
# Environment: BUILD (build).  Prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=$(realpath "${BUILD:-build}") || exit 2
api=$(realpath api) || exit 2
room=$(mktemp -d) || exit 2
trap 'rm -rf "$room"' EXIT
# The first block of the README that such a report starts.
awk '/^```/ { inside = !inside; first = inside; next }
first && /^libscope: \/crawl/ { wanted = 1 }
{ first = 0 }
!inside && wanted { exit }
inside && wanted { print }' README.md >"$room/expected"
cp tests/examples/crawl.c "$room"
cd "$room" || exit 2
unset SCOPE_WORKERS SCOPE_SEED
echo 1..4
count=0

# check NAME COMMAND...: one TAP line, with the command's output if it failed.
check() {
	local name=$1
	shift
	count=$((count + 1))
	if "$@" >output 2>&1; then
		echo "ok $count - $name"
	else
		echo "not ok $count - $name"
		sed 's/^/# /' output
	fi
}

compile() {
	${CC:-cc} -std=c11 -Wall -Wextra -Werror "$@" -O2 -I"$api" crawl.c "$build/libscope.a" \
		-luv -lpthread
}
says_what_readme_says() {
	compile -g -o crawl && ./crawl 2>said && diff expected said
}
# What it says with its sites and names in the place of those in the README.
says_but() {
	./crawl 2>said && sed "$@" expected >patterns && test -s patterns &&
		paste -d '\n' patterns said | while read -r pattern && read -r line; do
			grep -qxE -- "$pattern" <<<"$line" || { echo "$pattern: $line"; return 1; }
		done
}
check "the README shows what it says" test -s expected
check "with debug information it gives lines" says_what_readme_says
compile -g0 -o crawl
check "with symbols alone it gives offsets" says_but -e 's/[()]/\\&/g' \
	-e 's/at \(.*\) \\(crawl.c:[0-9]*\\)/at \1\\+0x[0-9a-f]+/'
strip crawl
check "stripped it gives offsets in the file" says_but -e 's/[()]/\\&/g' \
	-e 's/at fetch \\(crawl.c:[0-9]*\\)/at crawl\\+0x[0-9a-f]+/' \
	-e 's%/\(crawl\|site\|fetch\)%/crawl\\+0x[0-9a-f]+%g'
