"""tests/examples/httpd/files.py: what is served, parts of it, and conditions."""
import fcntl
import http.client
import os
import re
import signal
import tempfile

from kit import (FILES, GET, burst, descriptors, equal, get, raw, server, statuses, test,
                 until)


@test
def serves_files():
    with server() as (_, port):
        for path, name, kind in (
                ("/hello.txt", "hello.txt", "text/plain; charset=utf-8"),
                ("/empty", "empty", "application/octet-stream"),
                ("/big.bin", "big.bin", "application/octet-stream"),
                ("/medium?query=1", "medium", "application/octet-stream"),
                ("/sub//deep/./x.css", "sub/deep/x.css", "text/css; charset=utf-8"),
                ("/", "index.html", "text/html; charset=utf-8"),
                ("/indexed/", "indexed/index.html", "text/html; charset=utf-8"),
                ("/inside", "hello.txt", "application/octet-stream"),
                ("/.well-known/x", ".well-known/x", "application/octet-stream"),
                ("http://elsewhere/hello.txt", "hello.txt", "text/plain; charset=utf-8"),
                ("/a%20b/%c3%a4%20%26%3C%3e%22.txt", "a b/\u00e4 &<>\".txt",
                 "text/plain; charset=utf-8")):
            for _ in range(2):  # from the disk, from the cache
                r = get(port, path)
                equal((path, r.status, r.body), (path, 200, FILES[name]))
                equal(r.getheader("Content-Type"), kind)
                equal(int(r.getheader("Content-Length")), len(FILES[name]))
                assert r.getheader("Date") and r.getheader("Last-Modified")
            r = get(port, path, "HEAD")
            equal((r.status, r.body, int(r.getheader("Content-Length"))),
                  (200, b"", len(FILES[name])))


@test
def what_is_not_served():
    with server() as (_, port):
        for path, status in (("/none", 404), ("/hello.txt/", 404), ("/hello.txt/x", 404),
                             ("/.hidden", 404), ("/sub/.x/../y", 400), ("/out", 404),
                             ("/up/hello.txt", 404), ("/fifo", 403), ("/sub/", 403),
                             ("/" + "x" * 300, 404), ("/" + "x/" * 3000, 414)):
            equal((path, get(port, path).status), (path, status))
        r = get(port, "/sub/deep?x=1")
        equal((r.status, r.getheader("Location")), (301, "/sub/deep/?x=1"))
        r = get(port, "//sub")
        equal((r.status, r.getheader("Location")), (301, "/sub/"))


@test
def methods():
    with server() as (_, port):
        r = get(port, "/hello.txt", "OPTIONS")
        equal((r.status, r.getheader("Allow"), r.body), (204, "GET, HEAD, OPTIONS", b""))
        for method in ("POST", "PUT", "DELETE", "TRACE", "PATCH"):
            r = get(port, "/hello.txt", method)
            equal((r.status, r.getheader("Allow")), (405, "GET, HEAD, OPTIONS"))
        answers = raw(port, b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        equal(statuses(answers), [204])


@test
def lists_directories():
    with server("-i") as (_, port):
        page = get(port, "/a%20b/").body.decode()
        assert '<a href="./%C3%A4%20%26%3C%3E%22.txt">\u00e4 &amp;&lt;&gt;&quot;.txt</a>' in page, page
        page = get(port, "/sub/").body.decode()
        assert 'href="./deep/"' in page and 'href="./page.html"' in page and '"../"' in page, page
        page = get(port, "/.well-known/").body.decode()
        assert 'href="./x"' in page, page
        equal(get(port, "/").body, FILES["index.html"])


@test
def a_file_that_changes():
    with tempfile.TemporaryDirectory() as root, server(root=root) as (_, port):
        path = os.path.join(root, "x")
        for text in (b"one", b"another"):
            with open(path + "~", "wb") as f:
                f.write(text)
            os.rename(path + "~", path)
            until(lambda: get(port, "/x").body == text, "an old file is served")
        os.unlink(path)
        until(lambda: get(port, "/x").status == 404, "a file is served that is gone")


@test
def more_files_than_are_kept():
    with tempfile.TemporaryDirectory() as root, server(root=root) as (p, port):
        for i in range(1500):
            with open(os.path.join(root, str(i)), "w") as f:
                f.write(str(i))
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for i in list(range(1500)) + list(range(0, 1500, 100)):
            c.request("GET", f"/{i}")
            equal(c.getresponse().read(), str(i).encode())
        c.close()
        assert descriptors(p) < 30


@test
def large_files_leave_descriptors_to_clients():
    with tempfile.TemporaryDirectory() as root, \
            server(root=root, most_descriptors=64) as (p, port):
        for i in range(100):
            with open(os.path.join(root, str(i)), "wb") as f:
                f.write(FILES["medium"])
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for i in range(100):
            c.request("GET", f"/{i}")
            equal(c.getresponse().read(), FILES["medium"])
        assert descriptors(p) < 40
        c.close()


@test
def ranges():
    with server() as (_, port):
        for path in ("/medium", "/big.bin"):
            data = FILES[path[1:]]
            size = len(data)
            for text, first, end in (("0-0", 0, 1), ("5-9", 5, 10), ("19990-", 19990, size),
                                     ("-7", size - 7, size), (f"0-{size * 2}", 0, size),
                                     (f"-{size * 2}", 0, size),
                                     ("0-99999999999999999999999", 0, size)):
                r = get(port, path, Range="bytes=" + text)
                equal((text, r.status, r.body == data[first:end]), (text, 206, True))
                equal(r.getheader("Content-Range"), f"bytes {first}-{end - 1}/{size}")
            for text in (f"{size}-", "-0", "99999999999999999999-",
                         "99999999999999999999-99999999999999999999999"):
                r = get(port, path, Range="bytes=" + text)
                equal((text, r.status, r.getheader("Content-Range")),
                      (text, 416, f"bytes */{size}"))
            for text in ("bytes=0-1,3-4", "bytes=x", "bytes=5-3", "bytes=-", "lines=0-1",
                         "bytes=--1", "bytes=0-1x", "bytes="):
                r = get(port, path, Range=text)
                equal((text, r.status, r.body == data), (text, 200, True))
            equal(get(port, path, "HEAD", Range="bytes=0-0").status, 200)
        equal(get(port, "/empty", Range="bytes=0-0").status, 416)


@test
def conditions():
    with server() as (_, port):
        r = get(port, "/hello.txt")
        etag, modified = r.getheader("ETag"), r.getheader("Last-Modified")
        early = "Sun, 06 Nov 1994 08:49:37 GMT"
        for status, headers in (
                (304, {"If_None_Match": etag}), (304, {"If_None_Match": "W/" + etag}),
                (304, {"If_None_Match": f'"x", W/"y",{etag}'}), (304, {"If_None_Match": "*"}),
                (200, {"If_None_Match": '"x"'}), (200, {"If_None_Match": etag[:-1]}),
                (200, {"If_None_Match": '"x"', "If_Modified_Since": modified}),
                (304, {"If_Modified_Since": modified}), (200, {"If_Modified_Since": early}),
                (200, {"If_Modified_Since": "Sunday, 06-Nov-94 08:49:37 GMT"}),
                (200, {"If_Modified_Since": "Sun Nov  6 08:49:37 1994"}),
                (200, {"If_Modified_Since": "yesterday"}),
                (200, {"If_Match": etag}), (200, {"If_Match": "*"}), (412, {"If_Match": '"x"'}),
                (412, {"If_Match": "W/" + etag}),
                (412, {"If_Unmodified_Since": early}), (200, {"If_Unmodified_Since": modified}),
                (206, {"Range": "bytes=0-1", "If_Range": etag}),
                (206, {"Range": "bytes=0-1", "If_Range": modified}),
                (200, {"Range": "bytes=0-1", "If_Range": '"x"'}),
                (200, {"Range": "bytes=0-1", "If_Range": "W/" + etag}),
                (200, {"Range": "bytes=0-1", "If_Range": early}),
                (304, {"Range": "bytes=0-1", "If_None_Match": etag})):
            r = get(port, "/hello.txt", **headers)
            equal((headers, r.status), (headers, status))
            if status == 304:
                equal((r.body, r.getheader("ETag")), (b"", etag))


@test
def an_index_that_is_a_directory_is_none():
    with tempfile.TemporaryDirectory() as root:
        os.mkdir(os.path.join(root, "index.html"))
        for arguments, status in (([], 403), (["-i"], 200)):
            with server(*arguments, root=root) as (_, port):
                equal(get(port, "/").status, status)


@test
def times_that_no_calendar_has():
    """A file system in memory keeps times that others cut off."""
    if not os.path.isdir("/dev/shm"):
        return "/dev/shm is not there"
    with tempfile.TemporaryDirectory(dir="/dev/shm") as root, server("-i", root=root) as (_, port):
        dates = []
        for turn, when in enumerate((-(1 << 62), -(1 << 36), -1, 1 << 37, 1 << 45, 1 << 62)):
            path = os.path.join(root, str(turn))
            with open(path, "wb"):
                pass
            os.utime(path, (when, when))
            date = get(port, f"/{turn}").getheader("Last-Modified")
            year = int(re.fullmatch(r"\w{3}, [0-3]\d \w{3} (\d{4}) \d\d:\d\d:\d\d GMT", date)[1])
            equal(year, 1970 if when < 0 else 6325 if when == 1 << 37 else 9999)
            dates.append(date)
        page = get(port, "/").body.decode()
        assert all(date in page for date in dates), page
    return None


@test
def a_file_that_another_program_has_a_lease_of():
    """The kernel lets it be opened only when that program has given way, which may take long."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # how the kernel asks for it
    with tempfile.TemporaryDirectory() as root:
        for name in ("leased", "other"):
            with open(os.path.join(root, name), "wb") as f:
                f.write(b"x")
        with server(root=root, workers=1) as (_, port), \
                open(os.path.join(root, "leased"), "rb") as f:
            try:
                fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            except OSError as error:
                return f"no lease: {error}"
            answers = raw(port, burst(["/leased", "/other"]))
            equal(statuses(answers), [503, 200])
            fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_UNLCK)
            equal(get(port, "/leased").status, 200)
    return None
