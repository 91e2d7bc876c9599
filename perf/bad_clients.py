#!/usr/bin/env python3
"""perf/bad_clients.py: what clients that behave badly cost those of scope-httpd that behave.

Usage: perf/bad_clients.py [--rounds N] [--build DIR]

  --rounds N  pairs of two seconds without and two with them, in turn (7)

Good clients are 16 connections of ab; bad ones 5,000 that send half a request each and stay, and
1,000 that are broken off meanwhile, in the midst of a request.  The server has one worker, pinned
to the first processor; all clients are on the last.  Exit 1: the 99th percentile of the good ones'
times grew to twice what it was (median of the pairs), or a descriptor was lost.

Why not wrk: it adds to a stall the requests that might have come meanwhile, so that its percentile
is that of the 1 % of the time which a machine takes away, with and without bad clients.
"""
import argparse
import contextlib
import os
import re
import resource
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REQUEST = b"GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n"
SECONDS, HALF, RESETS = 2, 5000, 1000


@contextlib.contextmanager
def server(build, cpu):
    with tempfile.TemporaryDirectory() as room:
        with open(os.path.join(room, "hello.txt"), "w") as f:
            f.write("Hello, World!")
        p = subprocess.Popen(["taskset", "-c", str(cpu), f"{build}/bin/scope-httpd", "-a",
                              "127.0.0.1", "-p", "0", "-r", "600", room], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                             env=dict(os.environ, SCOPE_WORKERS="1"))
        try:
            yield p.pid, int(re.search(r":(\d+)/$", p.stdout.readline())[1])
        finally:
            p.terminate()
            p.wait()
            p.stdout.close()


def connect(port, data):
    s = socket.create_connection(("127.0.0.1", port))
    s.sendall(data)
    return s


def p99_us(port, resets):
    """Of the good clients, while so many others are broken off."""
    with tempfile.TemporaryDirectory() as room:
        table = os.path.join(room, "percentiles")
        ab = subprocess.Popen(["ab", "-q", "-k", "-c16", f"-t{SECONDS}", "-n2000000", "-e", table,
                               f"http://127.0.0.1:{port}/hello.txt"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for turn in range(resets):
            s = connect(port, REQUEST[:turn % len(REQUEST)])
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
            time.sleep(SECONDS / 2 / resets)
        if ab.wait():
            sys.exit("bad_clients: ab failed")
        with open(table) as f:
            return 1e3 * float(re.search(r"^99,(.*)$", f.read(), re.M)[1])


def descriptors(pid):
    """How many it has, once it has taken in who came and closed those of clients that have gone."""
    count, seen = -1, 0
    while seen < 5:
        now = len(os.listdir(f"/proc/{pid}/fd"))
        seen = seen + 1 if now == count else 0
        count = now
        time.sleep(0.1)
    return count


def compare(build, rounds, say):
    """Says (round, "alone" or "beside", p99 in us) as they come; returns descriptors lost."""
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[-1]})
    try:
        with server(build, cpus[0]) as (pid, port):
            p99_us(port, 0)
            before = descriptors(pid)
            for turn in range(rounds):
                say(turn, "alone", p99_us(port, 0))
                with contextlib.ExitStack() as half:
                    for _ in range(HALF):
                        half.enter_context(connect(port, REQUEST[:9]))
                    descriptors(pid)
                    say(turn, "beside", p99_us(port, RESETS))
                descriptors(pid)
            return descriptors(pid) - before
    finally:
        os.sched_setaffinity(0, cpus)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--rounds", type=int, default=7)
    a.add_argument("--build", default=os.environ.get("BUILD", os.path.join(HERE, "../build")))
    args = a.parse_args()
    if not shutil.which("ab"):
        sys.exit("bad_clients: ab is missing; tests/setup.sh perf-servers installs it")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    found = {"alone": [], "beside": []}

    def say(_, name, p99):
        found[name].append(p99)
        print(f"p99 {name:6}: {p99:,.0f} us", flush=True)

    lost = compare(os.path.abspath(args.build), args.rounds, say)
    ratio = statistics.median(b / a for a, b in zip(found["alone"], found["beside"]))
    print(f"ratio {ratio:.2f} (below 2), descriptors lost: {lost}")
    return ratio >= 2 or lost != 0


if __name__ == "__main__":
    sys.exit(main())
