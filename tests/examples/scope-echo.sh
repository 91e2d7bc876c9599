#!/usr/bin/env bash
# tests/examples/scope-echo.sh: scope-echo with real clients: Python's sockets.
#
# Environment: BUILD (build).  Prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 2
exec python3 -B tests/examples/echo_client.py "$(realpath "${BUILD:-build}/bin/scope-echo")"
