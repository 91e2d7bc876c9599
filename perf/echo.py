#!/usr/bin/env python3
"""perf/echo.py: what an echoed message costs scope-echo and a plain loop of epoll, side by side.

Usage: perf/echo.py [--pairs N] [--conns N] [--idle N] [--calls] [--build DIR]

  --pairs N  runs of a second of each, in turn (15)
  --conns N  connections, each with a message of 64 bytes under way (64)
  --idle N   instead: memory of so many connections that are silent
  --calls    instead: system calls a message, counted by strace

The server is pinned to processor 0, the clients to processor 1; scope-echo has one worker.  CPU
is that of all threads of the server, by the scheduler's own account.
"""
import argparse
import contextlib
import os
import random
import resource
import socket
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def cpu_seconds(pid):
    return sum(int(open(f"/proc/{pid}/task/{t}/schedstat").read().split()[0]) / 1e9
               for t in os.listdir(f"/proc/{pid}/task"))


def resident_bytes(pid):
    return int(open(f"/proc/{pid}/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


@contextlib.contextmanager
def server(build, name, wrap=()):
    port = free_port()
    command = {"epoll": [f"{build}/perf/peers/epoll", "echo", "1", str(port)],
               "scope-echo": [f"{build}/bin/scope-echo", "-a", "127.0.0.1", "-p", str(port)]}
    p = subprocess.Popen(["taskset", "-c", "0", *wrap, *command[name]],
                         stdout=subprocess.DEVNULL, env=dict(os.environ, SCOPE_WORKERS="1"))
    try:
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.02)
        yield p, port
    finally:
        # A tracer ends with the server, and then tells what it counted.
        children = open(f"/proc/{p.pid}/task/{p.pid}/children").read().split()
        for pid in children or [p.pid]:
            os.kill(int(pid), 15)
        p.wait()


def load(build, port, conns, seconds):
    out = subprocess.run(["taskset", "-c", "1", f"{build}/perf/peers/loadgen", str(port),
                          str(conns), str(seconds)], capture_output=True, text=True, check=True)
    return {k: float(v) for k, v in (line.split() for line in out.stdout.splitlines())}


def one_run(build, p, port, conns):
    """Microseconds of CPU a message: the clients warm up for 0.2 s, which count as well."""
    before = cpu_seconds(p.pid)
    found = load(build, port, conns, 1)
    found["cpu_us"] = (cpu_seconds(p.pid) - before) / (found["per_s"] * 1.2) * 1e6
    return found


def confidence(values, share=0.9, draws=2000):
    """Where the median of so many lies in that share of the draws."""
    dice = random.Random(1)
    medians = sorted(statistics.median(dice.choices(values, k=len(values))) for _ in range(draws))
    return medians[int(draws * (1 - share) / 2)], medians[int(draws * (1 + share) / 2)]


def compare(args):
    runs = {"epoll": [], "scope-echo": []}
    with server(args.build, "epoll") as plain, server(args.build, "scope-echo") as ours:
        turns = [("epoll", *plain), ("scope-echo", *ours)]
        for _ in range(args.pairs):
            for name, p, port in turns:
                runs[name].append(one_run(args.build, p, port, args.conns))
            turns.reverse()
    print("| program | CPU a message, us | messages a second | p99, us |\n|---|---|---|---|")
    for name, found in runs.items():
        cpu, rate, p99 = (statistics.median(r[k] for r in found)
                          for k in ("cpu_us", "per_s", "p99_us"))
        print(f"| {name} | {cpu:.2f} | {rate:,.0f} | {p99:,.0f} |")
    ratios = [b["cpu_us"] / a["cpu_us"] for a, b in zip(runs["epoll"], runs["scope-echo"])]
    low, high = confidence(ratios)
    print(f"\nscope-echo / epoll: median of {args.pairs} pairs {statistics.median(ratios):.3f}, "
          f"90 % bounds {low:.3f} to {high:.3f}")


def idle(args):
    with server(args.build, "scope-echo") as (p, port):
        before = resident_bytes(p.pid)
        clients = subprocess.Popen([f"{args.build}/perf/peers/loadgen", str(port), str(args.idle),
                                    "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        clients.stdout.readline()
        time.sleep(1)
        print(f"{(resident_bytes(p.pid) - before) / args.idle:.0f} bytes each")
        clients.communicate()


def calls(args):
    for name in ("epoll", "scope-echo"):
        trace = f"{args.build}/perf/{name}.calls"
        with server(args.build, name, ("strace", "-f", "-c", "-o", trace)) as (_, port):
            load(args.build, port, args.conns, 1)
        rows = [line.split() for line in open(trace) if line[:1] == " "]
        counts = {r[-1]: int(r[3]) for r in rows if len(r) >= 5 and r[3].isdigit()}
        # Each message is received once; what is rare belongs to the start and the end.
        messages = max(counts.get("read", 0), counts.get("recvfrom", 0))
        often = {c: n for c, n in counts.items() if c != "total" and n > messages / 1000}
        print(f"{name}: {sum(often.values()) / messages:.3f} system calls a message:", often)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--pairs", type=int, default=15)
    a.add_argument("--conns", type=int, default=64)
    a.add_argument("--idle", type=int)
    a.add_argument("--calls", action="store_true")
    a.add_argument("--build", default=os.environ.get("BUILD", os.path.join(HERE, "../build")))
    args = a.parse_args()
    args.build = os.path.abspath(args.build)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    subprocess.run(["make", "-s", "-C", os.path.join(HERE, "peers/servers"),
                    f"BUILD={args.build}/perf/peers"], check=True)
    if args.idle:
        idle(args)
    elif args.calls:
        calls(args)
    else:
        compare(args)


if __name__ == "__main__":
    sys.exit(main())
