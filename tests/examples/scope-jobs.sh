#!/usr/bin/env bash
# tests/examples/scope-jobs.sh: scope-jobs from outside: without a signal, with one, two and
# three, and when nobody sends the second.
#
# Environment: BUILD (build).  Prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 2
jobs=$(realpath "${BUILD:-build}/bin/scope-jobs") || exit 2
. tests/examples/talk.bash
trap 'leave KILL' EXIT
echo 1..7

begin "$jobs" -n 3 -e 1 -t 10
end
result "without a signal all jobs are done" $status 0 '(^|;)closed: 3 taken, 3 done, 0 given up'

begin "$jobs" -e 20 -t 200 -g 60000
wait_for open
kill -HUP $program
wait_for asked
kill -INT $program
end
result "after one signal those that were taken are finished" $status 0 \
	'(^|;)closed: ([0-9]+) taken, \2 done, 0 given up'
result "SIGHUP is answered" $status 0 '(^|;)asked: '

begin "$jobs" -e 20 -t 600000 -g 600000
wait_for open
kill -TERM $program
wait_for 'no more'
kill -INT $program
end
result "after the second they are given up" $status 1 \
	'(^|;)closed: ([0-9]+) taken, 0 done, \2 given up'

begin "$jobs" -e 20 -t 600000 -g 100
wait_for open
kill -TERM $program
end
result "so they are when the grace period is over" $status 1 \
	'(^|;)closed: ([0-9]+) taken, 0 done, \2 given up'

# Signals that come at once are one: on a busy machine it takes more than three.
begin "$jobs" -x -e 20 -t 100 -g 600000
wait_for open
kill -INT $program
wait_for 'no more'
while kill -INT $program 2>/dev/null; do
	sleep 0.2
done
end
result "after the third the process ends" $status 130
result "which names the loop that did not look" $status 130 '/endless_job: running'
