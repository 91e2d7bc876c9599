"""tests/examples/httpd/kit.py: a server with files, and what asks it and looks at answers."""
import contextlib
import http.client
import os
import random
import re
import resource
import socket
import sys
import tempfile
import time

from clients import connect, must_wait, running, test

PROGRAM = sys.argv[1]

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

room = tempfile.TemporaryDirectory()
ROOT = os.path.join(room.name, "root")
BIG = random.Random(1).randbytes(3_000_000)
FILES = {
    "hello.txt": b"hello, world\n", "empty": b"", "index.html": b"<h1>top</h1>\n",
    "sub/page.html": b"<p>page</p>\n", "sub/deep/x.css": b"p {}\n", "big.bin": BIG,
    "a b/\u00e4 &<>\".txt": b"odd\n", "indexed/index.html": b"<h1>indexed</h1>\n",
    ".hidden": b"secret\n", ".well-known/x": b"known\n", "medium": BIG[:20000],
}
for name, data in FILES.items():
    path = os.path.join(ROOT, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
os.symlink("/etc/passwd", os.path.join(ROOT, "out"))
os.symlink("..", os.path.join(ROOT, "up"))
os.symlink("hello.txt", os.path.join(ROOT, "inside"))
os.mkfifo(os.path.join(ROOT, "fifo"))


GET = b"GET /hello.txt HTTP/1.1\r\n"  # the rest is to follow


def server(*arguments, root=ROOT, most_descriptors=hard, **options):
    limit = (most_descriptors, most_descriptors)
    return running([PROGRAM, "-a", "127.0.0.1", "-p", "0", *arguments, root],
                   r"serving .* at https?://127\.0\.0\.1:(\d+)/\n",
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit), **options)


def get(port, path, method="GET", **headers):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    c.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    r = c.getresponse()
    r.body = r.read()
    c.close()
    return r


def to_the_end(s):
    got = []
    with contextlib.suppress(ConnectionResetError):
        while part := s.recv(1 << 18):
            got.append(part)
    return b"".join(got)


def raw(port, data, half_close=False):
    """All that comes for these bytes until the server closes."""
    with connect(port) as s:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            s.sendall(data)
            if half_close:
                s.shutdown(socket.SHUT_WR)
        return to_the_end(s)


def statuses(answers):
    return [int(x) for x in re.findall(rb"^HTTP/1\.1 (\d{3}) ", answers, re.M)]


def equal(got, wanted):
    assert got == wanted, f"{got!r} is not {wanted!r}"


def until(condition, what):
    """Waits, long, for what comes soon."""
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(what)


def descriptors(p):
    return len(os.listdir(f"/proc/{p.pid}/fd"))


def resident_bytes(p):
    with open(f"/proc/{p.pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def metric(port, name):
    found = re.search(rf"^{re.escape(name)} (\d+)$", get(port, "/metrics").body.decode(), re.M)
    return int(found[1])


def burst(paths):
    last = len(paths) - 1
    return b"".join(b"GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n" %
                    (p.encode(), b"Connection: close\r\n" if i == last else b"")
                    for i, p in enumerate(paths))


def bodies(answers):
    found, at = [], 0
    while at < len(answers):
        begin = answers.index(b"\r\n\r\n", at) + 4
        size = int(re.search(rb"Content-Length: (\d+)", answers[at:begin])[1])
        at = begin + size
        found.append(answers[begin:at])
    return found
