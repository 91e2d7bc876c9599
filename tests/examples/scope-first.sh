#!/usr/bin/env bash
# tests/examples/scope-first.sh: scope-first from outside: who wins, when, and who is asked.
#
# Environment: BUILD (build).  Prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 2
first=$(realpath "${BUILD:-build}/bin/scope-first") || exit 2
unset SCOPE_SEED
echo 1..8
count=0

# check NAME STATUS OUTPUT ARGUMENT...: what it prints to its standard output.
check() {
	local name=$1 want=$2 says=$3 out got
	shift 3
	count=$((count + 1))
	out=$("$first" "$@" 2>/dev/null)
	got=$?
	if [ $got -eq "$want" ] && [ "$out" = "$says" ]; then
		echo "ok $count - $name"
	else
		echo "not ok $count - $name"
		echo "# status $got: $out"
	fi
}

check "the quickest wins" 0 "b answered after 20 ms" a:30 b:20 c:3600000
check "who fails does not" 0 "c answered after 40 ms" a:10:fail b:20:fail c:40
check "if all fail there is no winner" 1 "" a:10:fail b:20:fail
check "a hedge is not asked if the first is quick" 0 "a answered after 5 ms" --hedge 10 a:5 b:1
check "a hedge is asked if it is not" 0 "b answered after 11 ms" --hedge 10 a:3600000 b:1
check "who was asked first may still win" 0 "a answered after 15 ms" --hedge 10 a:15 b:20
check "after a failure the next is asked at once" 0 "b answered after 4 ms" --hedge 10 a:3:fail b:1
check "a mirror has a name and a time" 2 "" nothing
