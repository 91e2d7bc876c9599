"""tests/examples/httpd/bad.py: requests that are refused."""
import os
import random
import re
import time

from kit import (GET, connect, descriptors, equal, get, must_wait, raw, server, statuses, test,
                 to_the_end, until)


BAD = (
    # request lines
    b"\0\0\0\0\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n", b"hello\r\n\r\n",
    b"GET\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/x\r\n\r\n", b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", b" GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\nHost: x\n\n", b"GET / HTTP/1.1\rHost: x\r\r", b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / http/1.1\r\nHost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET\t/\tHTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.10\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    # targets
    b"GET /../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /%2e%2e/x HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /sub/..%2fx HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /sub/%2E. HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /a/../../x HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /hello.txt%00.png HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /% HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /%4 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /%0d%0aX:%20y HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /%c0%ae%c0%ae/x HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /%e2%82 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /%ed%a0%80 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /%7f HTTP/1.1\r\nHost: x\r\n\r\n", b"GET hello.txt HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /x#y HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http:///x HTTP/1.1\r\nHost: x\r\n\r\n", b"GET ftp://x/hello.txt HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /\xe4 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
    # headers
    GET + b"\r\n", GET + b"Host: x\r\nHost: x\r\n\r\n", GET + b"Host: x y\r\n\r\n",
    GET + b"Host: x/y\r\n\r\n", GET + b"Host: a@b\r\n\r\n", GET + b"Host : x\r\n\r\n",
    GET + b" Host: x\r\n\r\n", GET + b"Host: x\r\n folded: y\r\n\r\n",
    GET + b"Host: x\r\nA: b\r\n\tc\r\n\r\n", GET + b"Host: x\r\nA: \r\n b\r\n\r\n",
    GET + b"Host: x\r\nA b: c\r\n\r\n", GET + b"Host: x\r\nA\r\n\r\n", GET + b"Host: x\r\n: b\r\n\r\n",
    GET + b"Host: x\r\nA: b\0c\r\n\r\n", GET + b"Host: x\r\nA: b\rc\r\n\r\n",
    GET + b"Host: x\r\nA: b\nC: d\r\n\r\n", GET + b"Host: x\r\nA\xe4: b\r\n\r\n",
    GET + b"Host: x\r\nA: b\n\r\n", GET + b"Host: x\r\n\n", GET + b"Host: x\r\nA: b\x7fc\r\n\r\n",
    # where it ends
    GET + b"Host: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    GET + b"Host: x\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n123456789",
    GET + b"Host: x\r\nContent-Length: 0, 0\r\n\r\n", GET + b"Host: x\r\nContent-Length: +1\r\n\r\nx",
    GET + b"Host: x\r\nContent-Length: -1\r\n\r\n", GET + b"Host: x\r\nContent-Length:\r\n\r\n",
    GET + b"Host: x\r\nContent-Length: 0x1\r\n\r\nx", GET + b"Host: x\r\nContent-Length: 1 1\r\n\r\nx",
    GET + b"Host: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    GET + b"Host: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    GET + b"Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    GET + b"Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    GET + b"Host: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    GET + b"Host: x\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    GET + b"Host: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    GET + b"Host: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    GET + b"Host: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    GET + b"Host: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    GET + b"Host: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    GET + b"Host: x\r\nTransfer-Encoding: chunked\t\r\n\r\nx\r\n\r\n",
    GET + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\rG0\r\n\r\n",
    b"GET /hello.txt HTTP/1.1\r\nHost: x\r\nContent-GET Length: 1\r\n\r\nx",
    GET + b"Host: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    GET + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n\r\n",
    GET + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    GET + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
    GET + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffffff\r\nx",
)


@test
def bad_requests_get_400_and_the_connection_is_closed():
    with server() as (p, port):
        before = descriptors(p)
        for data in BAD:
            # What follows would be answered if the server went on; some have to be ended.
            answers = raw(port, data + GET + b"Host: x\r\n\r\n", half_close=True)
            found = statuses(answers)
            assert found == [400] and b"Connection: close\r\n" in answers, (data, answers)
        equal(get(port, "/hello.txt").status, 200)
        until(lambda: descriptors(p) <= before + 1, "a descriptor was lost")


@test
def other_refusals():
    with server("-b", "100") as (_, port):
        for status, data in (
                (414, b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
                (414, b"GET /" + b"x" * 90000),
                (431, GET + b"Host: x\r\nA: " + b"x" * 17000),
                (431, GET + b"Host: x\r\n" + b"A: b\r\n" * 101 + b"\r\n"),
                (431, GET + b"Host: x\r\n" + b"A: b\r\n" * 90000),
                (413, GET + b"Host: x\r\nContent-Length: 101\r\n\r\n" + b"x" * 101),
                (413, GET + b"Host: x\r\nContent-Length: 999999999999\r\n\r\n"),
                (413, GET + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
                 b"1\r\nx\r\n" * 50),
                (413, GET + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 9000),
                (417, GET + b"Host: x\r\nExpect: wonders\r\n\r\n"),
                (505, b"GET / HTTP/2.0\r\nHost: x\r\n\r\n")):
            answers = raw(port, data)
            equal((data[:80], statuses(answers)), (data[:80], [status]))
            assert b"Connection: close\r\n" in answers
        # Bodies are read, and the connection has no further request.
        for data in (GET + b"Host: x\r\nContent-Length: 3\r\n\r\nabc",
                     GET + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                     GET + b"Host: x\r\nTransfer-Encoding: CHUNKED\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n"):
            answers = raw(port, data + GET + b"Host: x\r\n\r\n")
            equal((data, statuses(answers)), (data, [200]))
        # What comes behind a body is no part of it.
        for data in (GET + b"Host: x\r\nContent-Length: 100\r\n\r\n" + b"x" * 100,
                     GET + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"):
            answers = raw(port, data + GET + b"Host: " + b"x" * 200 + b"\r\n\r\n")
            equal((data, statuses(answers)), (data, [200]))
        # HTTP/1.0 knows of no answer before the answer.
        with connect(port) as s:
            s.sendall(b"POST / HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
            must_wait(s)
            s.sendall(b"abc")
            equal(statuses(to_the_end(s)), [405])
        with connect(port) as s:
            s.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                      b"Expect: 100-continue\r\n\r\n")
            equal(statuses(s.recv(4096)), [100])
            s.sendall(b"abc")
            equal(statuses(to_the_end(s)), [405])


@test
def agrees_with_another_parser():
    """Whatever is a request to this server is one to h11, which is known to be strict."""
    try:
        import h11
    except ImportError:
        return "python3-h11 is not there"
    seconds = float(os.environ.get("FUZZ_SECONDS", "1"))
    seed = int(os.environ.get("FUZZ_SEED", random.SystemRandom().randrange(1 << 32)))
    dice = random.Random(seed)
    seeds = [d for d in BAD if len(d) < 200] + [
        GET + b"Host: x\r\nRange: bytes=0-5\r\nIf-None-Match: \"x\"\r\nAccept: */*\r\n\r\n",
        b"HEAD /sub/page.html?x=y HTTP/1.1\r\nHost: [::1]:80\r\nUser-Agent: z\r\n\r\n",
        GET + b"Host: x\r\nContent-Length: 5\r\n\r\n12345",
        GET + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]
    pieces = [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\0", b"%2f", b"%", b"/", b"..", b"\xe4",
              b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: y\r\n", b",",
              b"HTTP/1.1", b"GET ", b"0", b";", b"\x7f", b"\x0b", b"A: b\r\n", b"chunked"]

    def mutate(data):
        data = bytearray(data)
        for _ in range(dice.choice((1, 1, 2, 3))):
            at = dice.randrange(len(data) + 1)
            what = dice.randrange(4)
            if what == 0:
                data[at:at] = dice.choice(pieces)
            elif what == 1:
                del data[at:at + dice.choice((1, 1, 2, 8))]
            elif what == 2 and at < len(data):
                data[at] = dice.randrange(256)
            else:
                other = dice.choice(seeds)
                data[at:] = other[dice.randrange(len(other)):]
        return bytes(data)

    def good_for_h11(data):
        c = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        # Empty lines before a request are to be passed over (RFC 9112, 2.2).
        c.receive_data(re.sub(rb"^(\r\n)+", b"", data))
        c.receive_data(b"")
        try:
            while True:
                event = c.next_event()
                if isinstance(event, h11.EndOfMessage):
                    return True
                if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                    return False
        except h11.RemoteProtocolError:
            return False

    count = served = 0
    with server() as (p, port):
        before = descriptors(p)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            data = mutate(dice.choice(seeds))
            answers = raw(port, data, half_close=True)
            first = (statuses(answers) or [0])[0]
            count += 1
            if first in (0, 400, 413, 414, 417, 431, 505):
                assert first or not data.strip(b"\r\n"), (seed, data)
                continue
            served += 1
            assert good_for_h11(data), f"seed {seed}: {data!r} is {first}"
        until(lambda: descriptors(p) <= before + 1, "a descriptor was lost")
    assert count > 10 and served, (count, served)
    return None
