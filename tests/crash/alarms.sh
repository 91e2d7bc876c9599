#!/bin/sh
# tests/crash/alarms.sh: the API tests on libscope-debug.a: it aborts those that misuse scopes on
# purpose, to see the errno value, and no other.
#
# Usage: tests/crash/alarms.sh PROGRAM JOBS   the API tests with that library.  Prints TAP.
out=$(mktemp) || exit 2
trap 'rm -f "$out"' EXIT
"$1" --fork -j"$2" --timeout 60 >"$out" 2>&1
awk '
	BEGIN {
		split("C5_cancel_is_idempotent_and_thread_safe C8_set_shield_estale " \
			"E2_fail_estale S9_misuse_ebusy_edeadlk_estale " \
			"P3_a_child_has_its_own_errors " \
			"S11_a_leaked_scope_gives_its_records_back " \
			"S9_a_member_would_wait_for_itself_edeadlk " \
			"S9_an_inlined_grandchild_would_wait_for_itself_edeadlk " \
			"S11_the_second_of_both_leaves_a_scope_open " \
			"S9_another_task_may_not_close_eperm " \
			"S9_a_closed_scope_stays_closed_estale " \
			"S10_closing_below_a_younger_scope_ebusy T5_set_deadline_estale " \
			"T5_set_deadline_enotconn T5_move_races_fire", list, " ")
		for (i in list)
			misuses[list[i]] = 1
	}
	/^1\.\./ { print }
	/^(not )?ok/ {
		name = $0
		sub(/.*::/, "", name)
		sub(/ .*/, "", name)
		if (misuses[name])
			sub(/^not /, "")
		print
	}
	/^#/ { print }' "$out"
