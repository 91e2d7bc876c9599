#!/usr/bin/env bash
# tests/examples/scope-seeds.sh: scope-seeds from outside: it finds the bug, a seed shows it
# again with the same trace, and the fixed pool passes.
#
# Environment: BUILD (build).  Prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 2
seeds=$(realpath "${BUILD:-build}/bin/scope-seeds") || exit 2
room=$(mktemp -d) || exit 2
trap 'rm -rf "$room"' EXIT
cd "$room" || exit 2
unset SCOPE_WORKERS SCOPE_SEED
echo 1..4
count=0

# check NAME STATUS COMMAND...: its output goes to the file "out".
check() {
	local name=$1 want=$2 got
	shift 2
	count=$((count + 1))
	"$@" >out 2>&1
	got=$?
	if [ $got -eq "$want" ]; then
		echo "ok $count - $name"
	else
		echo "not ok $count - $name"
		sed 's/^/# /' out
		echo "# status $got"
	fi
}

check "finds a seed that overdraws the pool" 1 "$seeds"
mv out first
check "the ordinary schedule does not" 0 grep -q '^the ordinary schedule: at most 2 of 2' first
read -r seed < <(sed -n 's/^again: scope-seeds //p' first)
"$seeds" "$seed" >again
found=$(grep '^seed ' first)
check "that seed does so again, with the same trace" 0 grep -qxF "${found:-nothing}" again
check "no seed overdraws the fixed pool" 0 "$seeds" --fixed
