#!/bin/sh
# tests/fault/points.sh: fails if the runtime calls something that may fail and that no test
# refused to it.
#
# Usage: tests/fault/points.sh REPORT ARCHIVE   what test_points.c wrote; the library that it used
# Prints TAP: the calls through struct sc_os in the sources, then the calls of libc.
report=$1 archive=$2
cd "$(dirname "$0")/../.." || exit 2

echo 1..2
bad=0

# Each call of an entry that may fail, with the function that it is in.
missing=$(awk '
	/^[a-z].*\(/ && !/;$/ {
		name = $0
		sub(/\(.*/, "", name)
		sub(/.*[ *]/, "", name)
	}
	{
		rest = $0
		while (match(rest, /sc_os\.(alloc|reserve|commit|guard|thread_start|wait)\(/)) {
			print substr(rest, RSTART, RLENGTH - 1), name
			rest = substr(rest, RSTART + RLENGTH)
		}
	}' runtime/*/*.c | sort -u | while read -r entry name; do
	awk -v entry="$entry" -v name="$name" '$1 == entry && $2 == name { found = 1 }
		END { exit !found }' "$report" || echo "# $entry was never refused to $name"
done)
[ -z "$missing" ] || { echo "$missing"; printf 'not '; bad=1; }
echo "ok - points::every_call_through_the_table"

# What the archive asks of libc is refused by a test, goes through the table, or can't fail in a
# way that the runtime could answer: arithmetic on memory, formatting, asking for facts, signals
# to threads that exist, locks of its own, writing a report, the end of the process, modes of a
# terminal that is one, turns of libuv.
settled=' malloc free munmap memcpy memset memcmp memmove strlen strcmp strncmp strcspn strrchr
	strnlen strcpy strncpy stpcpy program_invocation_short_name
	strchr strstr strtoull strerrordesc_np strerrorname_np sigabbrev_np snprintf vsnprintf qsort
	__isoc99_fscanf __isoc99_sscanf fclose fflush fwrite close write
	stdout fflush_unlocked ftrylockfile funlockfile
	__errno_location __libc_current_sigrtmin __sched_cpucount _GLOBAL_OFFSET_TABLE_
	clock_gettime dl_iterate_phdr getauxval getenv getpid sched_yield sysconf syscall
	pthread_attr_destroy pthread_attr_setstacksize pthread_join pthread_kill pthread_self
	pthread_sigmask raise sigpending sigtimedwait sigaddset sigismember sigdelset sigemptyset
	sigfillset signal alarm
	_exit abort __assert_fail atexit on_exit tcgetattr tcsetattr
	posix_spawn_file_actions_init posix_spawn_file_actions_destroy posix_spawnattr_init
	posix_spawnattr_destroy posix_spawnattr_setflags posix_spawnattr_setpgroup
	posix_spawnattr_setsigdefault posix_spawnattr_setsigmask environ kill waitid
	pidfd_send_signal closedir
	read setsockopt epoll_wait ppoll inet_ntop inet_pton uv_available_parallelism
	uv_loop_close uv_run uv_backend_fd uv_cancel uv_close uv_fileno uv_buf_init
	uv_fs_req_cleanup uv_fs_scandir_next uv_freeaddrinfo '
missing=$(nm -u "$archive" | awk '/ [Uw] / { print $2 }' | grep -vE '^(sc_|scope_)' | sort -u |
	while read -r name; do
		case " $(echo $settled) " in
		*" $name "*) continue ;;
		esac
		grep -q "^$name " "$report" || echo "# $name was never refused"
	done)
[ -z "$missing" ] || { echo "$missing"; printf 'not '; bad=1; }
echo "ok - points::every_call_of_libc"
exit $bad
