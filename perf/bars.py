"""perf/bars.py: the figures that libscope has to reach, and whether a run reached them.

Times hold on the machine they were set on; ratios and instruction counts hold elsewhere.
"""

# workload, workers, ns a task
FORK_JOIN_NS = (
    ("fib", 1, 10), ("fib", 2, 5.3), ("fib_bare", 1, 10), ("fib_bare", 2, 5.3),
    ("fib_both", 1, 8), ("fib_fast", 1, 8),
    ("nqueens", 1, 15), ("uts", 1, 14), ("skynet", 1, 8), ("skynet", 2, 4.2),
    ("flat", 1, 9), ("flat", 2, 9), ("flat_n", 1, 2), ("flat_n", 2, 1.5),
)
PEAK_MIB = (("flat", 34), ("flat_n", 1))
FIB_INSTRUCTIONS = 105
FIB_OF_LIMIT = 0.75
FOR_OVER_SERIAL_INSTRUCTIONS = 1.01
FOR_OF_COPIES = 0.97
SPEEDUP_OF_COPIES = 0.95

# figure, which of its values, size (None: any), workers, limit, unit
TASKS = (
    ("parked_child_batch", 0, None, 1, 80, "ns"), ("parked_child_single", 0, None, 1, 150, "ns"),
    ("yield", 0, 2, 1, 10, "ns"), ("yield", 0, 1000, 1, 15, "ns"),
    ("parked_bytes", 0, 100000, 1, 4300, "bytes"), ("parked_bytes", 0, 1000000, 1, 4300, "bytes"),
    ("cancel_tree", 0, 100000, 1, 200, "ns"), ("cancel_tree", 0, 100000, 2, 200, "ns"),
    ("cancel_nested", 0, 1000000, 1, 250, "ns"), ("cancel_nested", 0, 1000000, 2, 250, "ns"),
    ("sleeps", 1, 1000000, 1, 2.5, "s"), ("sleeps", 1, 1000000, 2, 2, "s"),
    ("idle", 0, None, 1, 5, "ms/s"), ("idle", 0, None, 2, 5, "ms/s"),
    ("checkpoint", 0, None, 1, 3.5, "ns"), ("checkpoint_deep", 0, None, 1, 6, "ns"),
    ("open_close_deadline", 0, None, 1, 20, "ns"),
)

# Of perf/servers.py: figure, workers, limit; millions a second
SUITE = (("pingpong_ns", 1, 70), ("pingpong_ns", 2, 120), ("ring_hop_ns", 1, 45),
         ("ring_hop_ns", 2, 70), ("late_p50_us", 1, 120), ("late_p50_us", 2, 120),
         ("late_p99_us", 1, 500), ("late_p99_us", 2, 500), ("late_cpu_ns", 1, 300),
         ("late_cpu_ns", 2, 300))
SUITE_M = (("mpsc_per_s", 1, 55), ("mpsc_per_s", 2, 20), ("mutex_per_s", 1, 60),
           ("mutex_per_s", 2, 12), ("mutex_yield_per_s", 1, 6), ("mutex_yield_per_s", 2, 6))
ECHO_OF_EPOLL = 1.05
ECHO_OF_EPOLL_BOUND = 1.10
SILENT_BYTES = 4600
HTTP = (("http 64", 1), ("http 1000", 1), ("http 64", 2)) # connections, workers
MIXED_P99_MS = 5
MIXED_LONGEST_MS = 100
BAD_CLIENTS = 2


def workers_text(workers):
    return "%d worker%s" % (workers, "s" if workers > 1 else "")


def most(name, measured, limit, unit=""):
    met = None if measured is None else measured <= limit
    return name, measured, "<= %s %s" % (limit, unit), met


def least(name, measured, limit):
    met = None if measured is None else measured >= limit
    return name, measured, ">= %s" % limit, met


def median(values):
    values = sorted(values)
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2


def judge(facts, peaks, instructions, task_rounds):
    """Yields (bar, measured or None, limit as text, met or None)."""
    ours = {(job.workload, job.workers): fact for job, fact in facts.items()
            if job.program == "libscope"}

    def fact(workload, workers, name):
        return ours.get((workload, workers), {}).get(name)

    for workload, workers, limit in FORK_JOIN_NS:
        ns = fact(workload, workers, "ns")
        yield most("%s, %s" % (workload, workers_text(workers)), ns and ns[0], limit, "ns")
    yield most("fib, instructions a spawn", instructions.get("fib"), FIB_INSTRUCTIONS)
    yield most("fib_bare, instructions a spawn", instructions.get("fib_bare"), FIB_INSTRUCTIONS)
    yield most("fib over limit scope_call", fact("fib", 1, "limit"), FIB_OF_LIMIT)
    yield most("fib_bare over limit scope_call", fact("fib_bare", 1, "limit"), FIB_OF_LIMIT)
    slower = fact("flat", 2, "speedup")
    yield least("flat, speed-up of the second worker", slower, 1)
    for workload, limit in PEAK_MIB:
        for workers in (1, 2):
            yield most("%s, peak over baseline, %s" % (workload, workers_text(workers)),
                       peaks.get((workload, workers)), limit, "MiB")
    for workload in ("fib", "nqueens", "uts", "skynet"):
        yield least("%s, speed-up over that of two serial copies" % workload,
                    fact(workload, 2, "of_copies"), SPEEDUP_OF_COPIES)
    yield least("for, 2 workers over two serial copies", fact("for", 2, "serial_of_copies"),
                FOR_OF_COPIES)
    yield most("for, instructions over serial", instructions.get("for_over_serial"),
               FOR_OVER_SERIAL_INSTRUCTIONS)
    for figure, value, size, workers, limit, unit in TASKS:
        runs = [run for (name, at, w), all_runs in task_rounds.items() for run in all_runs
                if name == figure and w == workers and size in (None, at)]
        shown = " %d" % size if size else ""
        yield most("%s%s, %s" % (figure, shown, workers_text(workers)),
                   median([run[value] for run in runs]) if runs else None, limit, unit)
    for workers in (1, 2):
        runs = [run for (name, at, w), all_runs in task_rounds.items() for run in all_runs
                if name == "timeouts" and w == workers]
        yield most("timeouts, the latest after that of a thread, %s" % workers_text(workers),
                   max(run[0] - run[1] for run in runs) if runs else None, 100, "ms")


def judge_suite(figures, pairs, served):
    """As judge, of what perf/servers.py measured."""
    for figure, workers, limit in SUITE:
        name, unit = figure.rsplit("_", 1)
        yield most("%s, %s" % (name.replace("_", " "), workers_text(workers)),
                   figures.get((figure, workers)), limit, unit)
    for figure, workers, limit in SUITE_M:
        value = figures.get((figure, workers))
        yield least("%s, %s, millions a second" % (figure[:-len("_per_s")].replace("_", " "),
                    workers_text(workers)), value and value / 1e6, limit)
    for row in ("echo 64", "echo 1000"):
        ratio, bound = pairs.get((row, "cpu_us", 1), (None, None))
        yield most("%s, CPU over that of plain epoll" % row, ratio, ECHO_OF_EPOLL)
        yield most("%s, upper end of 90 %%" % row, bound, ECHO_OF_EPOLL_BOUND)
    for row, workers in HTTP:
        name = "%s, %s" % (row, workers_text(workers))
        yield most("%s, CPU over that of nginx" % name,
                   pairs.get((row, "cpu_us", workers), (None, None))[0], 1)
        yield least("%s, requests over those of nginx" % name,
                    pairs.get((row, "per_s", workers), (None, None))[0], 1)
    yield most("idle connection", served.get(("idle 10000", "bytes", 1)), SILENT_BYTES, "bytes")
    for workers in (1, 2):
        p99 = served.get(("mixed checked 100", "p99_us", workers))
        longest = served.get(("mixed plain 100", "longest_us", workers))
        yield most("echo beside jobs with checkpoints, p99, %s" % workers_text(workers),
                   p99 and p99 / 1e3, MIXED_P99_MS, "ms")
        yield most("echo beside jobs without, longest, %s" % workers_text(workers),
                   longest and longest / 1e3, MIXED_LONGEST_MS, "ms")
    alone, beside = (served.get((row, "p99_us", 1)) for row in ("http 16",
                                                                "http 16 beside bad ones"))
    yield most("http 16, p99 beside bad clients over that without", alone and beside / alone,
               BAD_CLIENTS)
    yield most("http 16, descriptors lost",
               served.get(("http 16 beside bad ones", "lost_descriptors", 1)), 0)
