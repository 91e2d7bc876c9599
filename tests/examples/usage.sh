#!/usr/bin/env bash
# tests/examples/usage.sh: what each example says to --help, and to options that make no sense.
#
# Environment: BUILD (build).  Prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 2
bin=$(realpath "${BUILD:-build}/bin") || exit 2
count=0

# expect NAME STATUS PATTERN PROGRAM ARGUMENT...: its status, and a line of what it says.
expect() {
	local name=$1 status=$2 pattern=$3 program=$4 said got
	shift 4
	said=$(timeout 20 "$bin/$program" "$@" 2>&1 </dev/null)
	got=$?
	count=$((count + 1))
	if [ $got = "$status" ] && grep -qE -- "$pattern" <<<"$said"; then
		echo "ok $count - $program: $name"
	else
		echo "not ok $count - $program: $name"
		echo "# status $got: $said" | head -n 5
	fi
}

for program in scope-echo scope-first scope-happy scope-httpd scope-jobs scope-seeds scope-sum \
	scope-watch; do
	expect "--help tells how it is used" 0 "^[Uu]sage: $program " $program --help
	expect "an unknown option is no use" 2 "^[Uu]sage: $program " $program --nonsense
done
expect "a limit has to be a number" 2 "'1x' is no whole number" scope-echo -c 1x
expect "a limit has to fit" 2 "'-1' is no whole number" scope-echo -c -1
expect "a time has to be one" 2 "'soon' is no time" scope-echo -t soon
expect "who can't listen says where" 1 "can't listen at 192\.0\.2\.9 port 7: " \
	scope-echo -a 192.0.2.9 -p 7
expect "a count has to be a number" 2 "'many' is no whole number" scope-jobs -n many
expect "a time has to be one" 2 "'' is no time" scope-jobs -t ''
expect "a count has to be a number" 2 "'1e3' is no whole number" scope-watch -n 1e3 a=true
expect "a time has to be one" 2 "'-5' is no time" scope-watch -p -5 a=true
expect "a time has to be one" 2 "'x' is no time" scope-first --hedge x a:1
echo "1..$count"
