"""tests/examples/clients.py: a server under test, connections to it, and what came of the tests."""
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys

tests = []


def test(function):
    tests.append(function)
    return function


@contextlib.contextmanager
def running(command, says, workers=2, status=0, stop=signal.SIGTERM, **options):
    """The server, and where it listens: its first line must say that.  It must end as it should."""
    p = subprocess.Popen(command, text=True, env=dict(os.environ, SCOPE_WORKERS=str(workers)),
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    try:
        line = p.stdout.readline()
        found = re.fullmatch(says, line)
        assert found, line + p.stderr.read()
        yield p, int(found[1]) if found[1].isdigit() else found[1]
        p.send_signal(stop)
        p.out, p.errors = p.communicate(timeout=60)
        assert p.returncode == status, (p.returncode, p.out, p.errors)
    finally:
        p.kill()
        p.wait()


def connect(port):
    s = socket.create_connection(("127.0.0.1", port), timeout=60)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def must_wait(s):
    """Nothing comes, for a while."""
    before = s.gettimeout()
    s.settimeout(0.2)
    try:
        s.recv(1)
        raise AssertionError("it was served")
    except TimeoutError:
        s.settimeout(before)


def run():
    print(f"1..{len(tests)}")
    failed = 0
    for number, function in enumerate(tests, 1):
        try:
            skipped = function()
            print(f"ok {number} - {function.__name__}" + (f" # SKIP {skipped}" if skipped else ""),
                  flush=True)
        except Exception as error:  # what it was is told
            failed = 1
            print(f"not ok {number} - {function.__name__}")
            print("# " + repr(error).replace("\n", "\n# "), flush=True)
    sys.exit(failed)
