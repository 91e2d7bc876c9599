"""tests/examples/httpd/whole.py: the program: how it ends, what it tells, other clients."""
import concurrent.futures
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time

from kit import (BIG, FILES, GET, PROGRAM, bodies, burst, connect, descriptors, equal, get, metric,
                 raw, room, server, statuses, test, to_the_end, until)


@test
def finishes_what_it_has_begun():
    with server() as (p, port):
        half, idle, loading = connect(port), connect(port), connect(port)
        idle.sendall(GET + b"Host: x\r\n\r\n")
        equal(statuses(idle.recv(4096)), [200])
        loading.sendall(burst(["/big.bin"] * 10))  # more than the kernel holds
        first = loading.recv(1000)
        half.sendall(GET)
        until(lambda: metric(port, "httpd_connections_open") == 4, "not all were accepted")
        p.send_signal(signal.SIGTERM)
        equal(to_the_end(idle), b"")
        # The one that was under way, and the next, which says that it is the last.
        answers = first + to_the_end(loading)
        assert set(bodies(answers)) == {BIG} and answers.count(b"Connection: close\r\n") == 1
        half.sendall(b"Host: x\r\n\r\n")
        answers = to_the_end(half)
        equal(statuses(answers), [200])
        assert b"Connection: close\r\n" in answers
        equal(p.wait(timeout=60), 0)


@test
def breaks_off_after_the_grace_period():
    with server("-g", "0.2", status=1) as (p, port):
        s = connect(port)
        s.sendall(GET)
        until(lambda: metric(port, "httpd_connections_open") == 2, "it was not accepted")
        p.send_signal(signal.SIGTERM)
        equal(p.wait(timeout=60), 1)
        equal(to_the_end(s), b"")


@test
def logs_what_went_out():
    log = os.path.join(room.name, "cut")
    with server("-l", log) as (p, port):
        with connect(port) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            s.sendall(burst(["/big.bin"] * 10))
            assert s.recv(1000)
        until(lambda: metric(port, "httpd_answers_cut_total") == 1, "it was not cut")
        until(lambda: "big.bin" in open(log).read(), "nothing is written")
    cut = [x for x in open(log).read().splitlines() if "big.bin" in x][-1]
    assert int(cut.split()[9]) < len(BIG), cut
    # What can't be written is told, once.
    with server("-l", "/dev/full") as (p, port):
        for _ in range(2):
            get(port, "/hello.txt")
            time.sleep(1.1)
    equal(p.errors.count("loses lines"), 1)


@test
def serves_on_when_nobody_reads_the_log():
    long, requests = "x" * 500, 1500
    one = b"GET /empty HTTP/1.1\r\nHost: x\r\nUser-Agent: %s\r\n" % long.encode()
    with server("-l", "-") as (p, port):
        answers = raw(port, (one + b"\r\n") * (requests - 1) + one + b"Connection: close\r\n\r\n")
        equal(statuses(answers), [200] * requests)
        lost = metric(port, "httpd_log_lines_lost_total")
        assert lost > 0
    # What was not lost is there when it is read at last; the last line is of /metrics.
    equal(p.out.count(long), requests - lost)
    equal(p.errors.count("loses lines"), 1)
    with server("-l", "-") as (p, port):
        p.stdout.close()
        get(port, "/hello.txt")
    assert "loses lines of, -: Broken pipe\n" in p.errors, p.errors


@test
def lists_a_directory_once_for_all_who_ask():
    root = os.path.join(room.name, "many")
    os.mkdir(root)
    for i in range(2000):
        open(os.path.join(root, f"{i}"), "w").close()
    with server("-i", root=root) as (p, port):
        with concurrent.futures.ThreadPoolExecutor(20) as clients:
            pages = {r.body for r in clients.map(lambda _: get(port, "/"), range(20))}
        equal({page.count(b"<tr>") for page in pages}, {2000})
        # A change is seen, a second later at most.
        os.remove(os.path.join(root, "7"))
        until(lambda: get(port, "/").body.count(b"<tr>") == 1999, "it stays as it was")
        # One slot is for many directories.
        for i in range(20):
            os.mkdir(os.path.join(root, f"d{i}"))
            open(os.path.join(root, f"d{i}", f"in{i}"), "w").close()
        for i in [*range(20), *range(20)]:
            assert b">in%d<" % i in get(port, f"/d{i}/").body


@test
def lists_what_it_would_serve():
    root = os.path.join(room.name, "odd").encode()
    os.mkdir(root)
    for name in (b"ok", b"bad\xff", b"new\nline"):
        open(os.path.join(root, name), "w").close()
    with server("-i", root=root.decode()) as (p, port):
        equal(re.findall(rb'href="([^"]*)"', get(port, "/").body), [b"./ok"])


@test
def logs_requests():
    log = os.path.join(room.name, "log")
    with server("-l", log) as (p, port):
        get(port, "/hello.txt", User_Agent='a"b\\c', Referer="http://r/")
        raw(port, b"nonsense\r\n\r\n")
        until(lambda: len(open(log).readlines()) == 2, "nothing is written")
        os.rename(log, log + ".1")
        p.send_signal(signal.SIGHUP)
        until(lambda: os.path.exists(log), "the log is not opened anew")
        get(port, "/none?a=b")
    lines = open(log + ".1").read().splitlines() + open(log).read().splitlines()
    stamp = r"127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "
    for line, wanted in zip(lines, (
            r'"GET /hello.txt HTTP/1.1" 200 13 "http://r/" "a\\x22b\\x5Cc"',
            r'"-" 400 16 "-" "-"', r'"GET /none\?a=b HTTP/1.1" 404 14 "-" "-"'), strict=True):
        assert re.fullmatch(stamp + wanted, line), line


@test
def tells_its_tasks_and_counters():
    with server() as (_, port):
        get(port, "/none")
        text = get(port, "/tasks").body.decode()
        assert re.search(r"/client.*running", text), text
        tree = json.loads(get(port, "/tasks?json").body)
        assert any(item.get("task") == "client" for item in tree["tree"]), tree
        text = get(port, "/metrics").body.decode()
        assert 'httpd_requests_total{status="4xx"} 1\n' in text, text
        assert 'httpd_requests_total{status="2xx"} 2\n' in text, text
        for line in text.splitlines():
            assert re.fullmatch(r'# (HELP|TYPE) \w+ .+|\w+(\{\w+="\w+"\})? [\d.]+', line), line
    with server("-s", "nobody") as (_, port):
        equal((get(port, "/tasks").status, get(port, "/metrics").status), (404, 404))


@test
def refuses_what_makes_no_sense():
    for arguments in (["-p", "x"], ["-p", "99999"], ["-p", "-1"], ["-p", ""], ["-k", "0"],
                      ["-k", "x"], ["-r", "-1"], ["-w", "1x"], ["-g", "nan"], ["-c", "x"],
                      ["-n", "99999999999"], ["-b", "-1"], ["-s", "me"], ["-a", "localhost"],
                      ["-z"], ["--nonsense"], ["-p"], [".", "."]):
        p = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60)
        equal((arguments, p.returncode, p.stdout), (arguments, 2, ""))
        assert "--help" in p.stderr, p.stderr
    p = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, timeout=60)
    equal((p.returncode, p.stderr), (0, ""))
    assert p.stdout.startswith("usage: scope-httpd "), p.stdout
    for arguments, words in (
            (["-a", "192.0.2.1", "-p", "80"], "can't listen at 192.0.2.1 port 80: "),
            (["/none"], "can't serve /none: No such file"),
            (["-l", "/none/log"], "can't write to /none/log: No such file")):
        p = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60)
        equal((arguments, p.returncode, p.stdout), (arguments, 1, ""))
        assert words in p.stderr, p.stderr
        equal(len(p.stderr.splitlines()), 1)


@test
def curl():
    if not shutil.which("curl"):
        return "curl is not there"
    with server("-i") as (_, port):
        at = f"http://127.0.0.1:{port}/"
        out = subprocess.run(["curl", "-sSf", at + "big.bin", at + "hello.txt", at + "big.bin"],
                             capture_output=True, check=True, timeout=60).stdout
        assert out == BIG + FILES["hello.txt"] + BIG
        part = os.path.join(room.name, "part")
        with open(part, "wb") as f:
            f.write(BIG[:1_000_000])
        subprocess.run(["curl", "-sSf", "-C", "-", "-o", part, at + "big.bin"], check=True,
                       timeout=60)
        assert open(part, "rb").read() == BIG
        out = subprocess.run(["curl", "-s", "-d", "x" * 2000, "-w", "%{http_code}", at],
                             capture_output=True, check=True, text=True, timeout=60).stdout
        assert out.endswith("405"), out
    return None


@test
def ab():
    if not shutil.which("ab"):
        return "ab (apache2-utils) is not there"
    with server() as (p, port):
        get(port, "/hello.txt")
        before = descriptors(p)
        out = subprocess.run(["ab", "-q", "-k", "-n", "3000", "-c", "50",
                              f"http://127.0.0.1:{port}/hello.txt"],
                             capture_output=True, text=True, check=True, timeout=60).stdout
        assert re.search(r"Complete requests: +3000\n", out) and "Non-2xx" not in out, out
        assert re.search(r"Failed requests: +0\n", out), out
        until(lambda: descriptors(p) <= before, "a descriptor was lost")
    return None


def listens(port):
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return False
    except ConnectionResetError:
        pass  # it stopped just now, with this one not accepted yet
    return True


def make_certificate():
    key, certificate = os.path.join(room.name, "key.pem"), os.path.join(room.name, "cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-days", "2",
                    "-keyout", key, "-out", certificate], check=True, capture_output=True,
                   timeout=60)
    return certificate, key


@test
def tls():
    certificate, key = make_certificate()
    context = ssl.create_default_context(cafile=certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with server("-C", certificate, "-K", key, "-r", "1", "-k", "5") as (p, port):
        before = descriptors(p)
        with context.wrap_socket(connect(port), server_hostname="localhost") as s:
            equal(s.selected_alpn_protocol(), "http/1.1")
            s.sendall(burst(["/hello.txt", "/big.bin", "/medium", "/none"]))
            got = to_the_end(s)
            equal([len(b) for b in bodies(got)], [13, len(BIG), 20000, 14])
            assert BIG in got
        with context.wrap_socket(connect(port), server_hostname="localhost") as s:
            s.sendall(b"nonsense\r\n\r\n")
            equal(statuses(to_the_end(s)), [400])
        # Two files stay open.  No TLS; nothing; a handshake that stops; one that is broken off.
        raw(port, burst(["/hello.txt"]))
        raw(port, b"", half_close=True)
        equal(raw(port, b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"), b"")
        connect(port).close()
        out = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-quiet",
                              "-CAfile", certificate, "-verify_return_error"],
                             input=burst(["/hello.txt"]), capture_output=True, timeout=60).stdout
        assert out.endswith(FILES["hello.txt"]), out
        until(lambda: descriptors(p) <= before + 2, "a descriptor was lost")
    # Half of a request, which is half of what is decrypted at once, is one that has begun.
    with server("-C", certificate, "-K", key) as (p, port), connect(port) as s:
        came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(came, goes, server_hostname="localhost")

        def talk(call):
            while True:
                try:
                    return call()
                except ssl.SSLWantReadError:
                    s.sendall(goes.read())
                    part = s.recv(1 << 16)
                    came.write(part) if part else came.write_eof()

        talk(session.do_handshake)
        session.write(burst(["/hello.txt"]))
        data = goes.read()
        s.sendall(data[:-20])
        with contextlib.suppress(TimeoutError):
            s.settimeout(0.3)
            while True:
                came.write(s.recv(1 << 16))  # tickets; by then the half was read
        p.send_signal(signal.SIGTERM)
        until(lambda: not listens(port), "it goes on")
        s.settimeout(60)
        s.sendall(data[-20:])
        equal(statuses(talk(lambda: session.read(1 << 16))), [200])
        equal(p.wait(timeout=60), 0)
    # Who has not even said hello has no request that could be finished.
    with server("-C", certificate, "-K", key, "-r", "1000", "-g", "1000") as (p, port):
        with connect(port) as silent, connect(port) as half:
            half.sendall(b"\x16\x03\x01")
            with context.wrap_socket(connect(port), server_hostname="localhost") as s:
                s.sendall(burst(["/hello.txt"]))
                equal(statuses(to_the_end(s)), [200])
            p.send_signal(signal.SIGTERM)
            equal((to_the_end(silent), to_the_end(half)), (b"", b""))
            equal(p.wait(timeout=60), 0)
    for arguments, words in ((["-C", key, "-K", key], "can't use"),
                             (["-C", certificate, "-K", "/none"], "can't use")):
        p = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60)
        equal((p.returncode, words in p.stderr), (1, True))
    equal(subprocess.run([PROGRAM, "-C", key], capture_output=True).returncode, 2)
