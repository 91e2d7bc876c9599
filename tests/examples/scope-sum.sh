#!/usr/bin/env bash
# tests/examples/scope-sum.sh: scope-sum from outside: manifests against sha256sum's, checking,
# damaged trees, full disks, interrupts, few descriptors, the progress line.
#
# Environment: BUILD (build), SCOPE_SUM (the program to test), TMPDIR.  Prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 2
sum=$(realpath "${SCOPE_SUM:-${BUILD:-build}/bin/scope-sum}") || exit 2
export LC_ALL=C
unset SCOPE_WORKERS

room=$(mktemp -d) || exit 2
trap 'chmod -R u+rwx "$room" 2>/dev/null; rm -rf "$room"' EXIT
chmod 755 "$room"
cd "$room" || exit 2
count=0

# check NAME COMMAND...: one TAP line, with what the command printed if it failed.  The
# command runs in a subshell: it may change directory, limits, descriptors.
check() {
	local name=$1
	shift
	count=$((count + 1))
	if ("$@") >"$room/output" 2>&1; then
		echo "ok $count - $name"
	else
		echo "not ok $count - $name"
		head -n 20 "$room/output" | sed 's/^/# /'
	fi
}

# exits STATUS COMMAND...: its output goes to the file "out", standard error to "err".
exits() {
	local want=$1 got
	shift
	timeout 60 "$@" >"$room/out" 2>"$room/err" </dev/null
	got=$?
	[ "$got" -eq "$want" ] && ! grep -q libscope "$room/err" && return
	echo "status $got, not $want: $*"
	cat err
	return 1
}

says() {
	grep -qF -- "$1" "$room/err" && return
	echo "not on standard error: $1"
	cat "$room/err"
	return 1
}

# What sha256sum says of the regular files below the paths given, by name.
reference() {
	find "$@" -type f -print0 | sort -z | xargs -0 -r sha256sum --
}

# ---- the manifest ----

mkdir -p tree/sub/deeper tree/empty "tree/with space"
printf a >"tree/new
line"
printf b >'tree/back\slash'
printf c >$'tree/carriage\rreturn'
printf d >$'tree/sub/not\xff\xfeutf8'
printf e >tree/sub-first
printf f >tree/sub/file
printf g >tree/sub.last
printf h >"tree/with space/ lead"
printf 'i' >tree/-dash
: >tree/sub/deeper/empty
head -c 131072 /dev/urandom >tree/exactly-one-read
head -c 131073 /dev/urandom >tree/one-read-and-a-byte
head -c 5000000 /dev/urandom >tree/sub/several-reads
mkdir tree/many
for i in $(seq 1 300); do echo "$i" >"tree/many/$i"; done
reference tree >expected

same_for() {
	exits 0 "$sum" -j "$1" tree && cmp out expected && [ ! -s err ]
}
for workers in 1 2 4 17; do
	check "manifest_equals_sha256sums_with_j$workers" same_for $workers
done

several_arguments() {
	exits 0 "$sum" tree/sub/ tree/many tree/-dash && reference tree/sub tree/many tree/-dash |
		sort -k 2 >want && sort -k 2 out | cmp - want
}
check several_arguments several_arguments

overlapping() {
	exits 0 "$sum" -j4 tree/sub tree tree/sub-first && sort -c -k 2 out &&
		[ "$(wc -l <out)" -eq $(($(wc -l <expected) + 1 +
			$(find tree/sub -type f | wc -l))) ]
}
check arguments_that_overlap_are_sorted_together overlapping

current_directory() {
	cd tree && exits 0 "$sum" . && reference . | cmp - ../out
}
check the_current_directory current_directory
check empty_directory eval 'exits 0 "$sum" tree/empty && [ ! -s out ] && [ ! -s err ]'
check empty_file eval 'exits 0 "$sum" tree/sub/deeper/empty && sha256sum tree/sub/deeper/empty |
	cmp - out'
check standard_input eval 'printf hello | "$sum" - >out && printf hello | sha256sum - | cmp - out'
check a_pipe_on_the_command_line eval '"$sum" <(sleep 0.1; printf hello; sleep 0.1; printf you) \
	>out && [ "$(cut -c1-64 out)" = "$(printf helloyou | sha256sum | cut -c1-64)" ]'
check files_of_proc_have_no_size eval 'exits 0 "$sum" /proc/version &&
	sha256sum /proc/version | cmp - out'
check names_after_two_dashes eval 'cd tree && exits 0 "$sum" -- -dash && sha256sum -- -dash |
	cmp - ../out'

# ---- -c ----

"$sum" tree >manifest
check sha256sum_accepts_the_manifest sha256sum -c --quiet --strict manifest

as_sha256sum() { # MANIFEST: same lines, same warnings, same status
	local status
	sha256sum -c "$1" >want 2>want.err
	status=$?
	exits $status "$sum" -c "$1" && cmp out want &&
		diff <(grep WARNING err | sed 's/^[^:]*: //') \
			<(grep WARNING want.err | sed 's/^[^:]*: //')
}
check check_own_manifest as_sha256sum manifest
check check_sha256sums_manifest as_sha256sum expected
sha256sum -b tree/sub/file tree/many/* >binary
check check_binary_marks as_sha256sum binary
find tree -type f -print0 | xargs -0 sha256sum --tag >tagged
check check_tagged as_sha256sum tagged
{
	sed '1s/[0-9a-f]/0/g' manifest
	echo "# a comment"
	echo
	echo "no checksum"
	echo "$(printf x | sha256sum | cut -c1-64)  not there"
	echo "$(printf x | sha256sum | cut -c1-64)  tree/sub"
	printf '%s  tree/sub/file\r\n' "$(printf f | sha256sum | cut -c1-64 | tr a-f A-F)"
} >wrong
check check_mismatch_missing_directory_and_malformed as_sha256sum wrong
check check_from_standard_input eval '"$sum" -c - <manifest >out && ! grep -v ": OK$" out'
check check_missing_manifest eval 'exits 1 "$sum" -c nowhere && says nowhere'
check check_manifest_without_lines eval 'exits 1 "$sum" -c tree/sub/file &&
	says "no properly formatted"'

# ---- -o ----

written() {
	rm -f sums
	(umask 027 && exits 0 "$sum" -o sums tree) && cmp sums expected && [ ! -s out ] &&
		[ "$(stat -c %a sums)" = 640 ] && [ -z "$(ls -A | grep '^\.scope-sum')" ]
}
check output_file written
replaced() {
	echo old >sums && chmod 604 sums && ln -sf sums link-to-sums &&
		exits 0 "$sum" -o link-to-sums tree && cmp sums expected && [ -L link-to-sums ] &&
		[ "$(stat -c %a sums)" = 604 ]
}
check output_replaces_the_target_of_a_link_and_keeps_its_mode replaced
check output_in_a_missing_directory eval 'exits 1 "$sum" -o nowhere/sums tree && says nowhere'
check output_over_a_directory eval 'exits 1 "$sum" -o tree tree && says tree'
check output_to_a_full_device eval 'exits 1 "$sum" -o /dev/full tree && says /dev/full &&
	[ -c /dev/full ]'
check standard_output_full eval '! "$sum" tree >/dev/full 2>err && says "standard output"'
check standard_output_closed eval '! "$sum" tree >&- 2>err && says "standard output"'
check a_reader_that_leaves eval '"$sum" tree/many 2>err | head -n 1 >/dev/null;
	[ "${PIPESTATUS[0]}" -le 1 ]'
own_output() {
	cp -r tree/sub own && cd own && exits 0 "$sum" -o sums . && exits 0 "$sum" -o sums . &&
		says sums && sha256sum -c --quiet sums
}
check output_inside_the_tree_is_not_a_part_of_it own_output
full_disk() {
	(ulimit -f 1 && trap '' XFSZ && ! "$sum" -o small tree 2>err) && says small &&
		[ ! -e small ] && [ -z "$(ls -A | grep '^\.scope-sum')" ]
}
check output_too_large_leaves_nothing full_disk

# ---- what can go wrong with a file ----

check missing_argument eval 'exits 1 "$sum" nowhere tree && says nowhere && cmp out expected'
check a_name_that_steers_terminals_is_quoted eval "exits 1 \"\$sum\" \$'no\\nwhere\\e' &&
	says 'no\\nwhere\\033'"

cp "$sum" scope-sum-copy && chmod 755 scope-sum-copy
unreadable() {
	local as=()
	[ "$(id -u)" -ne 0 ] || as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	mkdir -p closed/dir && echo 1 >closed/file && echo 2 >closed/other && echo 3 >closed/dir/x
	chmod 000 closed/file closed/dir
	exits 1 "${as[@]}" ./scope-sum-copy closed && says closed/file && says closed/dir &&
		sha256sum closed/other | cmp - out
}
check unreadable_file_and_directory unreadable
check read_error eval 'exits 1 "$sum" /proc/self/mem tree/sub/file && says /proc/self/mem &&
	sha256sum tree/sub/file | cmp - out'

truncate -s 1G big1
truncate -s 1G big2
echo short >between
# Files are removed while they are read: sooner or later one is gone between the listing and
# its turn.  All others have their lines.
vanishing() {
	local try
	for try in $(seq 1 500); do
		cp -r tree/many vanishing
		perl -e 'chdir "vanishing"; unlink for (glob("*"))' &
		"$sum" -j2 vanishing >out 2>err
		case $? in
		0) [ ! -s err ] || return 1 ;;
		1) says "No such file or directory" || return 1 ;;
		*) return 1 ;;
		esac
		wait
		rm -rf vanishing
		sed 's|  vanishing/|  tree/many/|' out | sha256sum -c --quiet 2>&1 |
			grep -v "no properly" && return 1
		[ ! -s err ] || return 0
	done
	echo "no file vanished in time"
	return 1
}
check vanishing_file vanishing
changing() {
	truncate -s 1G changing
	"$sum" -j2 changing between >out 2>err &
	sleep 0.2
	"$@" changing
	! wait $! && says "changing: size changed" && sha256sum between | cmp - out
}
check growing_file changing truncate -s +5
check shrinking_file changing truncate -s 100M
vanishing_tree() {
	local try
	for try in 1 2 3 4 5; do
		cp -r tree gone
		(rm -rf gone &)
		"$sum" -j2 gone >out 2>err
		[ $? -le 1 ] || return 1
		rm -rf gone
	done
}
check vanishing_tree vanishing_tree

links() {
	mkdir -p links/dir && echo x >links/dir/file && ln -s dir/file links/to-file &&
		ln -s dir links/to-dir && ln -s nowhere links/to-nothing
	exits 0 "$sum" links && sha256sum links/dir/file | cmp - out && [ ! -s err ]
}
check links_inside_a_tree_are_not_followed links
check links_given_are_followed eval 'exits 0 "$sum" links/to-file links/to-dir &&
	sha256sum links/to-dir/file links/to-file | cmp - out'
loops() {
	mkdir -p loops/dir && echo x >loops/file && ln -s b loops/a && ln -s a loops/b &&
		ln -s .. loops/dir/up
	exits 0 "$sum" loops && sha256sum loops/file | cmp - out && [ ! -s err ] &&
		exits 1 "$sum" loops loops/a && says 'loops/a: Too many levels' &&
		sha256sum loops/file | cmp - out
}
check loops_of_links_are_errors_where_they_are_followed loops
empty_name() {
	exits 1 "$sum" '' tree/empty && grep -qx "scope-sum: '': No such file or directory" err &&
		exits 1 "$sum" -c '' && grep -q "^scope-sum: ''" err
	LC_ALL=C sha256sum '' 2>&1 | sed 's/^sha256sum/scope-sum/' >want
	exits 1 "$sum" '' && cmp err want
}
check empty_name_is_shown empty_name
special() {
	mkdir special && mkfifo special/fifo && echo x >special/file
	perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0);
		bind(S, sockaddr_un("special/socket"))'
	exits 0 "$sum" special && says special/fifo && says special/socket &&
		sha256sum special/file | cmp - out
}
check special_files_are_skipped special
check device_given eval 'exits 0 "$sum" /dev/null && sha256sum /dev/null | cmp - out'

# ---- options ----

for bad in "" "-x tree" "-j" "-j 0 tree" "-j two tree" "-j -1 tree" "-j 99999 tree" "--nothing" \
	"-c manifest tree" "-c manifest -o sums" "-o" "-c"; do
	check "usage_of_'$bad'" eval 'exits 2 "$sum" '"$bad"' && says usage: && [ ! -s out ] &&
		[ "$(wc -l <err)" -le 4 ]'
done
check help eval 'exits 0 "$sum" --help && grep -q usage: out && [ "$(wc -l <out)" -lt 24 ]'
stats() {
	exits 0 "$sum" -j2 --stats tree && cmp out expected &&
		grep -qx "files    $(wc -l <expected)" err && grep -qx "workers  2" err &&
		for word in bytes seconds rate stolen stacks; do says "$word "; done
}
check stats stats

# ---- the progress line ----

terminal() { # COMMAND: runs it with standard error on a terminal of its own
	script -qec "$1" /dev/null </dev/null | tr '\r' '\n' >screen
}
check progress_on_a_terminal eval 'terminal "$sum -j2 tree big1 >out" &&
	grep -q "/s *left [0-9]*:[0-9][0-9]" screen && grep -q "running.*stolen" screen &&
	[ "$(grep -c "running" screen)" -ge 3 ]'
check progress_with_one_worker eval 'terminal "$sum -j1 big1 >out" &&
	[ "$(grep -c "running" screen)" -ge 3 ]'
check no_progress_elsewhere eval 'exits 0 "$sum" big1 && [ ! -s err ]'

# ---- interrupts ----

now_ms() {
	local t=$EPOCHREALTIME
	echo $((${t%.*} * 1000 + 10#${t#*.} / 1000))
}
# interrupted SIGNAL STATUS DELAY COMMAND...: ends in time, with the status, unless it had
# ended before.  Prints the milliseconds.
interrupted() {
	local signal=$1 want=$2 delay=$3 pid start got
	shift 3
	env --default-signal=INT,TERM "$@" >out 2>err &
	pid=$!
	sleep "$delay"
	start=$(now_ms)
	kill -s "$signal" $pid 2>/dev/null
	wait $pid
	got=$?
	echo $(($(now_ms) - start)) >>times
	[ $got -eq "$want" ] || [ $got -eq 0 ] && return
	echo "status $got after $delay s"
	return 1
}
seconds() { # below $1, at random
	printf '0.%04d' $((RANDOM % ($1 * 10)))
}
# In time: nine of ten within 100 ms, on a machine that has other things to do too.
in_time() {
	sort -n times | awk '{ t[NR] = $1 } END {
		i = int((NR * 9 + 9) / 10); print "slowest tenth:", t[i], "ms, all:", t[NR], "ms"
		exit !(t[i] <= 100) }'
}
while_hashing() {
	rm -f times sums
	for _ in $(seq 1 20); do
		interrupted "$1" "$2" "$(seconds 500)" "$sum" -o sums big1 big2 tree || return 1
		[ ! -e sums ] || cmp sums "$room/want" >&2
		[ ! -s out ] && [ -z "$(ls -A | grep '^\.scope-sum')" ] || return 1
	done
	in_time
}
check interrupt_while_hashing while_hashing INT 130
check terminate_while_hashing while_hashing TERM 143
mkfifo never
check interrupt_while_waiting_for_a_pipe eval 'rm -f times; exec 9<>never
	interrupted INT 130 0.3 "$sum" never && [ "$(cat times)" -le 200 ]'
exec 9>&-

# ---- a large directory, a deep one, few descriptors ----

perl -e 'mkdir "large"; chdir "large";
	for (1 .. 200000) { open F, ">", "file-$_" and print F $_ and close F }'
find large -type f -print0 | sort -z | xargs -0 sha256sum >expected-large
large() {
	(ulimit -n 64 && exits 0 "$sum" -j"$1" large) && cmp out expected-large
}
check 200000_files_with_64_descriptors large 2
check 200000_files_with_64_descriptors_and_one_worker large 1
check 200000_files_checked eval '(ulimit -n 64 && exits 0 "$sum" -c expected-large) &&
	[ "$(grep -c ": OK$" out)" -eq 200000 ]'
while_writing() {
	local start took
	start=$(now_ms)
	"$sum" large >/dev/null
	took=$(($(now_ms) - start))
	[ $took -le 900 ] || took=900
	rm -f times
	for _ in $(seq 1 20); do
		rm -f sums
		interrupted INT 130 "$(seconds $took)" "$sum" -o sums large ||
			return 1
		[ ! -e sums ] || cmp sums expected-large || return 1
		[ -z "$(ls -A | grep '^\.scope-sum')" ] || return 1
	done
	in_time
}
check interrupt_at_any_moment_leaves_all_or_nothing while_writing
whole_lines() {
	local pid
	env --default-signal=INT "$sum" large >never 2>err &
	pid=$!
	# The reader stops when it has the first lines, so that the writer stands still.
	{ head -c 4096; : >begun; sleep 2; cat; } <never >piped &
	while [ ! -e begun ]; do sleep 0.05; done
	sleep 0.5
	kill -s INT $pid
	wait $pid
	[ $? -eq 130 ] || return 1
	wait
	[ -s piped ] && [ -z "$(tail -c 1 piped)" ] && ! grep -qvE '^[0-9a-f]{64}  large/' piped
}
check interrupt_between_two_lines whole_lines
rm -rf large

perl -e 'mkdir "deep"; chdir "deep"; my $n = "d" x 20;
	for (1 .. 3000) { open F, ">", "file" and print F $_ and close F; mkdir $n; chdir $n }'
deep() {
	(ulimit -n 64 && exits 0 "$sum" -j"$1" deep) && [ "$(wc -l <out)" -eq 3000 ] &&
		head -n 1 out | grep -q '/dd*/file$' && sort -c -k 2 out && mv out deep.$1
}
check 3000_levels_with_64_descriptors deep 2
check 3000_levels_with_one_worker deep 1
check 3000_levels_are_the_same_for_each_j cmp deep.1 deep.2
check 3000_levels_checked eval '(ulimit -n 64 && exits 0 "$sum" -c deep.2)'
check many_arguments_with_64_descriptors eval '(ulimit -n 64 &&
	exits 0 "$sum" tree/many/* tree/sub tree/many tree/sub/* tree/empty) && [ ! -s err ]'

echo "1..$count"
