#!/usr/bin/env bash
# tests/examples/scope-watch.sh: scope-watch from outside: what is started again and when it is
# too much, and how all of it ends.
#
# Environment: BUILD (build).  Prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 2
watch=$(realpath "${BUILD:-build}/bin/scope-watch") || exit 2
. tests/examples/talk.bash
trap 'leave TERM' EXIT
echo 1..9

run() {
	"$watch" -b 1 "$@" >out 2>errors
	status=$?
	cat errors >>out
}

run 'a=exit 0'
result "a command that ends well is not started again" $status 0 \
	'^a: started;a: ended with status 0;$'

# The first two times it fails.
run 'a=echo >>runs; [ $(wc -l <runs) -eq 3 ]'
result "one that fails is" $status 0 \
	'^a: started;a: ended with status 1;a: started;a: e[^;]* 1;a: started;a: e[^;]* 0;$'

run -n 1 'a=exit 3' 'b=exec sleep 600'
result "too often is too much" $status 1 \
	'/watch_all/watch: result 3: supervisor "watch": more than 1 restart in 60.000 s'
result "and the others are stopped" $status 1 'b: is told to stop;b: ended by signal 15;'
result "what failed is told" $status 1 \
	'while handling /watch_all/a#2: result 3;.*also /watch_all/a: result 3'

run -k temporary 'a=kill -9 $$' 'b=exit 0'
result "what is not started again fails the run" $status 1 '/watch_all/a: result 137'

begin "$watch" -b 1 -s all 'a=exec sleep 600' 'b=[ -e again ] && exec sleep 600; >again; exit 1' \
	'c=exec sleep 600'
s='(.: started;)' # tasks begin when they come to it
for _ in 1 2 3 4 5 6; do
	wait_for '?: started'
done
kill -INT $program
end
result "one for all: they are stopped in reverse" $status 0 \
	"b: ended with status 1;$s*c: is told[^;]*;$s*c: e[^;]*;$s*a: is told"
result "an interrupt stops them in reverse" $status 0 \
	'c: is.*c: is told[^;]*;c: e[^;]*;b: is told[^;]*;b: e[^;]*;a: is told[^;]*;a: e[^;]*;$'

begin "$watch" -b 1 -g 50 "a=trap '' TERM; echo deaf; while :; do sleep 600; done"
wait_for deaf
kill -TERM $program
end
result "who does not hear is killed" $status 0 'a: is told to stop;a: ended by signal 9;$'
