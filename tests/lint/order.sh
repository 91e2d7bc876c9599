#!/bin/sh
# tests/lint/order.sh: every ordered atomic access names its protocol, and every protocol has
# both sides.
#
# A protocol is a [tag] declared once, in the table of a header ("   [deque.publish] ...").
# An access with an order carries the tag on its line or in the comment just above.
# Compiler atomics are written in base/atomic.h only.
cd "${1:-.}" || exit 2
find runtime -name '*.[ch]' ! -path runtime/base/atomic.h | sort | xargs awk '
function complain(where, text) {
	printf "%s: %s\n", where, text
	bad = 1
}
BEGIN {
	tag = "\\[[a-z0-9_]+\\.[a-z0-9_]+\\]"
	operation = "(load|store|cas|swap|add|sub|or|and)"
	ordered = "at_(" operation "_(acq|rel|acqrel|sc)|fence_[a-z]+)[ ]*\\("
}
FNR == 1 { above = "" }
/stdatomic\.h|memory_order_|__atomic_|__sync_/ {
	complain(FILENAME ":" FNR, "compiler atomics belong in base/atomic.h")
}
/^ \*   \[[a-z0-9_.]+\]/ {
	match($0, /\[[a-z0-9_.]+\]/)
	name = substr($0, RSTART, RLENGTH)
	declared[name]++
	where[name] = FILENAME ":" FNR
	next
}
$0 ~ ordered && $0 !~ /^[ \t]*(\*|\/\*|\/\/)/ {
	text = above " " $0
	if (text !~ tag)
		complain(FILENAME ":" FNR, "ordered access without a tag: " $0)
	while (match(text, tag)) {
		name = substr(text, RSTART, RLENGTH)
		text = substr(text, RSTART + RLENGTH)
		used[name] = FILENAME ":" FNR
		if ($0 !~ /at_(load|cas|swap|add|sub|or|and)_acq[ ]*\(|at_load_sc|fence_acq/)
			release[name]++
		if ($0 !~ /_rel[ ]*\(|at_store_sc/)
			acquire[name]++
	}
}
{ above = $0 ~ /^[ \t]*(\*|\/\*|\/\/)/ ? above " " $0 : "" }
END {
	for (name in used)
		if (!declared[name])
			complain(used[name], name " is not declared in a table of memory orders")
	for (name in declared) {
		if (declared[name] > 1)
			complain(where[name], name " is declared " declared[name] " times")
		if (!acquire[name] || !release[name])
			complain(where[name], name " needs both sides, has " acquire[name] + 0 \
				" acquiring and " release[name] + 0 " releasing accesses")
	}
	exit bad
}'
