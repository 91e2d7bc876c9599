#!/bin/sh
# tests/lint/headers.sh: each public header compiles alone, in each language it promises.
cd "${1:-.}" || exit 2

has() {
	command -v "$1" >/dev/null 2>&1
}
clang= clangxx=
for suffix in -19 ""; do
	if [ -z "$clang" ] && has "clang$suffix"; then
		clang=clang$suffix clangxx=clang++$suffix
	fi
done

bad=0
# Compiles $header with the compiler and standard given.
check() {
	has "$1" || return 0
	printf '#include <%s>\nint header_compiles;\n' "${header#api/}" |
		"$1" -x "$2" -std="$3" -Wall -Wextra -Wpedantic -Werror -Iapi -fsyntax-only - || {
		echo "$header does not compile with $1 -std=$3"
		bad=1
	}
}
for header in api/*.h; do
	for standard in c99 c11 c17; do
		check gcc c $standard
		[ -z "$clang" ] || check $clang c $standard
	done
	for standard in c++11 c++20; do
		check g++ c++ $standard
		[ -z "$clang" ] || check $clangxx c++ $standard
	done
done
exit $bad
