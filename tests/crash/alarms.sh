#!/bin/sh
# tests/crash/alarms.sh: the API tests on libscope-debug.a: it aborts those that misuse scopes on
# purpose, to see the errno value, and no other.
#
# Usage: tests/crash/alarms.sh PROGRAM JOBS   the API tests with that library.  Prints TAP.
out=$(mktemp) || exit 2
trap 'rm -f "$out"' EXIT
"$1" --fork -j"$2" --timeout 60 >"$out" 2>&1
awk '
	# By their rule, by the errno value in their name, or one by one.
	function misuses(name) {
		return name ~ /^S(9|10|11)_/ || name ~ /_(estale|ebusy|edeadlk|eperm)$/ ||
			index(list, " " name " ")
	}
	BEGIN {
		list = " C5_cancel_is_idempotent_and_thread_safe P3_a_child_has_its_own_errors " \
			"R0_the_second_of_both_fails_or_leaves_a_scope_open " \
			"T5_set_deadline_enotconn T5_move_races_fire " \
			"G1_closed_scope_is_left_alone "
	}
	/^1\.\./ { print }
	/^(not )?ok/ {
		name = $0
		sub(/.*::/, "", name)
		sub(/ .*/, "", name)
		if (misuses(name) && /killed by signal 6/)
			sub(/^not /, "")
		print
	}
	/^#/ { print }' "$out"
