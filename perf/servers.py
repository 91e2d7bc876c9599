#!/usr/bin/env python3
"""perf/servers.py: libscope beside its peers where tasks wait, meet and serve.

All programs take turns, in each round in the opposite order; medians and the middle half (IQR)
are printed, ratios are taken within a round.  With one worker a program is pinned to the first
processor; the clients of a server are pinned to the second.  CPU is that of all threads of the
server, by the scheduler's own account.  Called by perf/run.sh, which builds everything first.
"""
import argparse
import contextlib
import os
import random
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # nothing is built in the source tree
import bars
from kit import (Machine, Progress, digits, finish, middle, ratios, start, table, write_tsv)

HERE = os.path.dirname(os.path.abspath(__file__))
TASKS = ("switch", "spawn", "park", "pingpong", "mpsc", "ring", "mutex", "timers", "late",
         "cancel")
SERVED = (("echo", 64), ("echo", 1000), ("http", 64), ("http", 1000))
SILENT = 10000
QUICK = {"switch": 200000, "spawn": 100000, "park": 20000, "pingpong": 100000, "mpsc": 400000,
         "ring": 200000, "mutex": 100000, "timers": 100000, "cancel": 20000}
WARM_S = 0.2  # loadgen counts nothing so long; the server works
NGINX = """daemon off; master_process off; pid {dir}/pid; error_log stderr crit;
events {{ worker_connections 15000; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {dir};
 proxy_temp_path {dir}; fastcgi_temp_path {dir}; uwsgi_temp_path {dir}; scgi_temp_path {dir};
 sendfile on; open_file_cache max=1000; default_type text/plain;
 server {{ listen 127.0.0.1:{port} backlog=4096; root {dir}/www; }} }}
"""


class Peer:
    def __init__(self, name, command, workers, workloads):
        self.name, self.command, self.workers = name, command, workers
        self.counts = dict((w.split("=") + [0])[:2] for w in workloads)


def read_peers(options):
    at = lambda *path: os.path.join(options.build, *path)
    peers = [Peer("libscope", at("perf", "suite"), (1, 2), TASKS),
             Peer("scope-echo", at("bin", "scope-echo"), (1,), ("echo",)),
             Peer("scope-httpd", at("bin", "scope-httpd"), (1,), ("http",))]
    missing = []
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
        elif options.peers or program in ("epoll", "nginx"):
            peers.append(Peer(name, command, [int(w) for w in workers.split()],
                              workloads.split()))
    return peers, missing


def pairs_of(out):
    """What a program printed: lines of a figure's name and its value."""
    return {name: float(value) for name, value in (line.split() for line in out.splitlines())}


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
                for figure, value in pairs_of(out).items():
                    found.setdefault((figure, peer.name, workers), []).append(value)
            except RuntimeError as error:
                errors[peer.name, workload] = str(error)
            machine.add(before)
    return found, errors


# ---- servers -----------------------------------------------------------------------------


def threads(pid):
    return [f"/proc/{pid}/task/{t}" for t in os.listdir(f"/proc/{pid}/task")]


def cpu_seconds(pid):
    return sum(int(open(t + "/schedstat").read().split()[0]) for t in threads(pid)) / 1e9


def resident_bytes(pid):
    return int(open(f"/proc/{pid}/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def server_command(peer, what, port, room):
    """scope-httpd and nginx serve a file; the other servers of HTTP have one answer."""
    www = os.path.join(room, "www")
    if what == "http":
        os.mkdir(www)
        open(os.path.join(www, "hello.txt"), "w").write("Hello, World!")
    if peer.name == "scope-httpd":
        return [peer.command, "-a", "127.0.0.1", "-p", str(port), www]
    if peer.name == "scope-echo":
        return [peer.command, "-a", "127.0.0.1", "-p", str(port)]
    if peer.name == "nginx":
        conf = os.path.join(room, "nginx.conf")
        open(conf, "w").write(NGINX.format(dir=room, port=port))
        return [peer.command, "-p", room, "-c", conf]
    return [peer.command, what, "1", str(port)]


@contextlib.contextmanager
def server(peer, what, cpus, wrap=()):
    port = free_port()
    with tempfile.TemporaryDirectory() as room:
        p = subprocess.Popen(["taskset", "-c", str(cpus[0]), *wrap,
                              *server_command(peer, what, port, room)],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             env=dict(os.environ, SCOPE_WORKERS="1"))
        try:
            for _ in range(500):
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                time.sleep(0.02)
            yield p.pid, port
        finally:
            # A tracer ends with the server, and then tells what it counted.
            children = open(f"/proc/{p.pid}/task/{p.pid}/children").read().split()
            for pid in children or [p.pid]:
                os.kill(int(pid), 15)
            p.wait()


def wrk(cpu, port, conns):
    out = subprocess.run(["taskset", "-c", str(cpu), "wrk", "-t1", f"-c{conns}", "-d1s",
                          "--latency", f"http://127.0.0.1:{port}/hello.txt"], capture_output=True,
                         text=True, check=True).stdout
    words = out.split()
    p99 = words[words.index("99%") + 1]
    for unit, us in (("us", 1), ("ms", 1e3), ("s", 1e6)):
        if p99.endswith(unit):
            p99 = float(p99[:-len(unit)]) * us
            break
    return {"per_s": float(words[words.index("Requests/sec:") + 1]), "p99_us": p99}


def loadgen(options, cpu, port, conns, seconds):
    out = subprocess.run(["taskset", "-c", str(cpu), f"{options.build}/perf/servers/loadgen",
                          str(port), str(conns), str(seconds)],
                         capture_output=True, text=True, check=True)
    return pairs_of(out.stdout)


def load(options, what, cpu, pid, port, conns):
    before = cpu_seconds(pid)
    if what == "http":
        found = wrk(cpu, port, conns)
        seconds = 1
    else:
        found = loadgen(options, cpu, port, conns, 1)
        seconds = 1 + WARM_S
    found["cpu_us"] = (cpu_seconds(pid) - before) / (found["per_s"] * seconds) * 1e6
    return found


def measure_servers(options, peers, cpus, progress, machine):
    """{(row, figure, program): [value of a round, ...]}, {(program, row): error}."""
    found, errors = {}, {}
    for what, conns in SERVED:
        row = "%s %d" % (what, conns)
        if not chosen(options, "servers", what, row):
            continue
        if what == "http" and not shutil.which("wrk"):
            errors["wrk", row] = "the clients are missing (install wrk)"
            continue
        with contextlib.ExitStack() as stack:
            turns = [(peer, *stack.enter_context(server(peer, what, cpus)))
                     for peer in peers if what in peer.counts]
            for turn in range(3 * options.rounds):
                for peer, pid, port in turns[::-1] if turn % 2 else turns:
                    if (peer.name, row) in errors:
                        continue
                    progress.show("round %d of %d: %s %s" % (turn + 1, 3 * options.rounds,
                                                             peer.name, row))
                    before = machine.sample()
                    try:
                        values = load(options, what, cpus[1], pid, port, conns)
                        for figure, value in values.items():
                            found.setdefault((row, figure, peer.name), []).append(value)
                    except (subprocess.CalledProcessError, ValueError, OSError) as error:
                        errors[peer.name, row] = str(error)
                    machine.add(before)
    return found, errors


def measure_silent(options, peers, cpus, progress, found):
    row = "idle %d" % SILENT
    for peer in peers:
        if "echo" not in peer.counts or peer.name == "POSIX threads" or \
                not chosen(options, "servers", "idle"):
            continue
        progress.show("%s %s" % (peer.name, row))
        with server(peer, "echo", cpus) as (pid, port):
            before = resident_bytes(pid)
            clients = subprocess.Popen([f"{options.build}/perf/servers/loadgen", str(port),
                                        str(SILENT), "0"], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True)
            clients.stdout.readline()
            time.sleep(1)
            found[row, "bytes", peer.name] = [(resident_bytes(pid) - before) / SILENT]
            clients.communicate()


def count_calls(options, peers, cpus):
    """System calls a message of scope-echo and of the plain loop, by strace."""
    for peer in peers:
        if peer.name not in ("epoll", "scope-echo"):
            continue
        trace = f"{options.build}/perf/{peer.name}.calls"
        wrap = ("strace", "-f", "-c", "-o", trace)
        with server(peer, "echo", cpus, wrap) as (_, port):
            loadgen(options, cpus[1], port, 64, 1)
        rows = [line.split() for line in open(trace) if line[:1] == " "]
        counts = {r[-1]: int(r[3]) for r in rows if len(r) >= 5 and r[3].isdigit()}
        # Each message is received once; what is rare belongs to the start and the end.
        messages = max(counts.get("read", 0), counts.get("recvfrom", 0))
        often = {c: n for c, n in counts.items() if c != "total" and n > messages / 1000}
        print(f"{peer.name}: {sum(often.values()) / messages:.3f} system calls a message:", often)


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
                                 for f, v in pairs_of(out).items()])


def report_bars(options, tasks, served):
    ours = {(figure, workers): statistics.median(values)
            for (figure, program, workers), values in tasks.items() if program == "libscope"}
    pairs = {}
    for row, figure, ours_name, other in (
            ("echo 64", "cpu_us", "scope-echo", "epoll"),
            ("echo 1000", "cpu_us", "scope-echo", "epoll"),
            ("http 64", "cpu_us", "scope-httpd", "nginx"),
            ("http 64", "per_s", "scope-httpd", "nginx"),
            ("http 1000", "cpu_us", "scope-httpd", "nginx"),
            ("http 1000", "per_s", "scope-httpd", "nginx")):
        values, others = (served.get((row, figure, p)) for p in (ours_name, other))
        if values and others:
            over = ratios(values, others)
            pairs[row, figure] = (statistics.median(over), confidence(over)[1])
    silent = served.get(("idle %d" % SILENT, "bytes", "scope-echo"))
    rows = []
    for name, measured, limit, met in bars.judge_suite(ours, pairs, silent and silent[0]):
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
    parser.add_argument("--rounds", type=int, help="rounds (default 5, --quick 1); servers "
                        "three times as many, of a second each")
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    parser.add_argument("--only", default="", metavar="NAME,...",
                        help="floor, tasks, servers, idle, or workloads (ring, echo, 'echo 64')")
    parser.add_argument("--calls", action="store_true",
                        help="instead: system calls a message, counted by strace")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    options.only = [x.strip().lower() for x in options.only.split(",") if x.strip()]
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.peers = options.peers and not options.quick
    return options


def main():
    options = arguments()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    cpus = sorted(os.sched_getaffinity(0))
    cpus = (cpus[0], cpus[-1])
    progress, machine = Progress(), Machine()
    peers, missing = read_peers(options)
    if options.calls:
        count_calls(options, peers, cpus)
        return 0
    tasks, errors = measure_tasks(options, peers, progress, machine)
    served, refused = measure_servers(options, peers, cpus, progress, machine)
    measure_silent(options, peers, cpus, progress, served)
    progress.clear()
    print("%d rounds in %d s; other processes kept %.2f processors busy meanwhile%s" % (
        options.rounds, time.monotonic() - progress.start, machine.others(),
        ": too much, read ratios only" if machine.others() > 0.06 else ""))
    report_floor(options)
    report("Tasks that wait and meet", ("libscope",),
           {("", figure, program, w): v for (figure, program, w), v in tasks.items()}, errors,
           os.path.join(options.build, "perf", "suite.tsv"))
    report("Servers, 1 worker; HTTP beside nginx", ("nginx", "epoll"),
           {(row, figure, program, 1): v for (row, figure, program), v in served.items()},
           refused, os.path.join(options.build, "perf", "servers.tsv"))
    report_bars(options, tasks, served)
    for name, needs in missing:
        print("missing: %s (install %s)" % (name, needs))
    return 1 if any(p in ("libscope", "scope-echo", "scope-httpd") for p, _ in [*errors, *refused]) else 0


if __name__ == "__main__":
    sys.exit(main())
