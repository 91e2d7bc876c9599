#!/usr/bin/env bash
# tests/sim/run.sh: explores schedules of every scenario, once or for hours.
#
# Usage: tests/sim/run.sh PROGRAM         SCHEDULES (200,000) of each scenario
#        tests/sim/run.sh PROGRAM HOURS   round after round with seeds of their own,
#                                         SIM_SECONDS (5) for each scenario
# HOURS may be a fraction.  A failure is printed with the command that runs it again; the
# file sim-failures, beside the program's directory, gets that line too.  Exit 1 if there was
# one, also after an interrupt.
set -u

program=$1
hours=${2:-}
export SIM_FAILURES=${SIM_FAILURES:-$(dirname "$(dirname "$program")")/sim-failures}
started=$(date +%s)
schedules=0 failures=0
export TZ=UTC

# A line that is written over, on a terminal only.
progress() {
	[ ! -t 1 ] || printf '\r%(%T)T %d schedules, %d failures ' $(($(date +%s) - started)) \
		"$schedules" "$failures"
}

# Runs the program once, adds up, and prints what failed and, if asked to, what did not.
explore() {
	local line

	while IFS= read -r line; do
		case $line in
		"# "*" schedules"*)
			set -- $line
			schedules=$((schedules + $3))
			[ -n "$hours" ] || echo "${line#\# }" ;;
		"not ok"*)
			failures=$((failures + 1))
			echo "$line" ;;
		ok* | TAP* | 1..*) ;;
		*) echo "${line#\# }" ;;
		esac
		progress
	done < <("$program" --fork -j"$(nproc)" -v)
}

summary() {
	[ ! -t 1 ] || printf '\r'
	echo "sim: $schedules schedules in $(($(date +%s) - started)) s, $failures failures"
	[ "$failures" -eq 0 ] || echo "sim: commands that run them again are in $SIM_FAILURES"
	[ "$failures" -eq 0 ]
	exit
}

if [ -z "$hours" ]; then
	export SIM_SCHEDULES=${SCHEDULES:-200000}
	explore
	summary
fi

export SIM_SECONDS=${SIM_SECONDS:-5}
trap summary INT TERM
end=$(awk -v now="$started" -v hours="$hours" 'BEGIN { printf "%d\n", now + hours * 3600 }')
# Rounds have no seed in common: a scenario gets through fewer than 2^28 in one.
for ((round = started; $(date +%s) < end; round++)); do
	export SIM_FIRST=$((round << 28))
	explore
done
summary
