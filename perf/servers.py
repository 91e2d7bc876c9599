#!/usr/bin/env python3
"""perf/servers.py: libscope beside its peers where tasks wait, meet and serve.

All programs take turns, in each round in the opposite order; medians and the middle half (IQR)
are printed, ratios are taken within a round.  With one worker a program is pinned to the first
processor; the clients of a server are pinned to the last.  CPU is that of all threads of the
server, by the scheduler's own account.  Called by perf/run.sh, which builds everything first;
serving.py has what concerns servers.
"""
import argparse
import os
import random
import resource
import shutil
import signal
import statistics
import sys
import time

sys.dont_write_bytecode = True  # nothing is built in the source tree
import bars
import serving
from kit import (Machine, Progress, digits, finish, middle, ratios, start, table, write_tsv)

HERE = os.path.dirname(os.path.abspath(__file__))
TASKS = ("switch", "spawn", "park", "pingpong", "mpsc", "ring", "mutex", "timers", "late",
         "cancel")
QUICK = {"switch": 200000, "spawn": 100000, "park": 20000, "pingpong": 100000, "mpsc": 400000,
         "ring": 200000, "mutex": 100000, "timers": 100000, "cancel": 20000}


class Peer:
    def __init__(self, name, command, workers, workloads):
        self.name, self.command, self.workers = name, command, workers
        self.counts = dict((w.split("=") + [0])[:2] for w in workloads)


def read_peers(options):
    at = lambda *path: os.path.join(options.build, *path)
    peers = [Peer("libscope", at("perf", "suite"), (1, 2), TASKS),
             Peer("scope-echo", at("bin", "scope-echo"), (1,), ("echo",)),
             Peer("scope-httpd", at("bin", "scope-httpd"), (1, 2), ("http",)),
             Peer("scope-mixed", at("perf", "mixed"), (1, 2), serving.MIXED)]
    yardsticks, missing = len(peers), []
    for line in open(os.path.join(HERE, "peers", "servers", "peers.txt")):
        line = line.split("#")[0].strip()
        if not line:
            continue
        name, program, needs, workers, workloads = [x.strip() for x in line.split("|")]
        command = at("perf", "servers", program)
        if program == "nginx":
            command = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin") or ""
        if not os.access(command, os.X_OK):
            missing.append((name, needs))
            continue
        peer = Peer(name, command, [int(w) for w in workers.split()], workloads.split())
        if program in ("epoll", "nginx"):
            peers.insert(yardsticks, peer)  # next to those that are judged by them
        elif options.peers:
            peers.append(peer)
    return peers, missing


def chosen(options, *names):
    return not options.only or any(n.lower() in options.only for n in names)


# ---- tasks -------------------------------------------------------------------------------


def measure_tasks(options, peers, progress, machine):
    """{(figure, program, workers): [value of a round, ...]}, {(program, workload): error}."""
    found, errors = {}, {}
    jobs = [(peer, workload, workers) for workload in TASKS for peer in peers
            if workload in peer.counts and chosen(options, "tasks", workload, peer.name)
            for workers in peer.workers]
    cpu = min(os.sched_getaffinity(0))
    for turn in range(options.rounds):
        for peer, workload, workers in jobs[::-1] if turn % 2 else jobs:
            if (peer.name, workload) in errors:
                continue
            progress.show("round %d of %d: %s %s, %d worker(s)" % (
                turn + 1, options.rounds, peer.name, workload, workers))
            count = int(peer.counts[workload])
            if options.quick and not count:
                count = QUICK.get(workload, 0)
            before = machine.sample()
            try:
                out = finish(start([peer.command, workload, str(workers), str(count)],
                                   cpu if workers == 1 else None))
                for figure, value in serving.pairs_of(out).items():
                    found.setdefault((figure, peer.name, workers), []).append(value)
            except RuntimeError as error:
                errors[peer.name, workload] = str(error)
            machine.add(before)
    return found, errors


# ---- reporting ---------------------------------------------------------------------------


def confidence(values, share=0.9, draws=2000):
    """Where the median of so many lies in that share of the draws."""
    dice = random.Random(1)
    medians = sorted(statistics.median(dice.choices(values, k=len(values))) for _ in range(draws))
    return medians[int(draws * (1 - share) / 2)], medians[int(draws * (1 + share) / 2)]


def named(figure):
    """switch_ns: (switch, ns, 1); mpsc_per_s: (mpsc, M/s, 1e-6)."""
    if figure.endswith("per_s"):
        return figure[:-len("_per_s")].replace("_", " "), "M/s", 1e-6
    name, _, unit = figure.rpartition("_")
    return name.replace("_", " "), unit, 1


def report(title, reference, rows, errors, path):
    """rows: {(row, figure, program, workers): values}; ratios to the figure of the first of the
    references that has one."""
    shown, tsv = [], []
    for (row, figure, program, workers), values in rows.items():
        name, unit, scale = named(figure)
        label = (row + " " + name).strip()
        median, q1, q3 = middle(values)
        other = next((o for o in (rows.get((row, figure, r, workers)) for r in reference) if o),
                     None)
        ratio = statistics.median(ratios(values, other)) if other else None
        shown.append([label, program, workers, digits(median * scale), unit,
                      "%.0f" % ((q3 - q1) / median * 100) if median else "",
                      "%.2f" % ratio if ratio else ""])
        tsv.append([label.replace(" ", "_"), program, workers, unit] +
                   ["%.6g" % (v * scale) for v in (median, q1, q3)] + [len(values)])
    if shown:
        print("\n%s\n" % title)
        table(["figure", "program", "workers", "median", "unit", "IQR %", "x " + "/".join(reference)],
              shown)
        write_tsv(path, ["figure", "program", "workers", "unit", "median", "q1", "q3", "rounds"],
                  tsv)
    for (program, row), error in errors.items():
        print("%s %s: %s" % (program, row, error))


def report_floor(options):
    if options.quick or not chosen(options, "floor"):
        return
    out = finish(start([f"{options.build}/perf/servers/floor"]))
    print("\nWhat the machine itself takes\n")
    table(["step", "", "unit"], [[named(f)[0], digits(v), named(f)[1]]
                                 for f, v in serving.pairs_of(out).items()])


def report_bars(options, tasks, served):
    ours = {(figure, workers): statistics.median(values)
            for (figure, program, workers), values in tasks.items() if program == "libscope"}
    pairs = {}
    for row, workers, figure, ours_name, other in (
            ("echo 64", 1, "cpu_us", "scope-echo", "epoll"),
            ("echo 1000", 1, "cpu_us", "scope-echo", "epoll"),
            *((row, workers, figure, "scope-httpd", "nginx")
              for row, workers in bars.HTTP for figure in ("cpu_us", "per_s"))):
        values, others = (served.get((row, figure, p, workers)) for p in (ours_name, other))
        if values and others:
            over = ratios(values, others)
            pairs[row, figure, workers] = (statistics.median(over), confidence(over)[1])
    medians = {key[:2] + key[3:]: statistics.median(values) for key, values in served.items()
               if key[2].startswith("scope-")}
    rows = []
    for name, measured, limit, met in bars.judge_suite(ours, pairs, medians):
        if measured is None and options.only:
            continue
        rows.append([name, "" if measured is None else digits(measured), limit,
                     "not measured" if met is None else "met" if met else "MISSED"])
    if rows:
        print("\nBars\n")
        table(["bar", "measured", "limit", ""], rows)


def arguments():
    parser = argparse.ArgumentParser(prog="perf/run.sh --servers",
                                     description=__doc__.splitlines()[0])
    parser.add_argument("--servers", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--build", default=os.path.join(HERE, "..", "build"),
                        help="where `make` builds")
    parser.add_argument("--quick", action="store_true", help="1 round, small sizes, no peers")
    parser.add_argument("--rounds", type=int, help="rounds (default 3, --quick 1); servers "
                        "five times as many, of a second each (--quick 3)")
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    parser.add_argument("--only", default="", metavar="NAME,...",
                        help="floor, tasks, servers, idle, bad, or workloads (ring, echo, 'echo 64', "
                        "mixed)")
    parser.add_argument("--calls", action="store_true",
                        help="instead: system calls a message, counted by strace")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    options.only = [x.strip().lower() for x in options.only.split(",") if x.strip()]
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = 3 if options.quick else 5 * options.rounds
    options.peers = options.peers and not options.quick
    return options


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # servers end with it
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    cpus = sorted(os.sched_getaffinity(0))
    cpus = (cpus[0], cpus[-1])
    progress, machine = Progress(), Machine()
    peers, missing = read_peers(options)
    if options.calls:
        serving.count_calls(options.build, peers, cpus)
        return 0
    asked = lambda *names: chosen(options, *names)
    tasks, errors = measure_tasks(options, peers, progress, machine)
    served, refused = serving.measure(options.build, peers, cpus, options.seconds, asked,
                                      progress, machine)
    before = machine.sample()
    if asked("servers", "idle"):
        serving.measure_silent(options.build, peers, cpus, progress, served, refused)
    if asked("servers", "bad") and shutil.which("ab"):
        serving.measure_bad(options.build, options.rounds, progress, served)
    machine.add(before)
    progress.clear()
    print("%d rounds in %d s; other processes kept %.2f processors busy meanwhile%s" % (
        options.rounds, time.monotonic() - progress.start, machine.others(),
        ": too much, read ratios only" if machine.others() > 0.06 else ""))
    report_floor(options)
    report("Tasks that wait and meet", ("libscope",),
           {("", figure, program, w): v for (figure, program, w), v in tasks.items()}, errors,
           os.path.join(options.build, "perf", "suite.tsv"))
    report("Servers; HTTP beside nginx", ("nginx", "epoll"), served, refused,
           os.path.join(options.build, "perf", "servers.tsv"))
    report_bars(options, tasks, served)
    for name, needs in missing:
        print("missing: %s (install %s)" % (name, needs))
    ours = ("libscope", "scope-echo", "scope-httpd", "scope-mixed")
    return 1 if any(program in ours for program, _ in [*errors, *refused]) else 0


if __name__ == "__main__":
    sys.exit(main())
