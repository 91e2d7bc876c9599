#!/bin/sh
# tests/lint/typed.sh: what does not fit a typed scope does not compile (Y1), and what fits does,
# without a warning, in each language and by each compiler; the compiler says what is wrong.
cd "${1:-.}" || exit 2

program='#include <scope_typed.h>
struct conn;
struct other;
SCOPE_TYPED(conn, struct conn);
int serve(struct conn *conn);
int serve_other(struct other *other);
int serve_long(struct conn *conn, long more);
int spawn_one(struct conn_scope *s, struct conn *conn, struct other *other);
int spawn_one(struct conn_scope *s, struct conn *conn, struct other *other)
{
	(void)conn;
	(void)other;
	return CALL;
}'
bad=0

# compile CALL COMPILER LANGUAGE STANDARD: what the compiler says.
compile() {
	printf '%s\n' "$program" | sed "s/CALL/$1/" |
		"$2" -x "$3" -std="$4" -Wall -Wextra -Wpedantic $5 -Iapi -O1 -S -o /dev/null - 2>&1
}

fits() {
	if ! said=$(compile "$1" "$2" "$3" "$4" -Werror); then
		echo "$2 -std=$4 does not compile $1: $said"
		bad=1
	fi
}

# Of a call that is wrong the message names the place and both types.
is_refused() {
	if said=$(compile "$1" "$2" "$3" "$4" ""); then
		echo "$2 -std=$4 compiles $1"
		bad=1
	elif ! printf '%s\n' "$said" | grep -qE "error: .*($5)" ||
		! printf '%s\n' "$said" | grep -q "struct conn\|conn_scope\|conn \*"; then
		echo "$2 -std=$4 refuses $1, but says: $said"
		bad=1
	fi
}

check() {
	command -v "$1" >/dev/null 2>&1 || return 0
	fits 'conn_spawn(s, serve, conn)' "$@"
	fits 'conn_spawn_with(s, serve, conn, 0) + conn_start(s, serve, conn)' "$@"
	fits 'conn_open(s, 0) + conn_close(s)' "$@"
	words='incompatible|invalid conversion|no matching function'
	is_refused 'conn_spawn(s, serve_other, conn)' "$@" "$words"
	is_refused 'conn_spawn(s, serve_long, conn)' "$@" "$words"
	is_refused 'conn_spawn(s, serve, other)' "$@" "$words|cannot convert"
	is_refused 'conn_start(s, serve_other, conn)' "$@" "$words"
	is_refused 'conn_spawner_spawn(0, serve_other, conn)' "$@" "$words"
	is_refused 'scope_spawn(s, serve, conn)' "$@" "$words|cannot convert"
}

newest=
! command -v clang-19 >/dev/null 2>&1 || newest=-19
for standard in c99 c17; do
	check gcc c $standard
	check clang$newest c $standard
done
for standard in c++11 c++20; do
	check g++ c++ $standard
	check clang++$newest c++ $standard
done
exit $bad
