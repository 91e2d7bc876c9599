#!/usr/bin/env bash
# tests/examples/install.sh: the README's program, built against an installed libscope, prints
# what the README says; uninstall leaves nothing.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=${BUILD:-build}

room=$(mktemp -d) || exit 2
trap 'rm -rf "$room"' EXIT
prefix=/opt/scope
export PKG_CONFIG_PATH=$room$prefix/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$room
count=0

# check NAME COMMAND...: one TAP line, with the command's output if it failed.
check() {
	local name=$1
	shift
	count=$((count + 1))
	if "$@" >"$room/output" 2>&1; then
		echo "ok $count - $name"
	else
		echo "not ok $count - $name"
		sed 's/^/# /' "$room/output"
	fi
}

# The first program of the README and the block after it, which is its output.
awk -v room="$room" '
/^```/ && !inside { block++; inside = 1; next }
/^```/ { inside = 0; next }
inside && block == 1 { print >(room "/program.c") }
inside && block == 2 { print >(room "/expected") }' README.md

make_quietly() {
	make --no-print-directory BUILD="$build" PREFIX=$prefix DESTDIR="$room" "$@"
}
prints_what_it_should() {
	"$@" >"$room/printed" && diff "$room/expected" "$room/printed"
}
compile() {
	local output=$1
	shift
	# shellcheck disable=SC2046
	${CC:-cc} -std=c11 -Wall -Wextra -Werror -o "$room/$output" "$room/program.c" \
		$(pkg-config --cflags scope) "$@"
}
pages_are_readable() {
	local man=$room$prefix/share/man

	grep -q '^\.SH SYNOPSIS' "$man/man3/scope_close.3" &&
		grep -q '^\.SH RETURN VALUE' "$man/man3/scope_close.3" &&
		grep -q 'deadline_ns;' "$man/man3/scope_options.3" &&
		grep -q '^\.BR scope_spawn (3)' "$man/man7/libscope.7" &&
		grep -q '^\.TH SCOPE' "$man/man1/scope-seeds.1" || return
	grep -q '^What the disk has to be waited for' "$man/man7/scope_file.7" &&
		grep -q '^\.BR scope_file_rename (3)' "$man/man7/scope_file.7" || return
	for header in api/*.h; do
		header=${header##*/}
		grep -q "^\.B #include <$header>" "$man/man7/${header%.h}.7" ||
			{ echo "no page of $header"; return 1; }
	done
	# Each call that a header declares has its page.
	sed -n 's/^SCOPE_API .*[ *]\(scope_[a-z_]*\)(.*/\1/p' api/*.h |
		grep -v scope_errno_location | while read -r call; do
		test -s "$man/man3/$call.3" || { echo "no page of $call"; return 1; }
	done
}
debug_library_speaks() {
	printf '%s\n' '#include <scope.h>' \
		'int main(void) { struct scope s; scope_open(&s); return 0; }' >"$room/outside.c"
	# shellcheck disable=SC2046
	${CC:-cc} -o "$room/outside" "$room/outside.c" $(pkg-config --cflags scope) \
		"$room$(pkg-config --variable=debug_libs scope | sed "s|^$room||; s| .*||")" \
		-luv -lpthread &&
		"$room/outside" 2>&1 | grep 'scope_open was called outside scope_run'
}
only_libc_is_needed() {
	! ldd "$room$prefix/lib/libscope.so.0" | grep -E 'jemalloc|not found'
}
# An abandoned call that hangs in libuv does not keep the process, and its status stays.
ends_although_a_call_hangs() {
	cat >"$room/hang.c" <<-'END'
		#include <fcntl.h>
		#include <scope_file.h>
		#include <stdlib.h>

		static int give_up(void *path)
		{
			struct scope_options options = {.deadline_ns = scope_now() + SCOPE_MS};
			struct scope_file *file;
			struct scope s;

			scope_open_with(&s, &options);
			if (scope_file_open(path, O_RDONLY, 0, &file) != -ECANCELED)
				exit(1);
			return scope_close(&s) == -ETIMEDOUT ? 0 : 2;
		}

		int main(int argc, char **argv)
		{
			struct scope_config config = {.orphan_grace_ns = SCOPE_MS};

			(void)argc;
			return scope_run(give_up, argv[1], &config) == 0 ? 3 : 4;
		}
	END
	# shellcheck disable=SC2046
	${CC:-cc} -include errno.h -o "$room/hang" "$room/hang.c" $(pkg-config --cflags scope) \
		"$@" && mkfifo "$room/fifo" || return
	LD_LIBRARY_PATH="$room$prefix/lib" timeout 30 "$room/hang" "$room/fifo"
	local status=$?
	rm "$room/fifo"
	[ $status -eq 3 ]
}
nothing_is_left() {
	test -z "$(find "$room$prefix" ! -type d)"
}

check installs make_quietly install
check builds_against_the_shared_library compile shared $(pkg-config --libs scope)
check runs_with_the_shared_library prints_what_it_should \
	env LD_LIBRARY_PATH="$room$prefix/lib" "$room/shared"
check builds_against_the_archive compile static "$room$prefix/lib/libscope.a" -luv -lpthread
check runs_with_the_archive prints_what_it_should "$room/static"
check builds_as_a_whole_static_program compile whole -static $(pkg-config --static --libs scope)
check runs_as_a_whole_static_program prints_what_it_should "$room/whole"
check builds_with_link_time_optimisation compile lto -O2 -flto \
	"$room$prefix/lib/libscope-lto.a" -luv -lpthread
check runs_with_link_time_optimisation prints_what_it_should "$room/lto"
# shellcheck disable=SC2046
check ends_although_a_call_hangs ends_although_a_call_hangs $(pkg-config --libs scope)
# shellcheck disable=SC2046
check ends_as_a_whole_static_program_although_a_call_hangs ends_although_a_call_hangs -static \
	$(pkg-config --static --libs scope)
check manual_pages_are_installed pages_are_readable
check debug_library_is_installed debug_library_speaks
check library_brings_no_allocator only_libc_is_needed
check uninstalls make_quietly uninstall
check uninstall_leaves_nothing nothing_is_left
echo "1..$count"
