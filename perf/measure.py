#!/usr/bin/env python3
"""perf/measure.py: runs the measuring programs interleaved and prints tables and bars.

Round robin over all programs, so that a slow minute of the machine hits them alike; the
median and the middle half (IQR) of the rounds are printed, ratios are taken within a round.
Called by perf/run.sh, which builds everything first.
"""
import argparse
import math
import os
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # nothing is built in the source tree
import bars
from kit import (Machine, Progress, digits, finish, middle, ratios, start, table, write_tsv)

HERE = os.path.dirname(os.path.abspath(__file__))
USUAL = {"fib": 36, "nqueens": 13, "uts": 10, "skynet": 1000000, "for": 10000000,
         "flat": 1000000}
QUICK = {"fib": 32, "nqueens": 12, "uts": 9, "for": 1000000}
ALGORITHM = {"fib_bare": "fib", "fib_both": "fib", "fib_fast": "fib", "fib_invoke": "fib",
             "nqueens_cutoff": "nqueens", "flat_n": "flat", "call": "fib", "scope_call": "fib"}
OURS = ("fib", "fib_bare", "fib_both", "nqueens", "uts", "skynet", "for", "flat", "flat_n")
SCALING = ("fib", "nqueens", "uts", "skynet", "for")
QUEENS = {8: 2056, 10: 35538, 11: 166925, 12: 856188, 13: 4674889}

# name, size (0: the program's), in how many rounds of ten, quick size, values as (name, unit)
TASKS = (
    ("parked_child", 0, 10, 200000, (("", "ns"),)),
    ("yield", 0, 10, 500000, (("", "ns"),)),
    ("parked_bytes", 100000, 10, 100000, (("", "bytes"), ("create", "ns"))),
    ("parked_bytes", 1000000, 3, None, (("", "bytes"), ("create", "ns"))),
    ("cancel_tree", 100000, 10, 100000, (("", "ns"),)),
    ("cancel_flat", 1000000, 3, None, (("", "ns"),)),
    ("cancel_nested", 1000000, 3, None, (("", "ns"),)),
    ("sleeps", 1000000, 5, 100000, (("first", "s"), ("second", "s"))),
    ("lateness", 0, 10, 1000, (("p50", "us"), ("p99", "us"))),
    ("deadline", 0, 10, 50, (("p50", "us"), ("p99", "us"))),
    ("timeouts", 0, 3, 1000, (("latest", "ms"), ("thread", "ms"))),
    ("idle", 0, 3, 100, (("", "ms/s"),)),
    ("checkpoint", 0, 10, 1000000, (("", "ns"),)),
    ("checkpoint_deep", 0, 10, 1000000, (("", "ns"),)),
    ("cancelled", 0, 10, 1000000, (("", "ns"),)),
    ("open_close", 0, 10, 1000000, (("", "ns"),)),
    ("open_close_deadline", 0, 10, 1000000, (("", "ns"),)),
)


def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def unit_count(algorithm, size, result):
    """How many tasks (numbers, for `for`) one run has; uts counts its own nodes."""
    if algorithm == "fib":
        return fib(size + 1) - 1
    if algorithm == "nqueens":
        return QUEENS[size]
    if algorithm == "uts":
        return result
    if algorithm == "skynet":
        return (10 * size - 1) // 9 - 1
    return size


class Job:
    """One program, workload, size and number of workers, and what its rounds gave."""

    def __init__(self, program, command, workload, size, workers, cpu=None):
        self.program, self.command, self.workload = program, command, workload
        self.size, self.workers, self.cpu = size, workers, cpu
        self.algorithm = ALGORITHM.get(workload, workload)
        self.reps, self.result, self.error = 2, None, None
        self.rounds, self.best = [], math.inf

    def argv(self):
        return [self.command, self.workload, str(self.size), str(self.workers), str(self.reps)]

    def label(self):
        return "%s %s %d, %d worker%s" % (self.program, self.workload, self.size, self.workers,
                                          "s" if self.workers > 1 else "")


def times_of(job, out):
    """Result and seconds a run, the first (cold) repetition left out."""
    fields = out.split()
    job.result = int(fields[3])
    seconds = [float(x) for x in fields[4:]]
    job.best = min(job.best, min(seconds))
    return statistics.median(seconds[1:] or seconds)


def run_fork_join(job):
    return times_of(job, finish(start(job.argv())))


def run_copies(job, cpus):
    """Seconds of each of two pinned copies that run at the same time."""
    children = [start(job.argv(), cpu) for cpu in cpus]
    return [times_of(job, finish(child)) for child in children]


# ---- what there is to run ----------------------------------------------------------------


def read_peers(build):
    peers, missing = [], []
    for line in open(os.path.join(HERE, "peers", "forkjoin", "peers.txt")):
        line = line.split("#")[0].strip()
        if not line:
            continue
        name, program, needs, workloads = [x.strip() for x in line.split("|")]
        command = os.path.join(build, "perf", "peers", program)
        if os.access(command, os.X_OK):
            peers.append((name, command, workloads.split()))
        else:
            missing.append((name, needs))
    return peers, missing


def fork_join_jobs(options, build, sizes):
    at = lambda *path: os.path.join(build, "perf", *path)
    jobs = []
    wanted = set()
    for workload in OURS:
        for workers in (1, 2):
            jobs.append(Job("libscope", at("forkjoin"), workload, 0, workers))
    if os.access(at("fib_fast"), os.X_OK):
        jobs += [Job("libscope", at("fib_fast"), "fib_fast", 0, w) for w in (1, 2)]
    jobs += [Job("limit", at("peers", "limit"), w, 0, 1) for w in ("call", "scope_call", "flat")]
    for job in jobs:
        job.size = sizes[job.algorithm]
    missing = []
    if options.peers:
        peers, missing = read_peers(build)
        for name, command, specs in peers:
            for spec in specs:
                workload, _, size = spec.partition("=")
                workload, _, base = workload.partition("/")
                for workers in (1, 2):
                    jobs.append(Job(name, command, workload,
                                    int(size or sizes[base or workload]), workers))
    jobs = [job for job in jobs if chosen(options, job.program, job.workload, job.algorithm)]
    for job in jobs:
        if (job.algorithm, job.size) not in wanted:
            wanted.add((job.algorithm, job.size))
    serial = [Job("serial C", at("peers", "serial"), a, s, 1) for a, s in sorted(wanted)]
    return serial + jobs, missing


def chosen(options, *names):
    return not options.only or any(n.lower() in options.only for n in names)


# ---- measuring -----------------------------------------------------------------------------


def measure_fork_join(options, build, progress, machine):
    sizes = dict(USUAL, **(QUICK if options.quick else {}))
    jobs, missing = fork_join_jobs(options, build, sizes)
    serial = {(j.algorithm, j.size): j for j in jobs if j.program == "serial C"}
    cpus = sorted(os.sched_getaffinity(0))[:2]
    copies = {}
    if len(cpus) == 2:
        for (algorithm, size), job in serial.items():
            if algorithm in SCALING and size == sizes[algorithm]:
                copies[algorithm] = Job("two serial", job.command, algorithm, size, 1)

    target = 0.08 if options.quick else 0.15
    for job in jobs:
        progress.show("warm-up: " + job.label())
        try:
            seconds = run_fork_join(job)
            job.reps = 1 + min(400, max(1, math.ceil(target / max(seconds, 1e-5))))
            right = serial[job.algorithm, job.size].result
            if job.result != right:
                job.error = "wrong result %d" % job.result
        except RuntimeError as error:
            job.error = str(error)
    for algorithm, pair in copies.items():
        pair.reps = serial[algorithm, pair.size].reps
    jobs = [job for job in jobs if not (job.error and job.program == "serial C")]

    for turn in range(options.rounds):
        for job in jobs + list(copies.values()):
            if job.error:
                continue
            progress.show("round %d of %d: %s" % (turn + 1, options.rounds, job.label()))
            before = machine.sample()
            try:
                pair = job.program == "two serial"
                job.rounds.append(run_copies(job, cpus) if pair else run_fork_join(job))
            except RuntimeError as error:
                job.error = str(error)
            machine.add(before)
    return jobs, copies, missing


def once(options, build, progress, jobs):
    """Right results where a counter or a queue might overflow, and memory of flat scopes."""
    command = os.path.join(build, "perf", "forkjoin")
    checks, peaks = [], {}
    if not chosen(options, "forkjoin", "flat", "flat_n", "steals"):
        return checks, peaks
    for name, size, workers in (("steals", 300000, 2), ("flat", 10000000, 1),
                                ("flat", 10000000, 2)):
        job = Job("libscope", command, name, size, workers)
        job.reps = 1
        progress.show(job.label())
        try:
            run_fork_join(job)
            checks.append((job, job.result == size, "result %d" % job.result))
        except RuntimeError as error:
            checks.append((job, False, str(error)))
    for name in ("flat", "flat_n"):
        for workers in (1, 2):
            job = Job("libscope", command, name + "_peak", USUAL["flat"], workers)
            job.reps = 1
            values = []
            progress.show(job.label())
            try:
                for _ in range(3):
                    run_fork_join(job)
                    values.append(job.result / 1048576)
                peaks[name, workers] = statistics.median(values)
            except RuntimeError as error:
                checks.append((job, False, str(error)))
    return checks, peaks


def measure_tasks(options, build, progress, machine):
    """{(figure, size, workers): [values of one round, ...]}, units, errors."""
    rounds, units, errors = {}, {}, {}
    for turn in range(options.rounds):
        for name, size, often, quick, values in TASKS:
            if not chosen(options, "tasks", name) or (options.quick and quick is None):
                continue
            share = math.ceil(options.rounds * often / 10)
            if turn >= share:
                continue
            for workers in (1, 2):
                key = (name, size, workers)
                if key in errors:
                    continue
                progress.show("round %d of %d: tasks %s, %d worker(s)" % (
                    turn + 1, options.rounds, name, workers))
                command = os.path.join(build, "perf", "tasks")
                argv = [command, name, str(quick if options.quick else size), str(workers)]
                before = machine.sample()
                try:
                    for line in finish(start(argv)).splitlines():
                        figure, shown, _, *numbers = line.split()
                        at = (figure, int(shown), workers)
                        rounds.setdefault(at, []).append([float(x) for x in numbers])
                        units[figure] = values
                except RuntimeError as error:
                    errors[key] = str(error)
                machine.add(before)
    return rounds, units, errors


def instruction_figures(options, build, progress):
    if not chosen(options, "instructions", "forkjoin", "fib", "for"):
        return {}
    progress.show("counting instructions")
    gate = subprocess.run([os.path.join(HERE, "gate.sh"), "--figures"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          env=dict(os.environ, BUILD=build))
    pairs = [line.split() for line in gate.stdout.splitlines()]
    return {p[0]: float(p[1]) for p in pairs if len(p) == 2 and p[1] != "failed"}


# ---- reporting -----------------------------------------------------------------------------


def fork_join_facts(jobs, copies):
    """Per job: ns a unit (median, quartiles) and the ratios taken round by round."""
    find = {(j.program, j.workload, j.size, j.workers): j for j in jobs}
    facts = {}
    for job in jobs:
        if not job.rounds:
            continue
        units = unit_count(job.algorithm, job.size, job.result)
        fact = {"ns": middle([s / units * 1e9 for s in job.rounds]),
                "best": job.best / units * 1e9}
        others = {"serial": find.get(("serial C", job.algorithm, job.size, 1)),
                  "limit": find.get(("limit", "scope_call", job.size, 1))
                  if job.algorithm == "fib" else None}
        for name, other in others.items():
            if other and other.rounds:
                fact[name] = statistics.median(ratios(job.rounds, other.rounds))
        single = find.get((job.program, job.workload, job.size, 1))
        if job.workers == 2 and single and single.rounds:
            speedups = ratios(single.rounds, job.rounds)
            fact["speedup"] = statistics.median(speedups)
            pair, serial = copies.get(job.algorithm), others["serial"]
            if pair and pair.rounds and pair.size == job.size and serial.rounds:
                both = [t / a + t / b for t, (a, b) in zip(serial.rounds, pair.rounds)]
                fact["copies"] = statistics.median(both)
                fact["of_copies"] = statistics.median(ratios(speedups, both))
                fact["serial_of_copies"] = statistics.median(ratios(
                    ratios(serial.rounds, job.rounds), both))
        facts[job] = fact
    return facts


def report_fork_join(jobs, facts, path):
    head = ["workload", "program", "size", "workers", "ns", "IQR %", "best", "x serial", "x limit",
            "speed-up", "2 serial copies", "note"]
    rows, tsv = [], []
    order = list(USUAL)
    for job in sorted(jobs, key=lambda j: order.index(j.algorithm)):
        fact = facts.get(job)
        if not fact:
            rows.append([job.workload, job.program, job.size, job.workers] + [""] * 7 + [job.error])
            continue
        median, q1, q3 = fact["ns"]
        show = lambda name, form="%.2f": form % fact[name] if name in fact else ""
        rows.append([job.workload, job.program, job.size, job.workers, digits(median),
                     "%.0f" % ((q3 - q1) / median * 100), digits(fact["best"]), show("serial"),
                     show("limit"), show("speedup"), show("copies"), job.error or ""])
        tsv.append([job.workload, job.program, job.size, job.workers, "%.4f" % median,
                    "%.4f" % q1, "%.4f" % q3, "%.4f" % fact["best"], show("serial", "%.4f"),
                    show("limit", "%.4f"), show("speedup", "%.4f"), show("copies", "%.4f"),
                    len(job.rounds)])
    print("\nFork/join: ns a task (`for`: a number; `flat`: a child)\n")
    table(head, rows)
    write_tsv(path, ["workload", "program", "size", "workers", "ns_median", "ns_q1", "ns_q3",
                     "ns_best", "over_serial", "over_limit", "speedup", "speedup_two_serial_copies",
                     "rounds"], tsv)


def report_tasks(rounds, units, errors, path):
    rows, tsv = [], []
    for (figure, size, workers), runs in rounds.items():
        for i, (name, unit) in enumerate(units[figure]):
            median, q1, q3 = middle([run[i] for run in runs])
            label = (figure + " " + name).strip()
            spread = "%.0f" % ((q3 - q1) / median * 100) if median else ""
            rows.append([label, size, workers, digits(median), unit, spread, ""])
            tsv.append([label.replace(" ", "_"), size, workers, unit, "%.6g" % median,
                        "%.6g" % q1, "%.6g" % q3, len(runs)])
    for (name, size, workers), error in errors.items():
        rows.append([name, size, workers, "", "", "", error])
    print("\nGreen tasks\n")
    table(["figure", "size", "workers", "median", "unit", "IQR %", "note"], rows)
    write_tsv(path, ["figure", "size", "workers", "unit", "median", "q1", "q3", "rounds"], tsv)


def report_bars(facts, peaks, instructions, rounds):
    rows = []
    for name, measured, limit, met in bars.judge(facts, peaks, instructions, rounds):
        shown = "" if measured is None else digits(measured)
        rows.append([name, shown, limit, "not measured" if met is None else
                     "met" if met else "MISSED"])
    print("\nBars\n")
    table(["bar", "measured", "limit", ""], rows)
    return rows


def arguments():
    parser = argparse.ArgumentParser(prog="perf/run.sh", description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.path.join(HERE, "..", "build"),
                        help="where `make` builds")
    parser.add_argument("--quick", action="store_true", help="3 rounds, small sizes, no peers")
    parser.add_argument("--rounds", type=int, help="rounds (default 10, --quick 3)")
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    parser.add_argument("--only", default="", metavar="NAME,...",
                        help="suites (forkjoin, tasks), workloads or programs")
    options = parser.parse_args()
    options.only = [x.strip().lower() for x in options.only.split(",") if x.strip()]
    options.rounds = options.rounds or (3 if options.quick else 10)
    options.peers = options.peers and not options.quick
    if "forkjoin" in options.only:
        options.only += ["libscope", "limit"]
    return options


def main():
    options = arguments()
    build = os.path.abspath(options.build)
    progress, machine = Progress(), Machine()
    jobs, copies, missing = measure_fork_join(options, build, progress, machine)
    checks, peaks = once(options, build, progress, jobs)
    rounds, units, errors = measure_tasks(options, build, progress, machine)
    instructions = instruction_figures(options, build, progress)
    progress.clear()
    print("%d rounds in %d s; other processes kept %.2f processors busy meanwhile%s" % (
        options.rounds, time.monotonic() - progress.start, machine.others(),
        ": too much, read ratios only" if machine.others() > 0.06 else ""))
    facts = fork_join_facts(jobs, copies)
    if jobs:
        report_fork_join(jobs, facts, os.path.join(build, "perf", "forkjoin.tsv"))
    if rounds or errors:
        report_tasks(rounds, units, errors, os.path.join(build, "perf", "tasks.tsv"))
    for job, right, text in checks:
        print("%s: %s: %s" % ("right" if right else "WRONG", job.label(), text))
    report_bars(facts, peaks, instructions, rounds)
    for name, needs in missing:
        print("missing: %s (install %s)" % (name, needs))
    wrong = [job for job in jobs if job.error and job.program == "libscope"]
    return 1 if wrong or errors or any(not right for _, right, _ in checks) else 0


if __name__ == "__main__":
    sys.exit(main())
