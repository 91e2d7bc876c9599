#!/usr/bin/env bash
# tests/examples/scope-happy.sh: scope-happy from outside: which address it says, and why not.
# How it races is tested under the virtual clock, in tests/api/test_happy.c.
#
# Environment: BUILD (build).  Prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 2
exec python3 - "$(realpath "${BUILD:-build}/bin/scope-happy")" <<'END'
import re, socket, subprocess, sys

def run(*arguments):
    p = subprocess.run([sys.argv[1], *arguments], capture_output=True, text=True, timeout=60)
    return p.returncode, p.stdout, p.stderr

print("1..3")
listener = socket.create_server(("127.0.0.1", 0))
port = str(listener.getsockname()[1])
status, out, _ = run("localhost", port)
ok = status == 0 and re.fullmatch(r"127\.0\.0\.1 answered after \d+ ms\n", out)
print("ok" if ok else "not ok", "1 - a name that has IPv6 too, where nobody listens")
listener.close()
status, _, err = run("127.0.0.1", port)
print("ok" if status == 1 and "Connection refused" in err else "not ok", "2 - nobody listens")
status, _, err = run("nowhere.invalid", port)
print("ok" if status == 1 and err else "not ok", "3 - a name that nobody knows")
END
