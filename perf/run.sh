#!/bin/sh
# perf/run.sh: builds the measuring programs and the peers, then measures; see --help.
#
# Usage: perf/run.sh [--servers] OPTION...   --servers: tasks that wait, meet and serve
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}

test -f "$build/libscope.a" || ${MAKE:-make} --no-print-directory lib
build=$(cd "$build" && pwd)

${MAKE:-make} -s -C perf BUILD="$build" programs
peers=forkjoin out=peers script=measure.py
case " $* " in
*" --servers "*)
	peers=servers out=servers script=servers.py
	${MAKE:-make} -s BUILD="$build" "$build/bin/scope-echo" "$build/bin/scope-httpd" ;;
esac
yardsticks=all
case " $* " in
*" --quick "* | *" --no-peers "*) yardsticks=yardsticks ;;
esac
# A peer that can't be built is named by the report, with the package that brings it.
mkdir -p "$build/perf"
${MAKE:-make} -s -k -C "perf/peers/$peers" BUILD="$build/perf/$out" $yardsticks \
	>"$build/perf/$out.log" 2>&1 ||
	echo "perf: some peers were not built, see $build/perf/$out.log" >&2

exec python3 "perf/$script" --build "$build" "$@"
