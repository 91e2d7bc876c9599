#!/usr/bin/env bash
# tests/run.sh: builds and runs the checks, adds up their results, ends with
# "N passed, N failed".
#
# Usage: tests/run.sh [PART...]   parts: lint unit api crash fault examples sim model asan tsan
#   tools aarch64 matrix gate stress soak; beyond "make test": aarch64-all valgrind matrix-all
# Everything that runs prints TAP; a program that dies or hangs fails what it had not reported.
# Skipped tests count as neither.  Environment: BUILD (build), STRESS_SECONDS (60), SOAK_SECONDS
# (20), EXAMPLES (all), PATIENCE (1), by which limits of time are multiplied.
set -u
cd "$(dirname "$0")/.." || exit 2

build=${BUILD:-build}
export BUILD=$build
log=$build/log
jobs=$(nproc)
patience=${PATIENCE:-1}
passed=0 failed=0
started=$(date +%s%N)

mkdir -p "$log"

if [ $# -eq 0 ]; then
	parts="lint unit api crash fault examples sim model asan tsan tools aarch64 matrix gate"
	parts="$parts stress soak"
	everything=1
else
	parts=$*
	everything=
fi

has_sources() {
	compgen -G "tests/$1/*.c" >/dev/null
}

# since START [END]
since() {
	local ms=$(((${2:-$(date +%s%N)} - $1) / 1000000))
	printf '%d.%d s' $((ms / 1000)) $((ms / 100 % 10))
}

make_quietly() {
	make --no-print-directory "$@"
}

# Counts TAP in $1 into the variables ok, bad, skipped; $2 is the program's exit status.
# What the plan promised and nobody reported has failed; so has a program that reported
# nothing, or that failed without saying where.
count_tap() {
	read -r ok bad skipped < <(awk -v status="$2" '
		/^ok.*# SKIP/ { skipped++; next }
		/^ok/ { ok++ }
		/^not ok/ { bad++ }
		/^1\.\.[0-9]+/ { split($0, plan, /\.\./); planned = plan[2] + 0 }
		END {
			missing = planned - ok - bad - skipped
			if (missing > 0)
				bad += missing
			if (!bad && (status != 0 || ok + skipped == 0))
				bad = 1
			print ok + 0, bad + 0, skipped + 0
		}' "$1")
}

# show_failures NAME STATUS: what a reader needs of a failed program.
show_failures() {
	local name=$1 status=$2

	awk '
		/^ok/ { show = 0; held = "" }
		/^#/ && !show { held = held $0 "\n" }
		/^not ok/ { printf "%s", held; held = ""; show = 1 }
		show { print }' "$log/$name.tap" | head -n 200 | sed 's/^/    /'
	case $status in
	0 | 1) ;;
	124 | 137) echo "    $name did not end in time" ;;
	*) echo "    $name ended with status $status" ;;
	esac
	[ -s "$log/$name.log" ] || return 0
	echo "    last lines of $log/$name.log:"
	tail -n 40 "$log/$name.log" | sed 's/^/    | /'
}

# account NAME STATUS START [END]: adds up a program whose TAP lies in $log/NAME.tap.
account() {
	count_tap "$log/$1.tap" "$2"
	passed=$((passed + ok))
	failed=$((failed + bad))
	printf '%5d passed %3d failed' "$ok" "$bad"
	[ "$skipped" -eq 0 ] || printf ' %3d skipped' "$skipped"
	printf '  %s\n' "$(since "${@:3}")"
	[ "$bad" -eq 0 ] || show_failures "$1" "$2"
}

# built NAME TARGET: makes a target; a build that fails is a failed check.
built() {
	if make_quietly "$2" >"$log/$1.build" 2>&1; then
		return 0
	fi
	failed=$((failed + 1))
	printf '%-18s    does not build\n' "$1"
	grep -vE '^  (CC|AS|AR|LD) ' "$log/$1.build" | tail -n 30 | sed 's/^/    | /'
	return 1
}

# program NAME LIMIT COMMAND...: runs a program that writes TAP to its standard output.
program() {
	local name=$1 limit=$(($2 * patience)) start status
	shift 2
	printf '%-18s' "$name"
	start=$(date +%s%N)
	timeout -k 10 "$limit" "$@" >"$log/$name.tap" 2>"$log/$name.log" </dev/null
	status=$?
	account "$name" "$status" "$start"
}

# beside NAME LIMIT COMMAND...: starts such a program next to others that need one processor;
# come_in NAME waits for it and adds it up.
beside() {
	local name=$1 limit=$(($2 * patience)) start
	shift 2
	while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
		wait -n
	done
	{
		start=$(date +%s%N)
		timeout -k 10 "$limit" "$@" >"$log/$name.tap" 2>"$log/$name.log" </dev/null
		echo $? "$start" "$(date +%s%N)" >"$log/$name.end"
	} &
}

come_in() {
	local status start end

	printf '%-18s' "$1"
	while [ ! -s "$log/$1.end" ] && [ -n "$(jobs -rp)" ]; do
		wait -n
	done
	status=137 start=0 end=0 # of one that was killed with its shell
	[ ! -s "$log/$1.end" ] || read -r status start end <"$log/$1.end"
	touch "$log/$1.tap"
	account "$1" "$status" "$start" "$end"
}

# criterion NAME LIMIT JOBS TARGET: runs a Criterion program, which writes TAP to a file.
criterion() {
	local name=$1 limit=$(($2 * patience)) start status
	printf '%-18s' "$name"
	rm -f "$log/$name.tap"
	start=$(date +%s%N)
	timeout -k 10 "$limit" "$4" -j"$3" --timeout $((${TEST_SECONDS:-120} * patience)) \
		--color=never --tap="$log/$name.tap" >"$log/$name.log" 2>&1 </dev/null
	status=$?
	touch "$log/$name.tap"
	account "$name" "$status" "$start"
}

run_lint() {
	local start script name status=0

	# Without the library the check of its names looks at an old one: count that.
	built lib lib
	printf '%-18s' lint
	start=$(date +%s%N)
	: >"$log/lint.tap"
	for script in tests/lint/*.sh; do
		name=${script##*/}
		if timeout -k 10 120 "$script" >"$log/lint.out" 2>&1; then
			echo "ok - ${name%.sh}" >>"$log/lint.tap"
		else
			status=1
			echo "not ok - ${name%.sh}" >>"$log/lint.tap"
			sed 's/^/  /' "$log/lint.out" >>"$log/lint.tap"
		fi
	done
	rm -f "$log/lint.log"
	account lint $status "$start"
	[ -n "$everything" ] || grep '^ok' "$log/lint.tap"
}

run_unit() {
	has_sources unit && built unit "$build/test/unit" &&
		criterion unit 300 "$jobs" "$build/test/unit"
}

# Tests of the public interface watch the clock: as many workers at a time as there are
# processors.
run_api() {
	local workers

	has_sources api && built api "$build/test/api" || return
	for workers in 1 2 4; do
		SCOPE_WORKERS=$workers criterion "api-$workers-workers" 300 \
			$((jobs > workers ? jobs / workers : 1)) "$build/test/api"
	done
}

# Child programs that die: of the library as it is, and of the one that reports misuse.
run_crash() {
	built crash "$build/test/crash" && criterion crash 200 "$jobs" "$build/test/crash"
	built crash-debug "$build/debug/crash" &&
		program crash-debug 200 "$build/debug/crash" --fork -j"$jobs" --timeout 60
	built crash-alarms "$build/debug/api" && SCOPE_WORKERS=2 program crash-alarms 200 \
		tests/crash/alarms.sh "$build/debug/api" "$jobs"
}

# Everything that the system may refuse; build/log/fault.txt lists what was.
run_fault() {
	built fault "$build/fault/fault" || return
	FAULT_REPORT=$log/fault.txt program fault 300 "$build/fault/fault" --fork
	program fault-points 60 tests/fault/points.sh "$(realpath "$log/fault.txt")" \
		"$(realpath "$build/fault/libscope.a")"
	built fault-scope-sum "$build/fault/scope-sum" &&
		program fault-scope-sum 200 tests/fault/scope-sum.sh "$build/fault/scope-sum"
}

run_examples() {
	local script name

	for script in ${EXAMPLES:-tests/examples/*.sh}; do
		[ -e "$script" ] || continue
		name=${script##*/}
		program "example-${name%.sh}" 300 "$script"
	done
}

run_sim() {
	has_sources sim && built sim "$build/test/sim" &&
		SIM_SECONDS=${SIM_SECONDS:-1} program sim 300 "$build/test/sim" --fork -j"$jobs" \
			--timeout $((200 * patience))
}

models() {
	local source

	for source in tests/model/*.cc; do
		basename "$source" .cc
	done
}

run_model() {
	local name names=

	rm -f "$log"/model-*.end
	for name in $(models); do
		built "model-$name" "$build/model/$name" && names="$names model-$name" &&
			beside "model-$name" 300 "$build/model/$name"
	done
	for name in $names; do
		come_in "$name"
		[ -n "$everything" ] || grep '^ok' "$log/$name.tap"
	done
	program model-spin 300 tests/model/spin.sh
	[ -n "$everything" ] || grep '^ok' "$log/model-spin.tap"
	# The rest, and what survives for a reason, takes minutes: "make mutants".
	program mutants 300 tests/model/mutants.sh --quick base deque fiber os sched scope sync
}

# sanitized VARIANT: the unit and API tests in that variant, a process for each test.
sanitized() {
	local directory

	for directory in unit api; do
		has_sources $directory && built "$1-$directory" "$build/$1/$directory" || continue
		SCOPE_WORKERS=2 program "$1-$directory" 400 "$build/$1/$directory" --fork \
			-j"$jobs" --timeout 120
	done
}

run_asan() {
	export ASAN_OPTIONS=${ASAN_OPTIONS:-abort_on_error=0:detect_stack_use_after_return=1}
	export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
	sanitized asan
	built asan-scope-httpd "$build/asan/scope-httpd" && HTTPD=$build/asan/scope-httpd \
		program asan-scope-httpd 200 tests/examples/scope-httpd.sh
}

run_tsan() {
	local symbolizer=

	# Clang's own symbolizer is a large package; the one of the linker's package will do.
	if ! compgen -c llvm-symbolizer >/dev/null; then
		symbolizer=:external_symbolizer_path=$(command -v addr2line)
	fi
	# The report of a stack overflow reads names in the fault handler, under an alarm.
	export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:report_signal_unsafe=0$symbolizer}
	sanitized tsan
}

# Other compilers, CPUs and tools.
. tests/platforms.sh

run_gate() {
	[ -x perf/gate.sh ] && built gate lib && program gate 200 perf/gate.sh
}

# Each stress test gets its share of the budget.
run_stress() {
	local tests share

	has_sources stress && built stress "$build/test/stress" || return
	tests=$(cat tests/stress/*.c | grep -c '^Test(')
	share=$((${STRESS_SECONDS:-60} / (tests > 0 ? tests : 1)))
	[ $share -gt 0 ] || share=1
	STRESS_SECONDS=$share TEST_SECONDS=$((share + 120)) \
		criterion stress $((share * tests + 300)) 1 "$build/test/stress"
}

run_soak() {
	built soak "$build/test/soak" || return
	SOAK_SECONDS=${SOAK_SECONDS:-20} program soak $((${SOAK_SECONDS:-20} + 60)) \
		"$build/test/soak"
}

targets_of() {
	case $1 in
	fault) echo "$build/fault/fault" "$build/fault/scope-sum" ;;
	crash) echo "$build/test/crash" "$build/debug/crash" "$build/debug/api" ;;
	unit | api | stress | sim | soak) has_sources "$1" && echo "$build/test/$1" ;;
	asan | tsan)
		[ "$1" = asan ] && echo "$build/asan/scope-httpd"
		has_sources unit && echo "$build/$1/unit"
		has_sources api && echo "$build/$1/api" ;;
	aarch64) targets_of_aarch64 ;;
	tools) echo "$build"/{asan,tsan,valgrind}/planted ;;
	lint | gate) echo lib ;;
	model) models | sed "s|^|$build/model/|" ;;
	examples) for directory in examples/scope-*/; do
		compgen -G "$directory*.c" >/dev/null && echo "$build/bin/$(basename "$directory")"
	done ;;
	esac
}

for part in $parts; do
	declare -F "run_${part//-/_}" >/dev/null && continue
	echo "tests/run.sh: no part is called $part" >&2
	exit 2
done

# All at once first, as parallel as it goes; a part whose target failed says so later.
start=$(date +%s%N)
printf '%-18s' build
make_quietly -k -j"$jobs" $(for part in $parts; do targets_of "$part"; done | sort -u) \
	>"$log/build.log" 2>&1
echo " $(since "$start")"
for part in $parts; do
	declare -F "run_${part//-/_}" >/dev/null || {
		echo "tests/run.sh: no part is called $part" >&2
		exit 2
	}
	"run_${part//-/_}"
done

echo "took $(since "$started")"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
