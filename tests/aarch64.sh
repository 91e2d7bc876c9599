#!/bin/sh
# tests/aarch64.sh: runs a program for 64-bit Arm here: as it is on such a machine, else in qemu.
#
# Usage: tests/aarch64.sh PROGRAM [ARGUMENT...]
# qemu notes each page that is reserved, and forgets none: the runtime is told that address
# space is scarce, and qemu keeps to 4 GiB of it.  It shows registers, switches, signals and the
# system's interface; it runs in the order of the machine beneath and shows no weak memory order.
case $(uname -m) in
aarch64) exec "$@" ;;
esac
for qemu in qemu-aarch64-static qemu-aarch64; do
	command -v $qemu >/dev/null || continue
	ulimit -v 6000000
	export EMULATED=1
	exec $qemu -L /usr/aarch64-linux-gnu -R 0x100000000 "$@"
done
echo "Bail out! qemu-aarch64 is missing (Debian: qemu-user-static)"
exit 127
