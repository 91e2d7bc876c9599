#!/usr/bin/env bash
# tests/tools.sh: a checker finds the error that was planted for it, and nothing in its twin.
#
# Usage: tests/tools.sh tsan|asan|valgrind PROGRAM     PROGRAM: tests/tools/planted.c, so built
# MEMCHECK is the command that runs a program under memcheck.
# Prints TAP.  Without this, a checker that sees no tasks would pass every test.
set -u
program=$2
case $1 in
tsan) wrong=race right=ordered report="data race" ;;
asan) wrong=dead right=alive report="stack-use-after-scope" ;;
valgrind) wrong=unset right=set report="depends on uninitialised value" ;;
*) exit 2 ;;
esac

# Standard error of the program in case $1 with $2 workers.
run() {
	local tool=
	[[ $program != */valgrind/* ]] || tool="$MEMCHECK --error-exitcode=9"
	timeout 60 $tool "$program" "$1" "$2" 2>&1 >/dev/null
}

# A race is one only if two workers came to it: on a busy machine that may take some runs.
run_wrong() {
	local turn text

	for turn in 1 2 3 4 5 6 7 8; do
		text=$(run $wrong 2) || break
	done
	echo "$text"
	[ -z "$text" ]
}

echo 1..2
text=$(run_wrong) && echo "not ok - $1 lets $wrong pass" || {
	if [[ $text == *"$report"* && $text == *planted.c* ]]; then
		echo "ok - $1 finds $wrong"
	else
		printf 'not ok - %s stops at something else\n%s\n' "$1" "$text" | sed '2,$s/^/# /'
	fi
}
text=$(run $right 2) && [ -z "$text" ] && echo "ok - $1 is content with $right" || {
	printf 'not ok - %s complains of %s\n%s\n' "$1" "$right" "$text" | sed '2,$s/^/# /'
}
