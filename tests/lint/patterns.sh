#!/bin/sh
# tests/lint/patterns.sh: the blocks of docs/patterns.md marked "c tested" are lines of the test
# that runs them, in their order.
cd "${1:-.}" || exit 2
awk '
FNR == NR { line[FNR] = $0; count = FNR; next }
/^```c tested$/ { inside = 1; blocks++; at = 0; next }
/^```/ { inside = 0; next }
inside && !/^$/ {
	while (++at <= count && line[at] != $0)
		;
	if (at > count) {
		printf "docs/patterns.md:%d: not a line of the test here: %s\n", FNR, $0
		bad = 1
		inside = 0
	}
}
END { exit bad || !blocks }' tests/api/test_pattern.c docs/patterns.md
