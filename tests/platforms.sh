#!/usr/bin/env bash
# tests/platforms.sh: the parts of tests/run.sh for other CPUs, compilers, tools; read by it.

aarch64_cc=${AARCH64_CC:-aarch64-linux-gnu-gcc}

has_aarch64() {
	command -v "$aarch64_cc" >/dev/null &&
		{ [ "$(uname -m)" = aarch64 ] || [ -n "$(compgen -c qemu-aarch64)" ]; }
}

targets_of_aarch64() {
	! has_aarch64 || echo "$build/aarch64/unit" "$build/aarch64/api"
}

# emulated NAME PROGRAM: a test program built for 64-bit Arm.
emulated() {
	local name=aarch64-$1 program=$build/aarch64/$2

	built "$name" "$program" &&
		program "$name" 1200 tests/aarch64.sh "$program" --fork -j"$jobs" --timeout 200
}

without_aarch64() {
	printf '%-18s%s\n' aarch64 \
		"skipped: no $aarch64_cc or no qemu-aarch64; tests/setup.sh aarch64 installs them"
}

run_aarch64() {
	has_aarch64 || { without_aarch64; return; }
	emulated unit unit
	SCOPE_WORKERS=2 emulated api api
}

run_aarch64_all() {
	local workers

	has_aarch64 || { without_aarch64; return; }
	emulated unit unit
	for workers in 1 2 4; do
		SCOPE_WORKERS=$workers emulated "api-$workers" api
	done
	emulated crash crash
	SIM_SECONDS=1 emulated sim sim
	STRESS_SECONDS=${STRESS_SECONDS:-10} emulated stress stress
}

# memcheck takes a leap of the stack pointer for a switch: guards are wider than this, frames
# narrower.  Stacks must not be registered: of those it knows a single current one, for all
# threads, and misses the frame that is entered when another thread runs.
under_memcheck="valgrind -q --fair-sched=yes --max-stackframe=100000"

# The checkers find what they must.
run_tools() {
	local tool

	for tool in asan tsan valgrind; do
		built "tools-$tool" "$build/$tool/planted" &&
			MEMCHECK=$under_memcheck program "tools-$tool" 120 tests/tools.sh "$tool" \
				"$build/$tool/planted"
	done
}

run_valgrind() {
	local directory

	for directory in unit api; do
		built "valgrind-$directory" "$build/valgrind/$directory" || continue
		SCOPE_WORKERS=2 program "valgrind-$directory" 1800 $under_memcheck \
			--error-exitcode=99 "$build/valgrind/$directory" --fork -j"$jobs" \
			--timeout 600
	done
}

run_matrix() {
	WORKERS="3 8" ALLOCATORS=jemalloc program matrix 600 tests/matrix.sh gcc-O0 clang-lto
}

run_matrix_all() {
	program matrix 7200 tests/matrix.sh
	grep '^# .*glibc\|^# .*jemalloc\|^# build' "$log/matrix.tap" | sed 's/^# //'
}
