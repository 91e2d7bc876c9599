#!/bin/sh
# tests/lint/tls.sh: no compiler keeps the running worker across a call that may switch threads.
#
# scope_close reads the thread-local pointer to its worker at entry and again after each child,
# which may go on in another thread.  The check follows its machine code in both libraries:
# from the entry and from every call that comes back, on every way, there is such a read before
# the next child is called, and from a child's before the return too.  x86-64 only.
#
# Usage: tests/lint/tls.sh [DIRECTORY [PROGRAM]]    PROGRAM: that one is checked, not the libraries
cd "${1:-.}" || exit 2
build=${BUILD:-build}
case $(uname -m) in
x86_64) ;;
*) exit 0 ;;
esac

# Of a program $1, with everything in sight of the optimiser: no function that may go on in
# another thread takes the address of a thread-local variable, which it could keep.  The ones left
# out run on a thread's own stack, which stays there.
check_program() {
	objdump -d --no-show-raw-insn "$1" | awk '
	/^[0-9a-f]+ <.*>:$/ {
		name = $2
		takes = 0
		sub(/\.[0-9a-z_.]*>/, ">", name)
		stays = name ~ /<(scope_run|sc_sched_run|run_thread|work)>/ ||
			name ~ /<sc_os_sigstack_(un)?install>/
	}
	/%fs:0x0,/ { takes = !stays }
	takes && /call/ && !/__tls_get_addr|__stack_chk_fail/ {
		print name " takes the address of a thread-local variable and calls"
		takes = 0
		failed = 1
	}
	END { exit failed }'
}

if [ $# -gt 1 ]; then
	check_program "$2"
	exit
fi

bad=0
# Checks the library $1.
check() {
	objdump -d --no-show-raw-insn "$build/$1" | awk -v library="$1" '
	/^[0-9a-f]+ <.*>:$/ { inside = /<scope_close>/; next }
	/^$/ { inside = 0 }
	inside && match($0, /^ *[0-9a-f]+:/) {
		at = substr($0, RSTART, RLENGTH - 1)
		gsub(/ /, "", at)
		text = substr($0, RSTART + RLENGTH)
		gsub(/^[ \t]+|[ \t]+$/, "", text)
		place[at] = ++count
		code[count] = text
	}
	# A slot is called through memory, but not through the table of imported functions.
	function is_child(i) {
		return code[i] ~ /^call[q]? +\*.*\(/ && code[i] !~ /\(%rip\)/
	}
	function is_read(i) {
		return code[i] ~ /%fs:/ && code[i] !~ /%fs:0x28/
	}
	# Where a jump within the function leads, 0 if it leaves it.
	function target(i,   part) {
		split(code[i], part, / +/)
		return part[1] ~ /^j/ && part[2] in place ? place[part[2]] : 0
	}
	# Whether each way from instruction i on meets a read in time; a return may do instead.
	function is_read_from(i, or_return) {
		for (; i <= count && !seen[i]; i++) {
			seen[i] = 1
			if (is_read(i))
				return 1
			if (code[i] ~ /^(rep[z]? )?ret/)
				return or_return
			if (is_child(i))
				return 0
			if (code[i] ~ /^(notrack )?jmp/) {
				if (!target(i))
					return 1
				i = target(i) - 1
			} else if (target(i) && !is_read_from(target(i), or_return))
				return 0
		}
		return 1
	}
	function complain(text) {
		printf "scope_close in %s: %s\n", library, text
		failed = 1
	}
	END {
		if (!count)
			complain("not found")
		delete seen
		if (count && !is_read_from(1, 0))
			complain("the worker is not read at entry")
		for (i = 1; i <= count; i++) {
			reads += is_read(i)
			children += is_child(i)
			if (code[i] !~ /^(addr32 )?call/)
				continue
			delete seen
			if (!is_read_from(i + 1, !is_child(i)))
				complain("the worker is not read again after: " code[i])
		}
		if (count && (!children || reads < children + 1))
			complain(reads + 0 " reads of the worker, " children + 0 " children")
		exit failed
	}' || bad=1
}

check libscope.a
check libscope.so.0
exit $bad
