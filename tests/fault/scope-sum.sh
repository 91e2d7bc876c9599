#!/usr/bin/env bash
# tests/fault/scope-sum.sh: scope-sum while the runtime below it is refused one thing after the
# other: it ends, and either its manifest is right or its status and standard error say no.
#
# Usage: tests/fault/scope-sum.sh PROGRAM   scope-sum with tests/fault/inject.  Prints TAP.
set -u
program=$(realpath "$1") || exit 2
export LC_ALL=C
room=$(mktemp -d) || exit 2
trap 'rm -rf "$room"' EXIT
cd "$room" || exit 2

mkdir -p tree/a/b tree/c
for i in 1 2 3 4 5 6; do
	head -c "$((i * 70000))" /dev/zero >"tree/a/$i"
	echo "$i" >"tree/a/b/$i"
	echo "$i $i" >"tree/c/$i"
done
find tree -type f -print0 | sort -z | xargs -0 sha256sum >want

# Once, with the call of $kind that $nth says refused; whether all is as it should be.
run_once() {
	local status

	rm -f mark got
	FAULT_KIND=$kind FAULT_NTH=$nth FAULT_MARK=$room/mark FAULT_STAY=$stay \
		timeout -k 5 20 "$program" -j 2 -o got tree >out 2>err </dev/null
	status=$?
	if [ $status -eq 0 ] && cmp -s want got; then
		return 0
	fi
	# Complete or not at all.
	if [ $status -eq 1 ] && [ -s err ] && [ ! -e got ]; then
		return 0
	fi
	echo "# call $nth of $kind${stay:+ and all later ones}: status $status"
	sed 's/^/# /' err
	return 1
}

echo 1..10
for kind in thread reserve commit guard alloc; do
	for stay in '' 1; do
		name="scope-sum::${kind}_fails${stay:+_for_good}"
		for ((nth = 0; nth < 3000; nth++)); do
			run_once || { echo "not ok - $name"; continue 2; }
			[ -e mark ] || break
		done
		echo "# $nth runs"
		[ $nth -gt 0 ] && echo "ok - $name" || echo "not ok - $name"
	done
done
