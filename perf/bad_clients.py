#!/usr/bin/env python3
"""perf/bad_clients.py: what clients that behave badly cost those of scope-httpd that behave.

Usage: perf/bad_clients.py [--rounds N] [--half N] [--resets N] [--build DIR]

  --rounds N  pairs of two seconds without and two with them, in turn (7)
  --half N    connections with half a request each (5000)
  --resets N  connections that are broken off meanwhile, in the midst of a request (1000)

Good clients are 16 connections of wrk.  The server has one worker, pinned to the first processor;
all clients are on the second.  Exit 1: the 99th percentile of the good ones' times grew to twice
what it was (median of the pairs), or a descriptor was lost.
"""
import argparse
import contextlib
import os
import re
import resource
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REQUEST = b"GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n"
SECONDS = 2


@contextlib.contextmanager
def server(build):
    with tempfile.TemporaryDirectory() as room:
        with open(os.path.join(room, "hello.txt"), "w") as f:
            f.write("Hello, World!")
        p = subprocess.Popen(["taskset", "-c", "0", f"{build}/bin/scope-httpd", "-a", "127.0.0.1",
                              "-p", "0", "-r", "600", room], text=True, stdout=subprocess.PIPE,
                             env=dict(os.environ, SCOPE_WORKERS="1"))
        try:
            yield p.pid, int(re.search(r":(\d+)/$", p.stdout.readline())[1])
        finally:
            p.terminate()
            p.wait()


def connect(port, data):
    s = socket.create_connection(("127.0.0.1", port))
    s.sendall(data)
    return s


def p99_us(port, resets):
    """Of the good clients, while so many others are broken off."""
    wrk = subprocess.Popen(["taskset", "-c", "1", "wrk", "-t1", "-c16", f"-d{SECONDS}s",
                            "--latency", f"http://127.0.0.1:{port}/hello.txt"],
                           stdout=subprocess.PIPE, text=True)
    for turn in range(resets):
        s = connect(port, REQUEST[:turn % len(REQUEST)])
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
        time.sleep(SECONDS / 2 / resets)
    found = re.search(r"99%\s+([\d.]+)(us|ms|s)", wrk.communicate()[0])
    return float(found[1]) * {"us": 1, "ms": 1e3, "s": 1e6}[found[2]]


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--rounds", type=int, default=7)
    a.add_argument("--half", type=int, default=5000)
    a.add_argument("--resets", type=int, default=1000)
    a.add_argument("--build", default=os.environ.get("BUILD", os.path.join(HERE, "../build")))
    args = a.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.sched_setaffinity(0, {1})
    ratios = []
    with server(os.path.abspath(args.build)) as (pid, port):
        p99_us(port, 0)
        before = descriptors(pid)
        for _ in range(args.rounds):
            alone = p99_us(port, 0)
            half = [connect(port, REQUEST[:9]) for _ in range(args.half)]
            beside = p99_us(port, args.resets)
            for s in half:
                s.close()
            ratios.append(beside / alone)
            print(f"p99 {alone:,.0f} us alone, {beside:,.0f} us beside bad clients", flush=True)
        for _ in range(500):
            lost = descriptors(pid) - before
            if not lost:
                break
            time.sleep(0.01)
    ratio = statistics.median(ratios)
    print(f"ratio {ratio:.2f} (below 2), descriptors lost: {lost}")
    return ratio >= 2 or lost != 0


if __name__ == "__main__":
    sys.exit(main())
