#!/bin/sh
# tests/aarch64-libuv.sh: fetches Debian's libuv for 64-bit Arm, as an archive to link with.
#
# Usage: tests/aarch64-libuv.sh OUT
# apt-get keeps its lists of that architecture beside OUT: the system's stay as they are, and
# nothing is installed.
set -eu

out=$1
place=$out.apt
mkdir -p "$place/state" "$place/lists/partial" "$place/cache/archives/partial"
place=$(cd "$place" && pwd)
: >"$place/state/status"

get() {
	apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 \
		-o Dir::State="$place/state" -o Dir::State::status="$place/state/status" \
		-o Dir::State::lists="$place/lists" -o Dir::Cache="$place/cache" \
		-o APT::Sandbox::User= "$@"
}

give_up() {
	echo "aarch64-libuv: apt-get found no libuv1-dev for arm64; make AARCH64_CC=... with a" \
		"compiler that has libuv goes without" >&2
	exit 1
}

get update || give_up
(cd "$place" && get download libuv1-dev) || give_up
dpkg-deb -x "$place"/libuv1-dev_*.deb "$place/files"
cp "$place/files/usr/lib/aarch64-linux-gnu/libuv_a.a" "$out"
rm -rf "$place"
