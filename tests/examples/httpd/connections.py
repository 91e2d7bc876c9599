"""tests/examples/httpd/connections.py: requests that come together or in pieces, clients that go, slow and greedy ones."""
import contextlib
import http.client
import os
import random
import re
import socket
import struct
import tempfile
import threading
import time

from kit import (BIG, FILES, GET, PROGRAM, bodies, burst, connect, descriptors, equal, get,
                 metric, must_wait, raw, resident_bytes, room, server, statuses, test, to_the_end,
                 until)


@test
def keeps_connections():
    with server() as (_, port):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        c.connect()
        first = c.sock
        for _ in range(3):
            for path in ("/hello.txt", "/none", "/big.bin", "/sub"):
                c.request("GET", path)
                c.getresponse().read()
                assert c.sock is first
        c.request("GET", "/hello.txt", headers={"Connection": "close"})
        equal(c.getresponse().getheader("Connection"), "close")
        answers = raw(port, b"GET /hello.txt HTTP/1.0\r\n\r\n")
        assert answers.endswith(b"Connection: close\r\n\r\nhello, world\n"), answers
        with connect(port) as s:
            for _ in range(2):
                s.sendall(b"GET /empty HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                got = b""
                while b"\r\n\r\n" not in got:
                    got += s.recv(4096)
                assert b"Connection: keep-alive\r\n" in got


@test
def answers_bursts_in_order():
    dice = random.Random(2)
    names = ["hello.txt", "medium", "big.bin", "empty", "sub/page.html"]
    with server() as (_, port):
        for _ in range(3):
            asked = dice.choices(names, (9, 9, 1, 9, 9), k=80)
            answers = []
            with connect(port) as s:
                reader = threading.Thread(target=lambda: answers.append(to_the_end(s)))
                reader.start()
                s.sendall(burst(["/" + name for name in asked]))
                reader.join()
            equal(bodies(answers[0]), [FILES[name] for name in asked])


@test
def requests_in_pieces():
    data = burst(["/hello.txt", "/sub/page.html", "/hello.txt"])
    with server() as (_, port):
        for size in (1, 7, 50):
            with connect(port) as s:
                for at in range(0, len(data), size):
                    s.sendall(data[at:at + size])
                equal(bodies(to_the_end(s)), [FILES["hello.txt"], FILES["sub/page.html"],
                                              FILES["hello.txt"]])


@test
def half_closed_clients():
    with server() as (p, port):
        before = descriptors(p)
        equal(statuses(raw(port, b"GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n", True)), [200])
        equal(statuses(raw(port, b"GET /hello.txt HTTP/1.1\r\nHo", True)), [400])
        equal(raw(port, b"", True), b"")
        answers = raw(port, burst(["/big.bin"] * 3)[:-len("Connection: close\r\n\r\n")] + b"\r\n",
                      True)
        equal([len(b) for b in bodies(answers)], [len(BIG)] * 3)
        until(lambda: descriptors(p) <= before + 1, "a descriptor was lost")


@test
def resets():
    with server() as (p, port):
        get(port, "/big.bin")
        before = descriptors(p)
        for turn in range(300):
            s = connect(port)
            if turn % 3:
                s.sendall(b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n"[:turn % 50])
            if turn % 3 == 2:
                s.sendall(burst(["/big.bin"] * 5))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
        equal(get(port, "/hello.txt").status, 200)
        until(lambda: descriptors(p) <= before, "a descriptor was lost")
        until(lambda: metric(port, "httpd_connections_open") == 1, "a connection was lost")


@test
def a_slow_request_gets_408():
    with server("-r", "0.3") as (_, port):
        with connect(port) as s:
            s.sendall(GET)
            with contextlib.suppress(OSError):
                for _ in range(1000):
                    s.sendall(b"A: b\r\n")
                    time.sleep(0.01)
            equal(statuses(to_the_end(s)), [408])
        answers = raw(port, GET + b"Host: x\r\nContent-Length: 9\r\n\r\nabc")
        equal(statuses(answers), [408])
        equal(metric(port, "httpd_requests_late_total"), 2)


@test
def a_silent_client_is_closed():
    with server("-k", "0.2") as (_, port), connect(port) as s:
        equal(to_the_end(s), b"")
        with connect(port) as s2:
            s2.sendall(GET + b"Host: x\r\n\r\n")
            equal(statuses(to_the_end(s2)), [200])


@test
def a_client_that_does_not_read_is_broken_off():
    with server("-w", "0.3") as (_, port):
        with connect(port) as s:
            s.sendall(burst(["/big.bin"] * 20))
            assert s.recv(1)
            until(lambda: metric(port, "httpd_connections_open") == 1, "it was not broken off")
            assert len(to_the_end(s)) < 20 * len(BIG)


@test
def nothing_is_sent_behind_a_part_of_an_answer():
    """The client would take it for the rest.  It begins to read when the server has given up."""
    one = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
    counters = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    with tempfile.TemporaryDirectory() as root, server("-w", "0.4", root=root) as (_, port):
        with open(os.path.join(root, "x"), "wb") as f:
            f.write(b"x" * 15500)  # kept in memory; three are nearly what is sent at once
        good = 'httpd_requests_total{status="2xx"}'
        # Sent where the rest of a request is waited for; where there is no room for a text.
        for batch in (one * 2, one * 3 + counters):
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                s.connect(("127.0.0.1", port))
                s.sendall(batch[:9])
                wanted, last = metric(port, good) + 1, time.monotonic()  # each question is one too
                while time.monotonic() - last < 1:
                    if metric(port, good) >= wanted:
                        s.sendall(batch[9:] + batch[:9])
                        wanted += batch.count(b"GET")
                        last = time.monotonic()
                    wanted += 1
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_WR)  # one that has not given up ends all the same
                got = to_the_end(s)
            at = 0
            while head := re.match(rb"HTTP/1\.1 200 OK\r\n[^\0]*?Content-Length: (\d+)\r\n\r\n",
                                   got[at:at + 1000]):
                begin, at = at + head.end(), at + head.end() + int(head[1])
                if got[begin:begin + 1] == b"x":
                    strange = got[begin:at].strip(b"x")
                    assert not strange, strange[:200]
            assert got[at:at + 13] in (b"", b"HTTP/1.1 400 ", b"HTTP/1.1 200 "[:len(got) - at]), \
                got[at:at + 200]
        equal(metric(port, "httpd_requests_late_total"), 0)


@test
def a_slow_reader_gets_all():
    with server("-w", "5") as (_, port), connect(port) as s:
        s.sendall(burst(["/big.bin"] * 4))
        got = b""
        for _ in range(20):
            got += s.recv(2000)
            time.sleep(0.005)
        got += to_the_end(s)
        assert bodies(got) == [BIG] * 4


@test
def many_half_requests():
    """Slowloris: who has something to say is served beside them."""
    many = int(os.environ.get("CONNECTIONS", "1000"))
    with server("-r", "60") as (p, port):
        get(port, "/hello.txt")
        memory, before = resident_bytes(p), descriptors(p)
        slow = [connect(port) for _ in range(many)]
        for s in slow:
            s.sendall(b"GET / HT")
        until(lambda: metric(port, "httpd_connections_open") == many + 1, "not all were accepted")
        for _ in range(20):
            equal(get(port, "/hello.txt").status, 200)
        each = (resident_bytes(p) - memory) / many
        assert each < 120_000, f"{each} bytes each"
        for s in slow:
            s.close()
        until(lambda: descriptors(p) <= before + 1, "a descriptor was lost")


@test
def many_silent_connections():
    """Without a request a connection has no buffers."""
    many = int(os.environ.get("CONNECTIONS", "1000"))
    with server() as (p, port):
        get(port, "/hello.txt")
        memory, before = resident_bytes(p), descriptors(p)
        silent = [connect(port) for _ in range(many)]
        for s in silent:
            s.sendall(GET + b"Host: x\r\n\r\n")
        for s in silent:
            equal(statuses(s.recv(4096)), [200])
        for _ in range(20):
            equal(get(port, "/hello.txt").status, 200)
        each = (resident_bytes(p) - memory) / many
        print(f"# {each:.0f} bytes each")
        # A checker's memory beside it says nothing.
        assert "/asan/" in PROGRAM or each < 20_000, f"{each} bytes each"
        for s in silent:
            s.close()
        until(lambda: descriptors(p) <= before + 1, "a descriptor was lost")


@test
def so_many_of_an_address():
    with server("-n", "2") as (_, port):
        first, second = connect(port), connect(port)
        for s in (first, second):
            s.sendall(GET + b"Host: x\r\n\r\n")
            equal(statuses(s.recv(4096)), [200])
        answers = raw(port, GET + b"Host: x\r\n\r\n")
        equal(statuses(answers), [429])
        assert b"Connection: close" in answers
        first.close()
        until(lambda: statuses(raw(port, burst(["/hello.txt"]))) == [200], "no room again")
        second.close()


@test
def so_many_at_once():
    with server("-c", "2") as (_, port):
        first, second, third = connect(port), connect(port), connect(port)
        for s in (first, second):
            s.sendall(GET + b"Host: x\r\n\r\n")
            equal(statuses(s.recv(4096)), [200])
        third.sendall(burst(["/hello.txt"]))
        must_wait(third)
        first.close()
        equal(statuses(to_the_end(third)), [200])
        second.close()
