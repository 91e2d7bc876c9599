#!/bin/sh
# perf/gate.sh: fails when a hot path needs more instructions than perf/gate.tsv says.
#
# Callgrind counts the instructions of one worker.  A figure is the difference of two sizes
# divided by the units between them, so that starting up cancels out.  Prints TAP.
#
#   perf/gate.sh            compare with perf/gate.tsv: more than 3 % above it fails
#   perf/gate.sh --record   write perf/gate.tsv anew
#   perf/gate.sh --figures  print NAME FIGURE lines only
set -eu
cd "$(dirname "$0")/.."
mode=${1:---compare}
recorded=perf/gate.tsv

if ! command -v valgrind >/dev/null 2>&1; then
	echo "1..0 # SKIP valgrind is not installed"
	exit 0
fi
if [ "$mode" = --compare ] && ! grep -qs "^#.*$(uname -m)\$" "$recorded"; then
	echo "1..0 # SKIP nothing was recorded on this kind of processor"
	exit 0
fi
build=${BUILD:-build}
test -f "$build/libscope.a" || ${MAKE:-make} --no-print-directory lib >&2
build=$(cd "$build" && pwd)
${MAKE:-make} -s -C perf BUILD="$build" gate >&2
bin=$build/perf/gate
figures=$(mktemp "$build/perf/gate-XXXXXX")
trap 'rm -f "$figures"' EXIT
trap 'exit 1' INT TERM

# The instructions of a whole process; nothing if it failed.
count() {
	timeout 50 valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" 2>&1 >/dev/null |
		awk '/Collected *:/ { print $NF }'
}

# figure NAME UNITS SMALL LARGE PROGRAM WORKLOAD ARGUMENT...: the size comes after WORKLOAD.
figure() {
	name=$1 units=$2 small=$3 large=$4 program=$bin/$5 workload=$6
	shift 6
	low=$(count "$program" "$workload" "$small" "$@")
	high=$(count "$program" "$workload" "$large" "$@")
	echo "$name ${low:-0} ${high:-0} $units" |
		awk '{ print $1, ($2 && $3) ? sprintf("%.2f", ($3 - $2) / $4) : "failed" }'
}

# fib(n) spawns F(n + 1) - 1 tasks, nqueens and uts have as many as their trees have nodes.
measure() {
	figure fib 17711 20 22 forkjoin fib 1 1
	figure fib_bare 17711 20 22 forkjoin fib_bare 1 1
	figure fib_both 17711 20 22 forkjoin fib_both 1 1
	test ! -x "$bin/fib_fast" || figure fib_fast 17711 20 22 fib_fast fib_fast 1 1
	figure nqueens 33482 8 10 forkjoin nqueens 1 1
	figure uts 15322 4 6 forkjoin uts 1 1
	figure skynet 99990 1000 100000 forkjoin skynet 1 1
	figure flat 30000 10000 40000 forkjoin flat 1 1
	figure flat_n 30000 10000 40000 forkjoin flat_n 1 1
	figure checkpoint 30000 10000 40000 tasks checkpoint 1
	figure open_close 30000 10000 40000 tasks open_close 1
	figure open_close_deadline 30000 10000 40000 tasks open_close_deadline 1
	figure parked_child 30000 4000 24000 tasks parked_child 1
	figure yield 200000 20000 120000 tasks yield 1
	{
		figure for 10000 5000 15000 forkjoin for 1 1
		figure serial 10000 5000 15000 serial for 1 1
	} | awk '{ of[$1] = $2 }
		END {
			ok = of["serial"] > 0 && of["for"] > 0
			ratio = ok ? sprintf("%.4f", of["for"] / of["serial"]) : "failed"
			print "for_over_serial", ratio
		}'
}

measure >"$figures"

case $mode in
--figures)
	cat "$figures"
	;;
--record)
	if grep failed "$figures"; then
		echo "perf/gate.sh: nothing recorded" >&2
		exit 1
	fi
	{
		echo '# perf/gate.tsv: instructions a unit, from perf/gate.sh --record'
		printf '# %s, %s\n' "$(${CC:-cc} --version | head -n 1)" "$(uname -m)"
		tr ' ' '\t' <"$figures"
	} >"$recorded"
	cat "$recorded"
	;;
--compare)
	awk '
	FNR == NR { if ($1 !~ /^#/) recorded[$1] = $2; next }
	{ name[++n] = $1; figure[n] = $2 }
	END {
		print "1.." n
		for (i = 1; i <= n; i++) {
			limit = recorded[name[i]]
			text = sprintf(" %d - instructions: %s %s, recorded %s",
				       i, name[i], figure[i], limit == "" ? "nothing" : limit)
			if (limit == "" && figure[i] != "failed")
				print "ok" text " # SKIP not in perf/gate.tsv"
			else if (figure[i] != "failed" && figure[i] + 0 <= limit * 1.03)
				print "ok" text
			else {
				print "not ok" text
				failed++
			}
		}
		if (failed)
			print "# if that is meant: perf/gate.sh --record, and say why in the commit"
		exit failed > 0
	}' "$recorded" "$figures"
	;;
*)
	echo "usage: perf/gate.sh [--compare | --record | --figures]" >&2
	exit 2
	;;
esac
