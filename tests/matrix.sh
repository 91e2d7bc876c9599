#!/usr/bin/env bash
# tests/matrix.sh: unit and API tests for each compiler, optimisation, allocator, worker count.
#
# Usage: tests/matrix.sh [BUILD...]    BUILD: gcc-O0 gcc-O2 gcc-lto clang-O0 clang-O2 clang-lto
# Environment: BUILD (build), ALLOCATORS (glibc jemalloc), WORKERS (1 2 3 8), JOBS.
# A build links the archive that programs link; jemalloc comes in as a shared library, as it must
# where tasks change threads, and fills memory with junk.  lto: -O3 -flto, linked by that too.
# Prints TAP, then as comments a table: a row for a build and allocator, a column for a count of
# workers, in each cell how many passed and failed, and seconds.
set -u
cd "$(dirname "$0")/.." || exit 2
build=${BUILD:-build}
builds=${*:-gcc-O0 gcc-O2 gcc-lto clang-O0 clang-O2 clang-lto}
allocators=${ALLOCATORS:-glibc jemalloc}
counts=${WORKERS:-1 2 3 8}
jobs=${JOBS:-$(nproc)}
jemalloc=$(${CC:-cc} -print-file-name=libjemalloc.so)
clang=$(command -v clang-19 || command -v clang)
gold=$(realpath -m "$("$clang" -print-resource-dir)/../../LLVMgold.so")
bad=0 reported=0
table=$(printf '# %-20s' build; printf '%18s' $(printf '%s-workers ' $counts))

note() {
	reported=$((reported + 1))
	[ "$1" = ok ] || bad=1
	echo "$1 - $2"
}

# make_build NAME: both programs.  Of fat objects the linkers here take the code that clang made
# without the whole program before them, so its objects are lean.
make_build() {
	local tools=(CC=gcc)
	[[ $1 != clang* ]] ||
		tools=(CC="$clang" AR="ar --plugin $gold" FAT=)

	case $1 in
	*-lto) set -- "$1" lto "-O3 -g" ;;
	*) set -- "$1" static "-${1#*-} -g" ;;
	esac
	make --no-print-directory -j"$jobs" BUILD="$build/matrix/$1" "${tools[@]}" CFLAGS="$3" \
		MATRIX="$2" "$build/matrix/$1/matrix/unit" "$build/matrix/$1/matrix/api" \
		>"$build/matrix/$1.build" 2>&1 && return
	grep -vE '^  (CC|AS|AR|LD) ' "$build/matrix/$1.build" | tail -n 20 | sed 's/^/# /'
	return 1
}

# cell NAME ALLOCATOR WORKERS: runs, prints what failed, sets $cell.
cell() {
	local log=$build/matrix/$1-$2-$3 start=$(date +%s) program ok failed missing=0
	local settings=(SCOPE_WORKERS="$3")

	[ "$2" = glibc ] || settings+=(LD_PRELOAD="$jemalloc" MALLOC_CONF=junk:true)
	: >"$log.tap"
	for program in unit api; do
		[ "$program" = api ] || [ "$3" = "${counts%% *}" ] || continue
		env "${settings[@]}" timeout -k 10 300 "$build/matrix/$1/matrix/$program" --fork \
			-j"$jobs" --timeout 120 >>"$log.tap" 2>"$log.log" </dev/null ||
			missing=$((missing + ($? > 1)))
	done
	ok=$(grep -c '^ok' "$log.tap")
	failed=$(($(grep -c '^not ok' "$log.tap") + missing))
	grep -B3 '^not ok' "$log.tap" | grep -v '^ok' | sed 's/^not ok/# failed/'
	cell="$ok/$failed/$(($(date +%s) - start))s"
	[ "$failed" -eq 0 ] && [ "$ok" -gt 0 ] && note ok "$1, $2, $3 workers" ||
		note "not ok" "$1, $2, $3 workers"
}

mkdir -p "$build/matrix"
for name in $builds; do
	if [ "$name" = clang-lto ] && [ ! -e "$gold" ]; then
		note ok "clang-lto # SKIP no LLVMgold.so; tests/setup.sh matrix installs it"
		continue
	fi
	if ! make_build "$name"; then
		note "not ok" "$name builds"
		continue
	fi
	# Without an optimiser nothing is kept across a call.
	if [[ $name == *-O0 ]] || text=$(tests/lint/tls.sh . "$build/matrix/$name/matrix/api"); then
		note ok "$name reads the worker again after calls"
	else
		printf '%s\n' "$text" | sed 's/^/# /'
		note "not ok" "$name reads the worker again after calls"
	fi
	for allocator in $allocators; do
		row=$(printf '# %-20s' "$name $allocator")
		for workers in $counts; do
			cell "$name" "$allocator" "$workers"
			row+=$(printf '%18s' "$cell")
		done
		table+=$'\n'$row
	done
done
echo "$table"
echo "1..$reported"
exit $bad
