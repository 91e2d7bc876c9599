"""perf/serving.py: servers and their clients: who serves, who asks, what it took."""
import contextlib
import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import time

import bad_clients

# What is asked for, connections, workers of the server.
SERVED = (("echo", 64, 1), ("echo", 1000, 1), ("http", 64, 1), ("http", 1000, 1), ("http", 64, 2),
          ("checked", 100, 1), ("checked", 100, 2), ("plain", 100, 1), ("plain", 100, 2))
MIXED = ("checked", "plain")  # what perf/mixed.c takes for its jobs
SILENT = 10000
WARM_S = 0.2  # loadgen counts nothing so long; the server works
NGINX = """daemon off; {processes} pid {dir}/pid; error_log stderr crit;
events {{ worker_connections 15000; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {dir};
 proxy_temp_path {dir}; fastcgi_temp_path {dir}; uwsgi_temp_path {dir}; scgi_temp_path {dir};
 sendfile on; open_file_cache max=1000; default_type text/plain;
 server {{ listen 127.0.0.1:{port} backlog=4096; root {dir}/www; }} }}
"""


def name_of(what, conns):
    return "%s %d" % (f"mixed {what}" if what in MIXED else what, conns)


# ---- processes ---------------------------------------------------------------------------


def children(pid):
    found = []
    with contextlib.suppress(FileNotFoundError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError):  # it may end meanwhile
                found += open(f"/proc/{pid}/task/{task}/children").read().split()
    return [int(p) for p in found]


def cpu_seconds(pid):
    """Of a server and the processes that it is made of, ended threads included."""
    clock = lambda p: ~p << 3 | 2  # clock_getcpuclockid(3)
    return sum(time.clock_gettime(clock(p)) for p in [pid, *children(pid)])


def resident_bytes(pid):
    return int(open(f"/proc/{pid}/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def command_of(peer, what, workers, port, room):
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
        processes = "master_process off;" if workers == 1 else f"worker_processes {workers};"
        conf = os.path.join(room, "nginx.conf")
        os.chmod(room, 0o755)  # its workers may be nobody's
        open(conf, "w").write(NGINX.format(dir=room, port=port, processes=processes))
        return [peer.command, "-p", room, "-c", conf]
    return [peer.command, what, str(workers), str(port)]


@contextlib.contextmanager
def server(peer, what, workers, cpus, wrap=()):
    """(its process, its port).  One worker has a processor to itself, more share them all with
    the clients."""
    port = free_port()
    place = str(cpus[0]) if workers == 1 else ",".join(map(str, cpus))
    with tempfile.TemporaryDirectory() as room:
        p = subprocess.Popen(["taskset", "-c", place, *wrap,
                              *command_of(peer, what, workers, port, room)],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             env=dict(os.environ, SCOPE_WORKERS=str(workers)))
        try:
            for _ in range(500):
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                time.sleep(0.02)
            yield p.pid, port
        finally:
            # A tracer ends with the server, and then tells what it counted.
            for pid in children(p.pid) if wrap else [p.pid, *children(p.pid)]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 15)
            p.wait()


# ---- clients -----------------------------------------------------------------------------


def microseconds(text):
    """Of wrk: 12.00us, 1.20ms, 1.02s."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def wrk(place, port, conns):
    out = subprocess.run(["taskset", "-c", place, "wrk", "-t1", f"-c{conns}", "-d1s",
                          "--latency", f"http://127.0.0.1:{port}/hello.txt"], capture_output=True,
                         text=True, check=True).stdout
    words = out.split()
    return {"per_s": float(words[words.index("Requests/sec:") + 1]),
            "p99_us": microseconds(words[words.index("99%") + 1])}


def pairs_of(out):
    """What a program printed: lines of a figure's name and its value."""
    return {name: float(value) for name, value in (line.split() for line in out.splitlines())}


def loadgen(build, place, port, conns, seconds):
    out = subprocess.run(["taskset", "-c", place, f"{build}/perf/servers/loadgen",
                          str(port), str(conns), str(seconds)],
                         capture_output=True, text=True, check=True)
    return pairs_of(out.stdout)


def load(build, what, place, pid, port, conns):
    before = cpu_seconds(pid)
    if what == "http":
        seconds = 1
        for _ in range(3):  # on a busy machine wrk may not get to its first request in time
            found = wrk(place, port, conns)
            if found["per_s"]:
                break
            before = cpu_seconds(pid)
    else:
        found = loadgen(build, place, port, conns, 1)
        seconds = 1 + WARM_S
    if what in MIXED:
        return found  # its CPU is that of the jobs
    if found["per_s"] == 0:
        raise ValueError("it answered nothing")
    found.pop("longest_us", None)
    found["cpu_us"] = (cpu_seconds(pid) - before) / (found["per_s"] * seconds) * 1e6
    return found


# ---- measuring ---------------------------------------------------------------------------


def measure(build, peers, cpus, rounds, chosen, progress, machine):
    """{(row, figure, program, workers): [value of a round, ...]}, {(program, row): error}."""
    found, errors = {}, {}
    for what, conns, workers in SERVED:
        row = name_of(what, conns)
        if not chosen("servers", row.split()[0], row):
            continue
        if what == "http" and not shutil.which("wrk"):
            errors["wrk", row] = "the clients are missing (install wrk)"
            continue
        place = str(cpus[-1]) if workers == 1 else ",".join(map(str, cpus))
        with contextlib.ExitStack() as stack:
            turns = [(peer, *stack.enter_context(server(peer, what, workers, cpus)))
                     for peer in peers if what in peer.counts and workers in peer.workers]
            for turn in range(rounds):
                for peer, pid, port in turns[::-1] if turn % 2 else turns:
                    if (peer.name, row) in errors:
                        continue
                    progress.show("round %d of %d: %s %s, %d worker(s)" % (
                        turn + 1, rounds, peer.name, row, workers))
                    before = machine.sample()
                    try:
                        served = cpu_seconds(pid)
                        values = load(build, what, place, pid, port, conns)
                        machine.ours += cpu_seconds(pid) - served  # the server goes on
                        for figure, value in values.items():
                            found.setdefault((row, figure, peer.name, workers), []).append(value)
                    except (subprocess.CalledProcessError, ValueError, OSError) as error:
                        errors[peer.name, row] = str(error)
                    machine.add(before)
    return found, errors


def measure_silent(build, peers, cpus, progress, found, errors):
    """Bytes that a silent connection takes, after its one worker has seen ten thousand."""
    row = "idle %d" % SILENT
    for peer in peers:
        if "echo" not in peer.counts or peer.name == "POSIX threads":
            continue
        progress.show("%s %s" % (peer.name, row))
        with server(peer, "echo", 1, cpus) as (pid, port):
            before = resident_bytes(pid)
            clients = subprocess.Popen([f"{build}/perf/servers/loadgen", str(port), str(SILENT),
                                        "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       text=True)
            if select.select([clients.stdout], [], [], 60)[0]:
                time.sleep(1)
                found[row, "bytes", peer.name, 1] = [(resident_bytes(pid) - before) / SILENT]
            else:
                errors[peer.name, row] = "it accepts too slowly"
                clients.kill()
            clients.communicate()


def measure_bad(build, rounds, progress, found):
    """How long the good clients of scope-httpd wait, beside bad ones and not."""
    alone, beside = "http 16", "http 16 beside bad ones"
    lost = bad_clients.compare(build, rounds, lambda turn, name, p99_us: (
        found.setdefault((beside if name == "beside" else alone, "p99_us", "scope-httpd", 1),
                         []).append(p99_us),
        progress.show("round %d of %d: scope-httpd %s bad clients" % (turn + 1, rounds, name))))
    found[beside, "lost_descriptors", "scope-httpd", 1] = [lost]


def count_calls(build, peers, cpus):
    """System calls a message of scope-echo and of the plain loop, by strace."""
    for peer in peers:
        if peer.name not in ("epoll", "scope-echo"):
            continue
        trace = f"{build}/perf/{peer.name}.calls"
        wrap = ("strace", "-f", "-c", "-o", trace)
        with server(peer, "echo", 1, cpus, wrap) as (_, port):
            loadgen(build, str(cpus[-1]), port, 64, 1)
        rows = [line.split() for line in open(trace) if line[:1] == " "]
        counts = {r[-1]: int(r[3]) for r in rows if len(r) >= 5 and r[3].isdigit()}
        # Each message is received once; what is rare belongs to the start and the end.
        messages = max(counts.get("read", 0), counts.get("recvfrom", 0))
        often = {c: n for c, n in counts.items() if c != "total" and n > messages / 1000}
        print(f"{peer.name}: {sum(often.values()) / messages:.3f} system calls a message:", often)
