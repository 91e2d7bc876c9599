#!/bin/sh
# tests/lint/steps.sh: the Spin models follow the sources step by step: every tagged access of
# the functions that a model follows is a step there, and every step there is in the source.
#
# A model says what it follows: " * Follows: FILE all", "FILE all but FUNCTION...", or
# "FILE only FUNCTION...".  Its steps are comments: "FUNCTION: OPERATION(WORD) [tag]", a fence
# without a word.  Compared as sets over all models.
cd "${1:-.}" || exit 2
list=$(mktemp -d) || exit 2
trap 'rm -rf "$list"' EXIT

models=$(find tests/model -name '*.pml' | sort)
sed -n 's|^ \* Follows: ||p' $models >"$list/follows"
grep -oE '[a-z_0-9]+: [a-z_]+(\([a-z_]+\))? \[[a-z0-9_.]+\]' $models | sed 's/^[^:]*://' |
	sort -u >"$list/steps"

# FILE FUNCTION: OPERATION(WORD) [tag] of each ordered access; a tag on the line or just above.
sed 's/ .*//' "$list/follows" | sort -u | xargs awk '
FNR == 1 { above = ""; name = "" }
/^[a-zA-Z].*\(/ && !/;$/ {
	name = $0
	sub(/\(.*/, "", name)
	sub(/.*[ *]/, "", name)
}
{
	line = $0
	if (match(line, /at_[a-z]+_(rlx|acq|rel|acqrel|sc)\(/)) {
		step = substr(line, RSTART + 3, RLENGTH - 4)
		rest = substr(line, RSTART + RLENGTH)
		word = ""
		if (step !~ /^fence/) {
			sub(/[,)].*/, "", rest)
			sub(/.*(->|\.|&)/, "", rest)
			word = "(" rest ")"
		}
		text = line " " above
		while (match(text, /\[[a-z0-9_]+\.[a-z0-9_]+\]/)) {
			print FILENAME, name ": " step word " " substr(text, RSTART, RLENGTH)
			text = substr(text, RSTART + RLENGTH)
		}
	}
	above = line ~ /^[ \t]*(\/\*|\*)/ ? above " " line : ""
}' | sort -u >"$list/source"

# Those that some model follows, and those of all functions that are named.
awk -v list="$list" '
FILENAME ~ /follows$/ {
	mode[$1] = $1 in mode ? mode[$1] : ""
	if ($2 == "all") {
		whole[$1] = 1
		for (i = 4; i <= NF; i++)
			except[$1, $i] = 1
	} else {
		for (i = 3; i <= NF; i++)
			only[$1, $i] = 1
	}
	next
}
{
	name = $2
	sub(/:$/, "", name)
	if ((whole[$1] && !except[$1, name]) || only[$1, name])
		print substr($0, index($0, " ") + 1)
}' "$list/follows" "$list/source" | sort -u >"$list/wanted"

bad=0
missing=$(comm -23 "$list/wanted" "$list/steps")
[ -z "$missing" ] || { echo "steps of the source that no model has:"; echo "$missing"; bad=1; }
extra=$(comm -13 "$list/wanted" "$list/steps")
[ -z "$extra" ] || { echo "steps of a model that the source does not have:"; echo "$extra"; bad=1; }
[ -s "$list/wanted" ] || { echo "no steps found"; bad=1; }
exit $bad
