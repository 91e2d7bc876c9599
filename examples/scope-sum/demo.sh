#!/usr/bin/env bash
# examples/scope-sum/demo.sh: hashes a tree of this machine with scope-sum, has sha256sum verify
# the result, and measures both beside openssl.
#
# Usage: demo.sh PROGRAM [TREE]
# Takes about a minute, less where files are few; writes only to a directory of its own under
# TMPDIR (512 MiB), which it removes.
set -u
export LC_ALL=C

if [ $# -lt 1 ] || [ ! -x "$1" ]; then
	echo "usage: demo.sh PROGRAM [TREE]" >&2
	exit 2
fi
sum=$(realpath "$1")
workers=$(nproc)
room=$(mktemp -d) || exit 1
trap 'rm -rf "$room"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

now_ms() {
	local t=$EPOCHREALTIME
	echo $((${t%.*} * 1000 + 10#${t#*.} / 1000))
}

# Bytes of the files named, NUL-separated, in the file $1.
bytes_of() {
	xargs -0 stat -c %s <"$1" | awk '{ n += $1 } END { printf "%.0f\n", n }'
}

# ---- a tree, its manifest, and sha256sum's word on it ----

# hash_tree TREE: writes $room/manifest.  Fails if the tree takes more than half a minute,
# which happens when all of it must come from a slow disk.
hash_tree() {
	local started status
	started=$(now_ms)
	timeout -s INT 30 "$sum" -j "$workers" -o "$room/manifest" "$1"
	status=$?
	took=$(($(now_ms) - started))
	[ -e "$room/manifest" ] && [ $status -le 1 ]
}

tree=
for candidate in ${2:+"$2"} /usr/share /usr/include /usr/lib "$(dirname "$0")/../.."; do
	[ -d "$candidate" ] || continue
	size=$(timeout 20 du -sm --apparent-size "$candidate" 2>/dev/null | cut -f1)
	[ -n "$size" ] && [ "$size" -ge 1 ] && [ "$size" -le 2048 ] || continue
	echo "scope-sum hashes every file below $candidate ($size MiB) with SHA-256: a directory is"
	echo "a scope, a file is a task, and $workers workers take tasks from each other."
	if hash_tree "$candidate"; then
		tree=$candidate
		break
	fi
	echo "That takes too long here, so a smaller tree must do; nothing was left behind."
done
if [ -z "$tree" ]; then
	echo "demo.sh: found no tree to hash; name one: demo.sh PROGRAM TREE" >&2
	exit 1
fi
awk -v ms="$took" -v n="$(wc -l <"$room/manifest")" 'BEGIN {
	printf "%d files in %.1f s; the manifest is sorted by name.\n", n, ms / 1000 }'

if sha256sum -c --quiet "$room/manifest"; then
	echo "sha256sum -c agrees with every line of it."
else
	echo "sha256sum -c does not agree with the manifest" >&2
	exit 1
fi

# ---- throughput ----

large=$room/large
mkdir "$large"
for i in 1 2 3 4; do
	head -c 134217728 /dev/zero >"$large/$i" || exit 1
done

# subset LIST BYTES: the first names of LIST (NUL-separated) that make up at most so many.
subset() {
	xargs -0 stat --printf '%s %n\0' <"$1" 2>/dev/null | awk -v most="$2" '
		BEGIN { RS = ORS = "\0" }
		{ n += $1; if (n > most && NR > 1) exit; sub(/^[0-9]+ /, ""); print }'
}
find "$large" -type f -print0 >"$room/large.all"
find "$tree" -type f -readable -print0 >"$room/tree.all"
for list in large tree; do
	subset "$room/$list.all" 134217728 >"$room/$list.part"
	bytes_of "$room/$list.all" >"$room/$list.all.bytes"
	bytes_of "$room/$list.part" >"$room/$list.part.bytes"
done

# once WHAT LIST: runs one program over a list.
once() {
	case $1 in
	sha256sum) xargs -0 sha256sum <"$room/$2.part" ;;
	openssl) xargs -0 -P "$workers" -n "$batch" openssl dgst -sha256 <"$room/$2.all" ;;
	one) "$sum" -j 1 "$path" ;;
	all) "$sum" -j "$workers" "$path" ;;
	esac >/dev/null 2>&1
}

# rate WHAT LIST: the median of its times as MiB a second.
rate() {
	local bytes=$room/$2.all.bytes
	[ "$1" = sha256sum ] && bytes=$room/$2.part.bytes
	[ -s "$room/$1.$2" ] || { echo "-"; return; }
	sort -n "$room/$1.$2" | awk -v bytes="$(cat "$bytes")" '{ t[NR] = $1 }
		END {
			ms = t[int((NR + 1) / 2)]
			printf "%.0f\n", bytes / 1048576 / (ms > 0 ? ms / 1000 : 0.001)
		}'
}

programs="sha256sum one all"
command -v openssl >/dev/null && programs="sha256sum openssl one all"
# A round that would begin after this many seconds is left out: the machine is busy.
late=65
measure() { # LIST BATCH PATH
	local list=$1 what started round
	batch=$2 path=$3
	for round in 1 2 3; do
		[ $round -eq 1 ] || [ $SECONDS -lt $late ] || break
		rounds=$round
		for what in $programs; do
			started=$(now_ms)
			once "$what" "$list"
			echo $(($(now_ms) - started)) >>"$room/$what.$list"
		done
	done
}
measure large 1 "$large"
measure tree 512 "$tree"

echo
echo "MiB a second, files in the page cache, median of $rounds interleaved runs," \
	"$workers processors:"
echo
row='%-34s %10s %12s %13s %13s\n'
# shellcheck disable=SC2059
{
	printf "$row" "" sha256sum "openssl x$workers" "scope-sum -j1" "scope-sum -j$workers"
	for list in large tree; do
		name="4 files of 128 MiB"
		[ $list = tree ] && name="$tree, $(tr -cd '\0' <"$room/tree.all" | wc -c) files"
		printf "$row" "$name" "$(rate sha256sum $list)" "$(rate openssl $list)" \
			"$(rate one $list)" "$(rate all $list)"
	done
}
echo
echo "sha256sum has one thread and code of its own; it was given the first 128 MiB of each row."
echo "openssl is xargs -0 -P$workers openssl dgst -sha256, 1 large or 512 small files a process."
