#!/usr/bin/env bash
# tests/model/mutants.sh: weakens or drops each access of the runtime that belongs to a protocol
# in turn and expects that a model, or else the simulation, notices.
#
# Usage: tests/model/mutants.sh [--share K/N] [--no-sim] [--quick] [PATH-PREFIX...]
#   --share K/N  only each Nth mutant, beginning with the Kth
#   --no-sim     models only
#   --quick      small models only, and none of the mutants in survivors.txt
# Accesses: those with an order, and relaxed ones with a tag, which rely on fences.  Changes: an
# order becomes one weaker (acqrel: acq and rel in turn), a fence, a write or a
# read-modify-write is left out.  Prints TAP, a line for each mutant and who killed it.  One
# that survives must be in tests/model/survivors.txt with its reason, and none else may be.
# What was found out stays in $BUILD/mutants until a model or the sources change.
set -u
cd "$(dirname "$0")/../.." || exit 2

build=${BUILD:-build}
export BUILD=$build
results=$build/mutants
survivors=tests/model/survivors.txt
limit=60 # seconds of its own for one program of models; ten times what the slowest takes

# Each access: FILE LINE FUNCTION OPERATION TAG.
accesses() {
	find runtime -name '*.[ch]' ! -path runtime/base/atomic.h | sort | xargs awk '
	BEGIN {
		words = "at_(load|store|cas|swap|add|sub|or|and)_"
		ordered = "(" words "(acq|rel|acqrel|sc)|at_fence_sc) *\\("
		relaxed = words "rlx *\\("
	}
	FNR == 1 { function_name = "-"; above = "" }
	/^[A-Za-z].*\(/ && !/;$/ {
		function_name = $0
		sub(/\(.*/, "", function_name)
		sub(/.*[ *]/, "", function_name)
	}
	/^[ \t]*(\*|\/\*|\/\/)/ { above = above $0; next }
	match($0, ordered) || match($0, relaxed) {
		access = substr($0, RSTART + 3, RLENGTH - 3)
		gsub(/[ (]/, "", access)
		text = above $0
		tag = "-"
		while (match(text, /\[[a-z0-9_]+\.[a-z0-9_]+\]/)) {
			name = substr(text, RSTART + 1, RLENGTH - 2)
			tag = tag == "-" ? name : tag "," name
			text = substr(text, RSTART + RLENGTH)
		}
		file = FILENAME
		sub(/^runtime\//, "", file)
		if (tag != "-" || access !~ /_rlx$/)
			print file, FNR, function_name, access, tag
	}
	{ above = "" }'
}

# Each mutant: the access and its CHANGE.
mutants() {
	accesses | awk '
	{
		kind = $4
		sub(/_.*/, "", kind)
		order = $4
		sub(/.*_/, "", order)
		if (kind == "fence")
			changes = "drop"
		else if (order == "sc")
			changes = "acqrel"
		else if (order == "acqrel")
			changes = "acq rel"
		else
			changes = order == "rlx" ? "" : "rlx"
		if (kind != "fence" && kind != "load")
			changes = changes " drop"
		n = split(changes, change, " ")
		for (i = 1; i <= n; i++)
			print $0, change[i]
	}'
}

# The models that include a file of the runtime, first the one that is named after it.
models_of() {
	local dependencies name own=${1##*/}

	own=${own%.*}
	[ ! -e "$build/model/$own" ] || echo "$own"
	for dependencies in "$build"/model/*.d; do
		grep -q "runtime/$1\b" "$dependencies" || continue
		name=$(basename "$dependencies" .d)
		case $name in main | runtime | "$own") ;; *) echo "$name" ;; esac
	done
	[ -n "$QUICK" ] || ! grep -q "runtime/$1\b" "$build"/model/rt/*/*.d || echo runtime
}

# kill_by_models FILE LINE CHANGE: prints the name of the model that failed.  A program that
# crashes has noticed too; one that does not end in time proves nothing.
kill_by_models() {
	local name failed status

	for name in $(models_of "$1"); do
		failed=$(MODEL_MUTANT=$1:$2:$3 timeout $((10 * limit)) prlimit --cpu=$limit \
			"$build/model/$name" 2>&1)
		status=$?
		[ $status -ne 137 ] && [ $status -ne 152 ] || status=124 # out of time
		failed=$(sed -n 's/^not ok [0-9]* - \([^ ]*\).*/\1/p' <<<"$failed" | head -n 1)
		[ -n "$failed" ] || [ $status -le 128 ] || failed="a crash in $name"
		[ -z "$failed" ] || { echo "$failed"; return; }
	done
	return 1
}

# kill_by_simulation FILE LINE OPERATION: a build without that write, under the simulation.
kill_by_simulation() {
	local tree=$results/tree.$BASHPID dropped failed

	case $3 in
	store_*) dropped='at_dropped(p,v)=((void)(p),(void)(v))' ;;
	cas_*) dropped='at_dropped(p,e,v)=(at_load_rlx(p)==*(e))' ;;
	fence_*) dropped='at_dropped()=((void)0)' ;;
	*) dropped='at_dropped(p,v)=((void)(v),at_load_rlx(p))' ;;
	esac
	mkdir -p "$tree/build/sim" && cp -a Makefile api examples runtime tests "$tree" &&
		cp -a "$build/sim" "$tree/build/" &&
		sed -i "$2s/at_$3 *(/at_dropped(/" "$tree/runtime/$1" &&
		timeout 300 make -C "$tree" BUILD=build CC="${CC:-cc} '-D$dropped'" build/test/sim \
			>"$tree/log" 2>&1 ||
		{
			echo "mutants: $1:$2 does not build without at_$3: $tree/log" >&2
			return 1
		}
	failed=$(cd "$tree" && SIM_SECONDS=1 timeout 300 build/test/sim --fork -j1 --timeout 60 \
		2>&1 | sed -n '/^not ok/{s/^not ok - \([^ ]*\).*/\1/p;q}')
	rm -rf "$tree"
	[ -n "$failed" ] && echo "$failed"
}

# try FILE LINE FUNCTION OPERATION TAG CHANGE: leaves "killed by ..." or "survives".
try() {
	local result=$results/$(echo "$*" | tr '/ ' '__') killer

	[ -s "$result" ] && [ "$result" -nt "$results/began" ] && return
	if [ -n "$QUICK" ] && grep -q "^$1 $3 $4 $6: " $survivors; then
		echo survives >"$result"
	elif killer=$(kill_by_models "$1" "$2" "$6"); then
		echo "killed by $killer" >"$result"
	elif [ "${SIMULATE:-}$6" = drop ] && killer=$(kill_by_simulation "$1" "$2" "$4"); then
		echo "killed by $killer" >"$result"
	else
		echo survives >"$result"
	fi
}

share=1/1
: "${SIMULATE=}" "${QUICK=}"
results=$results${QUICK:+.quick}

if [ "${1:-}" = --try ]; then
	shift
	try "$@"
	exit
fi

while [ $# -gt 0 ]; do
	case $1 in
	--share) share=$2; shift 2 ;;
	--no-sim) SIMULATE=no; shift ;;
	--quick) SIMULATE=no QUICK=yes results=$results.quick; shift ;;
	*) break ;;
	esac
done
export SIMULATE QUICK

mkdir -p "$results"
programs=$(for source in tests/model/*.cc; do
	name=$(basename "$source" .cc)
	[ "$QUICK$name" = yesruntime ] || echo "$build/model/$name"
done)
make --no-print-directory -j"$(nproc)" $programs $([ -n "$SIMULATE" ] || echo "$build/test/sim") \
	>"$results/build.log" 2>&1 || { tail "$results/build.log"; exit 1; }
# Newer than a result: that result is of other sources.
newest=$(ls -t $programs $survivors tests/model/*.sh runtime/*/*.[ch] | head -n 1)
touch -r "$newest" "$results/began"

mutants | awk -v prefixes="$*" -v share="$share" '
	BEGIN { n = split(prefixes, prefix, " "); split(share, part, "/") }
	{
		wanted = !n
		for (i = 1; i <= n; i++)
			wanted = wanted || index($1, prefix[i]) == 1
		if (wanted && (++count - part[1]) % part[2] == 0)
			print
	}' >"$results/list"
xargs -P "$(nproc)" -L 1 "$0" --try <"$results/list"

while read -r file line function operation tag change; do
	name="$file $line $function $operation $tag $change"
	printf '%s|%s|%s\n' "$file:$line [$tag] $operation -> $change" \
		"$file $function $operation $change" "$(cat "$results/${name//[\/ ]/_}")"
done <"$results/list" | awk -F '|' -v survivors=$survivors -v whole="$share$*" '
	BEGIN {
		while ((getline line < survivors) > 0) {
			if (line ~ /^#/ || line == "" || !(at = index(line, ": ")))
				continue
			reason[substr(line, 1, at - 1)] = substr(line, at + 2)
		}
	}
	{
		verdict = "ok"
		note = $3
		listed[$2] = 1
		if ($3 ~ /^killed/)
			killed++
		else if ($2 in reason) {
			justified++
			survived[$2] = 1
			note = "survives: " reason[$2]
		} else {
			verdict = "not ok"
			bad = 1
		}
		printf "%s %d - %s # %s\n", verdict, NR, $1, note
	}
	END {
		for (key in reason)
			if (whole == "1/1" && !(key in survived)) {
				printf "not ok %d - %s # in %s, but killed or gone\n", ++NR, key, \
					survivors
				bad = 1
			}
		printf "1..%d\n# %d mutants, %d killed, %d justified\n", NR, NR, killed, justified
		exit bad
	}'
