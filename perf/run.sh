#!/bin/sh
# perf/run.sh: builds the measuring programs and the peers, then measures; see --help.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}

test -f "$build/libscope.a" || ${MAKE:-make} --no-print-directory lib
build=$(cd "$build" && pwd)

${MAKE:-make} -s -C perf BUILD="$build" programs
yardsticks=all
case " $* " in
*" --quick "* | *" --no-peers "*) yardsticks=yardsticks ;;
esac
# A peer that can't be built is named by the report, with the package that brings it.
mkdir -p "$build/perf"
${MAKE:-make} -s -k -C perf/peers/forkjoin BUILD="$build/perf/peers" $yardsticks \
	>"$build/perf/peers.log" 2>&1 ||
	echo "perf: some peers were not built, see $build/perf/peers.log" >&2

exec python3 perf/measure.py --build "$build" "$@"
