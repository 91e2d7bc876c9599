#!/usr/bin/env bash
# tests/examples/recipes.sh: each recipe with the library that it is for, against a server that the
# test makes.  One whose library is not installed is skipped.
#
# Environment: BUILD (build), CC.  Prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=$(realpath "${BUILD:-build}") || exit 2
unset SCOPE_WORKERS SCOPE_SEED
mkdir -p "$build/recipes"
for recipe in openssl:openssl curl:libcurl postgres:libpq sqlite:sqlite3 cares:libcares; do
	name=${recipe%:*} library=${recipe#*:}
	rm -f "$build/recipes/$name"
	pkg-config --exists "$library" || continue
	# shellcheck disable=SC2046
	${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -O2 -g -Iapi -o "$build/recipes/$name" \
		"examples/recipes/$name.c" examples/recipes/main.c "$build/libscope.a" \
		$(pkg-config --cflags --libs "$library") -luv -lpthread ||
		printf '#!/bin/sh\necho it does not build\nexit 99\n' >"$build/recipes/$name"
	chmod +x "$build/recipes/$name"
done
exec python3 tests/examples/recipe_servers.py "$build/recipes"
