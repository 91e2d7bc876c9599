#!/bin/sh
# tests/lint/warnings.sh: the runtime compiles without a warning, with gcc and with clang.
#
# Without strict aliasing, as the Makefile compiles it.
cd "${1:-.}" || exit 2
for compiler in gcc clang-19 clang; do
	command -v $compiler >/dev/null 2>&1 || continue
	case "$compiler ${seen:-}" in
	"clang clang-19") continue ;;
	esac
	seen=$compiler
	find runtime -name '*.c' | sort | xargs -P "$(nproc)" -I {} \
		$compiler -std=gnu11 -O2 -Wall -Wextra -Werror -fno-strict-aliasing -Iruntime \
		-Iapi -c -o /dev/null {} ||
		bad=1
done
exit ${bad:-0}
