#!/bin/sh
# tests/lint/scenarios.sh: each test that docs/testing.md names as suite/name exists.
cd "${1:-.}" || exit 2
awk '
FILENAME == "docs/testing.md" {
	line = $0
	while (match(line, /`[a-z]+\/[A-Za-z0-9_]+`/)) {
		name = substr(line, RSTART + 1, RLENGTH - 2)
		line = substr(line, RSTART + RLENGTH)
		if (name !~ /^(tests|runtime|build)\//)
			named[name] = FNR
	}
	next
}
match($0, /^Test\([a-z]+, *[A-Za-z0-9_]+/) {
	name = substr($0, RSTART + 5, RLENGTH - 5)
	sub(/, */, "/", name)
	there[name] = 1
}
END {
	for (name in named)
		if (!(name in there)) {
			printf "docs/testing.md:%d: no test is called %s\n", named[name], name
			bad = 1
		}
	exit bad
}' docs/testing.md tests/*/*.c
