#!/usr/bin/env bash
# tests/coverage.sh: runs tests over counted builds; says which branches they took, and whether
# that is enough.
#
# Usage: tests/coverage.sh [PART...]   parts of tests/run.sh; none: judge what was counted before
# The library is the one that programs link, without optimisation, and beside it those of the
# simulation and of the fault loops; a branch counts as taken if one of them took it.  The pages
# are build/coverage/html.
# Branches of an assertion (SC_ASSERT, SC_INVARIANT) are not asked for.
set -u
cd "$(dirname "$0")/.." || exit 2

export BUILD=build/coverage CFLAGS="-O0 -g" STRESS_SECONDS=${STRESS_SECONDS:-30}
export COVERAGE="-O0 --coverage -fprofile-update=atomic -DSC_COVERAGE"
export PATIENCE=${PATIENCE:-4} # a part that is cut off counts as one that was not run
export SIM_SCHEDULES=${SIM_SCHEDULES:-3000} # of each scenario, however busy the machine is
export LDFLAGS="$BUILD/flush.o -Wl,--wrap=abort,--wrap=_exit,--wrap=raise,--wrap=sigaction"

status=0
if [ $# -gt 0 ]; then
	mkdir -p $BUILD
	${CC:-cc} -O1 -Wall -Wextra -c -o $BUILD/flush.o tests/coverage/flush.c || exit 1
	find $BUILD -name '*.gcda' -delete
	EXAMPLES=tests/examples/scope-sum.sh tests/run.sh "$@" || status=1
	# Their list of calls that may fail would count those of gcov.
	make --no-print-directory $BUILD/fault/fault >$BUILD/log/fault.build 2>&1 &&
		$BUILD/fault/fault --fork -j2 >$BUILD/log/fault.tap 2>&1 ||
		{ status=1 && grep '^not ok' $BUILD/log/fault.tap; }
fi

# least FOLDER PERCENT: fails if fewer of its branches were taken.
least() {
	counted --filter "runtime/$1" --fail-under-branch "$2" >/dev/null 2>&1 && return
	echo "coverage: less than $2 % of the branches of runtime/$1 were taken"
	status=1
}
counted() {
	gcovr --root . --add-tracefile $BUILD/static.json --add-tracefile $BUILD/sim.json \
		--add-tracefile $BUILD/fault.json "$@"
}

mkdir -p $BUILD/html
# Apart first: gcov numbers calls and branches together, and the simulation has more calls.
for variant in static sim fault; do
	gcovr --root . --filter runtime/ --json $BUILD/$variant.json \
		--exclude-branches-by-pattern '.*\bSC_(ASSERT|INVARIANT)\(.*' \
		$BUILD/$variant || exit 1
done
counted --html-details $BUILD/html/index.html
counted --sort-percentage | tail -n +5
counted --sort-percentage --branches | tail -n +5
least "" 95
least deque/ 100
least sched/wait.h 100
least scope/ 100
exit $status
