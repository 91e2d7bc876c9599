#!/usr/bin/env bash
# tests/examples/scope-httpd.sh: scope-httpd with real clients: Python's http.client and sockets,
# curl, ab, openssl.
#
# Environment: BUILD (build), HTTPD (the program), CONNECTIONS at once (1000), FUZZ_SECONDS (1),
# FUZZ_SEED (a new one each time).  Prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 2
# A python3 of one's own may lack the packages of the system's.
python=python3
"$python" -c 'import h11' 2>/dev/null || ! [ -x /usr/bin/python3 ] || python=/usr/bin/python3
exec "$python" -B tests/examples/httpd "$(realpath "${HTTPD:-${BUILD:-build}/bin/scope-httpd}")"
