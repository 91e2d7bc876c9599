#!/usr/bin/env bash
# tests/examples/scope-conn.sh: scope-conn from outside: each connection ends as it says.
#
# Environment: BUILD (build).  Prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 2
conn=$(realpath "${BUILD:-build}/bin/scope-conn") || exit 2
unset SCOPE_WORKERS SCOPE_SEED
echo 1..3
count=0

# check WORKERS: what it prints with so many.
check() {
	local out

	count=$((count + 1))
	if out=$(SCOPE_WORKERS=$1 "$conn" 2>&1) && [ "$out" = "$want" ]; then
		echo "ok $count - with $1 workers"
	else
		echo "not ok $count - with $1 workers"
		echo "$out" | sed 's/^/# /'
	fi
}

want='good: close gives 0 after 3 pings
bad: close gives -104 after 2 pings
forgotten: 3 pings, the session gives 0'
check 1
check 2
check 4
