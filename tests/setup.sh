#!/bin/sh
# tests/setup.sh: installs what a make target needs and this machine lacks.
#
# Usage: tests/setup.sh run|test|perf|perf-servers|asan|tsan|model|aarch64|coverage|soak|valgrind
#   |matrix
# Silent when nothing is missing.  Installs Debian packages with apt-get, through sudo when
# not root.  Exit 0: everything is there; 1: one sentence names the packages to install.
set -u

target=${1:-test}

# Headers that the programs include, asked of the compiler that will look for them.
missing_headers() {
	{
		for pair in "$@"; do
			printf '#if !__has_include(<%s>)\n@%s\n#endif\n' \
				"${pair%%:*}" "${pair#*:}"
		done
	} | ${CC:-cc} -E -P -x c - 2>/dev/null | sed -n 's/^@ *//p' | tr -d ' '
}

has() {
	command -v "$1" >/dev/null 2>&1
}

# ThreadSanitizer needs a clang and its runtime, which is a package of its own.
has_tsan() {
	for clang in clang-19 clang; do
		has $clang || continue
		set -- "$($clang -print-resource-dir)"/lib/*/libclang_rt.tsan*.a
		[ -e "$1" ]
		return
	done
	return 1
}

# A cross compiler, the C library of the other CPU, and what runs its programs here.
missing_aarch64() {
	[ "$(uname -m)" != aarch64 ] || return
	has aarch64-linux-gnu-gcc || echo gcc-aarch64-linux-gnu
	[ -e /usr/aarch64-linux-gnu/lib/libc.a ] || echo libc6-dev-arm64-cross
	has qemu-aarch64-static || has qemu-aarch64 || echo qemu-user-static
}

# clang, and what the linker reads its link-time code with.
missing_lto() {
	has gcc || echo gcc
	has clang-19 || ! has clang || return
	has clang-19 || echo clang-19 libclang-rt-19-dev
	[ -e /usr/lib/llvm-19/lib/LLVMgold.so ] || echo llvm-19-linker-tools
}

# scope-httpd, and what asks it: llhttp as sources (Debian 12) or as a library.
missing_llhttp() {
	[ -e /usr/share/llhttp/llhttp.c ] || missing_headers llhttp.h:node-llhttp
}

missing_httpd() {
	missing_llhttp
	has python3 || echo python3
	for python in python3 /usr/bin/python3; do
		$python -c 'import h11' 2>/dev/null && break
	done || echo python3-h11
	has curl || echo curl
	has ab || echo apache2-utils
}

missing() {
	if [ "$target" = tsan ] && has clang-19; then
		CC=clang-19
	fi
	if has "${CC:-cc}"; then
		headers="stdio.h:libc6-dev uv.h:libuv1-dev"
		case $target in
		run | test | perf | coverage)
			headers="$headers jemalloc/jemalloc.h:libjemalloc-dev"
			headers="$headers openssl/evp.h:libssl-dev" ;;
		asan | perf-servers) headers="$headers openssl/ssl.h:libssl-dev" ;;
		esac
		case $target in
		test | coverage) headers="$headers criterion/criterion.h:libcriterion-dev" ;;
		esac
		case $target in
		test)
			headers="$headers curl/curl.h:libcurl4-openssl-dev sqlite3.h:libsqlite3-dev"
			headers="$headers ares.h:libc-ares-dev"
			headers="$headers postgresql/libpq-fe.h:libpq-dev" ;;
		esac
		# shellcheck disable=SC2086
		missing_headers $headers
	else
		echo gcc libc6-dev libuv1-dev
		case $target in
		run | perf) echo libjemalloc-dev libssl-dev ;;
		asan | perf-servers) echo libssl-dev ;;
		coverage) echo libjemalloc-dev libssl-dev libcriterion-dev ;;
		test)
			echo libjemalloc-dev libssl-dev libcriterion-dev libcurl4-openssl-dev
			echo libsqlite3-dev libc-ares-dev libpq-dev ;;
		esac
	fi
	case $target in
	test | model)
		has g++ || echo g++
		[ -e /usr/include/relacy/relacy.hpp ] || echo relacy-dev
		has spin || echo spin ;;
	esac
	case $target in
	run) has openssl || echo openssl ;;
	perf)
		has valgrind || echo valgrind
		has python3 || echo python3 ;;
	perf-servers)
		missing_llhttp
		has python3 || echo python3
		has wrk || echo wrk
		has ab || echo apache2-utils ;;
	coverage)
		missing_httpd
		has gcovr || echo gcovr
		has openssl || echo openssl ;;
	asan)
		missing_httpd
		has openssl || echo openssl ;;
	tsan) has_tsan || echo clang-19 libclang-rt-19-dev ;;
	aarch64) missing_aarch64 ;;
	valgrind)
		has valgrind || echo valgrind
		has_tsan || echo clang-19 libclang-rt-19-dev ;;
	matrix) missing_lto ;;
	test)
		missing_httpd
		has pkg-config || echo pkg-config
		has python3 || echo python3
		has valgrind || echo valgrind
		has openssl || echo openssl
		missing_aarch64
		missing_lto
		has_tsan || echo clang-19 libclang-rt-19-dev ;;
	esac
}

give_up() {
	echo "setup: make $target can't go on: $1; please install" $packages "(Debian names)." >&2
	exit 1
}

install() {
	# A distribution without clang 19 has another one that will do.
	case " $packages " in
	*" clang-19 "*)
		apt-cache show libclang-rt-19-dev >/dev/null 2>&1 ||
			packages=$(echo "$packages" | sed 's/clang-19 libclang-rt-19-dev/clang/g
				s/llvm-19-linker-tools//') ;;
	esac
	recommends=--no-install-recommends
	case " $packages " in
	*" clang "*) recommends= ;;
	esac
	# shellcheck disable=SC2086
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y $recommends $packages
}

packages=$(missing | tr '\n' ' ' | sed 's/ *$//')
[ -n "$packages" ] || exit 0

has apt-get || give_up "packages are missing and there is no apt-get"
sudo=
if [ "$(id -u)" -ne 0 ]; then
	has sudo || give_up "packages are missing, only root can install them and there is no sudo"
	sudo=sudo
	# Without a terminal nobody could type the password.
	[ -t 0 ] || sudo="sudo -n"
fi

echo "setup: installing $packages (apt-get${sudo:+, with sudo})"
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
set -- /var/lib/apt/lists/*Packages*
if [ -e "$1" ] && install >"$log" 2>&1; then
	:
else
	echo "setup: refreshing the package lists first"
	{ $sudo apt-get update && install; } >"$log" 2>&1 || {
		tail -n 3 "$log" >&2
		give_up "apt-get could not install what is missing"
	}
fi
hash -r
packages=$(missing | tr '\n' ' ' | sed 's/ *$//')
[ -z "$packages" ] || give_up "packages are still missing after apt-get"
