#!/usr/bin/env bash
# tests/model/spin.sh: checks the Spin models, and that each of their mutants fails.
#
# Usage: tests/model/spin.sh [-DNAME=VALUE...] [MODEL...]     e.g. -DWORKERS=3 wake
# Prints TAP.  A model's first comment lists "Mutants: NAME...": with -DM_NAME it drops or
# swaps a step, and must fail.  Environment: BUILD (build).  The trail of a failure is replayed
# by "spin -t -p -g" in its directory below BUILD.
set -u
cd "$(dirname "$0")" || exit 2

build=$(cd ../.. && mkdir -p "${BUILD:-build}/spin" && cd "${BUILD:-build}/spin" && pwd) || exit 2
here=$PWD
defines=()
while [ $# -gt 0 ] && [[ $1 == -D* ]]; do
	defines+=("$1")
	shift
done
models=("$@")
[ $# -gt 0 ] || mapfile -t models < <(grep -l '^ \* Mutants:' ./*.pml | sed 's|^\./||; s|\.pml$||')

mutants_of() {
	sed -n 's/^ \* Mutants: //p' "$1.pml"
}

# check MODEL [MUTANT]: leaves "STATES SECONDS" of a search without an error in DIR/passed, or
# what was wrong in DIR/failed.  What can't be built counts as neither.  A mutant fails soon: it
# is not optimised.
check() {
	local model=$1 mutant=${2:-} dir=$build/$1.${2:-model}

	rm -rf "$dir"
	mkdir -p "$dir" && cd "$dir" || return
	cp "$here"/*.pml .
	spin "${defines[@]}" ${mutant:+-DM_$mutant} -a "$model.pml" >build.log 2>&1 &&
		${CC:-cc} -O$((${#mutant} == 0)) -w -DSAFETY -DNOBOUNDCHECK -DCOLLAPSE \
			-o pan pan.c >>build.log 2>&1 ||
		return
	# -E: a process that waits for ever is no error by itself, the models say what is.
	timeout 300 ./pan -E -m100000 -w22 >pan.log 2>&1
	if grep -q 'errors: 0$' pan.log && ! grep -q 'search depth too small' pan.log; then
		awk '/states, stored/ { states = $1 } /elapsed time/ { seconds = $4 }
			END { print states, seconds }' pan.log >passed
	elif grep -q 'errors: [1-9]' pan.log; then
		grep -m1 '^pan:1:' pan.log >failed
	fi
}

checks() {
	local model mutant

	for model in "${models[@]}"; do
		echo "$model"
		for mutant in $(mutants_of "$model"); do
			echo "$model $mutant"
		done
	done
}

export build here
export -f check
checks | if [ ${#defines[@]} -gt 0 ]; then
	while read -r model mutant; do (check "$model" "$mutant"); done
else
	xargs -P "$(nproc)" -L 1 bash -c 'defines=(); check "$@"' check
fi

status=0
echo "1..$((${#models[@]} + 1))"
for model in "${models[@]}"; do
	killed=0 survivors=
	for mutant in $(mutants_of "$model"); do
		if [ -e "$build/$model.$mutant/failed" ]; then
			killed=$((killed + 1))
		else
			survivors="$survivors $mutant"
		fi
	done
	if [ ! -e "$build/$model.model/passed" ]; then
		status=1
		echo "not ok - spin::$model"
		echo "# $(cat "$build/$model.model/failed" "$build/$model.model/build.log" \
			2>/dev/null | head -n 1); see $build/$model.model"
	elif [ -n "$survivors" ]; then
		status=1
		echo "not ok - spin::$model"
		echo "# these mutants do not fail:$survivors"
	else
		read -r states seconds <"$build/$model.model/passed"
		echo "ok - spin::$model ($states states, ${seconds}s, $killed mutants fail)"
	fi
done

# A mutant that no model lists would never be tried.
unlisted=$(comm -13 <(grep -h '^ \* Mutants:' ./*.pml | sed 's/.*: //' | tr ' ' '\n' | sort -u) \
	<(grep -ohE '\bM_[A-Z_]+[A-Z]\b' ./*.pml | sed 's/^M_//' | sort -u))
if [ -z "$unlisted" ]; then
	echo "ok - spin::every_mutant_is_listed"
else
	status=1
	echo "not ok - spin::every_mutant_is_listed"
	echo "# no model lists" $unlisted
fi
exit $status
