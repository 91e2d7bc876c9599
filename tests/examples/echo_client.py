"""tests/examples/echo_client.py: what clients that are not part of the project see of scope-echo.

Usage: echo_client.py PROGRAM   Prints TAP.
"""
import os
import random
import signal
import socket
import struct
import sys
import tempfile
import threading
import time

from clients import connect, must_wait, run, running, test

PROGRAM = sys.argv[1]


def server(*arguments, **options):
    return running([PROGRAM, "-a", "127.0.0.1", *arguments], r"listening at (?:port )?(.+)\n",
                   **options)


def receive(s, size):
    got = b""
    while len(got) < size:
        part = s.recv(size - len(got))
        assert part, "the server ended too early"
        got += part
    return got


def exchange(s, data):
    s.sendall(data)
    assert receive(s, len(data)) == data


@test
def answers_one():
    with server(workers=1) as (p, port), connect(port) as s:
        for size in (1, 64, 1023, 1024, 1025, 100000):
            exchange(s, os.urandom(size))
        s.shutdown(socket.SHUT_WR)
        assert s.recv(1) == b""
    assert "1 connections, 103137 bytes, 0 broken off" in p.out, p.out


@test
def answers_many():
    with server() as (p, port):
        clients = [connect(port) for _ in range(200)]
        for turn in range(10):
            for s in clients:
                s.sendall(bytes([turn]) * 64)
            for s in clients:
                assert receive(s, 64) == bytes([turn]) * 64
        for s in clients:
            s.close()
    assert "200 connections, 128000 bytes" in p.out, p.out


@test
def a_client_that_reads_late():
    """Megabytes are under way before the first byte is read."""
    data = random.Random(1).randbytes(8 << 20)
    with server() as (_, port), connect(port) as s:
        sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
        sender.start()
        assert receive(s, len(data)) == data
        assert s.recv(1) == b""
        sender.join()


@test
def resets_and_half_closed_clients():
    with server() as (_, port):
        for turn in range(200):
            s = connect(port)
            if turn % 2:
                s.sendall(b"x" * 1000)
            if turn % 3 == 0:
                s.shutdown(socket.SHUT_WR)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
        with connect(port) as s:
            exchange(s, b"still there")


@test
def a_silent_client_is_closed():
    with server("-t", "0.2") as (_, port), connect(port) as s:
        exchange(s, b"hello")
        assert s.recv(1) == b""


@test
def no_more_than_allowed():
    with server("-c", "2") as (_, port):
        first, second, third = connect(port), connect(port), connect(port)
        exchange(first, b"one")
        exchange(second, b"two")
        third.sendall(b"three")
        must_wait(third)
        first.close()
        assert receive(third, 5) == b"three"
        second.close()
        third.close()


@test
def finishes_within_the_grace_period():
    with server() as (p, port):
        s = connect(port)
        exchange(s, b"before")
        p.send_signal(signal.SIGTERM)
        # Nobody is accepted any more, and who is there is still served.
        exchange(s, b"after")
        s.close()
        p.wait(timeout=30)


@test
def breaks_off_after_the_grace_period():
    with server("-g", "0.2", status=1) as (_, port):
        s = connect(port)
        exchange(s, b"before")
    assert s.recv(1) == b""


@test
def unix_sockets():
    with tempfile.TemporaryDirectory() as room:
        path = os.path.join(room, "echo")
        with server("-u", path) as (_, where):
            assert where == path
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(30)
            s.connect(path)
            exchange(s, os.urandom(60000))
            s.close()
        assert not os.path.exists(path)


@test
def an_idle_server_uses_no_time():
    with server() as (p, port), connect(port) as s:
        exchange(s, b"x")
        before = cpu(p.pid)
        time.sleep(1)
        used = (cpu(p.pid) - before) * 1e3
        assert used < 5, f"{used} ms in a second"


def cpu(pid):
    return sum(int(open(f"/proc/{pid}/task/{t}/schedstat").read().split()[0]) / 1e9
               for t in os.listdir(f"/proc/{pid}/task"))


run()
