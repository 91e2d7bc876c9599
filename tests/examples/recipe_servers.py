"""tests/examples/recipe_servers.py: servers for the recipes, and what these have to make of them."""
import contextlib
import http.server
import os
import pathlib
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

programs = pathlib.Path(sys.argv[1])
count = 0


def check(name, ok, *shown):
    global count
    count += 1
    print("ok" if ok else "not ok", count, "-", name)
    for text in shown if not ok else ():
        print("\n".join("# " + line for line in str(text).splitlines()))


def skip(name, why):
    global count
    count += 1
    print("ok", count, "-", name, "# SKIP", why)


def run(name, seconds, *arguments):
    p = subprocess.run([programs / name, str(seconds), *map(str, arguments)], text=True,
                       capture_output=True, timeout=100)
    return p.returncode, p.stdout, p.stderr


def gives(name, what, wanted, seconds, *arguments):
    status, out, err = run(name, seconds, *arguments)
    check(f"{name}: {what}", status == 0 and out == wanted, status, out, err)


def times_out(name, what, *arguments):
    status, out, err = run(name, 0.3, *arguments)
    check(f"{name}: {what}", status == 1 and "-ETIMEDOUT" in err, status, out, err)


def there(name, library):
    if os.access(programs / name, os.X_OK):
        return True
    skip(name, f"{library} is not installed")
    return False


@contextlib.contextmanager
def silent():
    """A port where connections are made and nobody says anything."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        yield s.getsockname()[1]


def in_thread(fn, *args):
    threading.Thread(target=fn, args=args, daemon=True).start()


# ---- TLS -----------------------------------------------------------------------------------


def certificate(room, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
                    f"{room}/{name}.key", "-out", f"{room}/{name}.pem"], check=True,
                   capture_output=True)
    return f"{room}/{name}.pem"


def serve_tls(listener, context):
    while True:
        plain, _ = listener.accept()
        with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as c:
            c.recv(1000)
            c.sendall(b"hello " * 20000)
            c.unwrap()


def openssl(room):
    good, other = certificate(room, "good"), certificate(room, "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(good, f"{room}/good.key")
    with socket.create_server(("127.0.0.1", 0)) as listener, silent() as nobody:
        port = listener.getsockname()[1]
        in_thread(serve_tls, listener, context)
        gives("openssl", "reads to the end", "hello " * 20000, 60, "localhost", port, good)
        status, _, err = run("openssl", 60, "localhost", port, other)
        check("openssl: an unknown certificate", status == 1 and "EPROTO" in err, err)
        times_out("openssl", "a silent server", "localhost", nobody, good)


# ---- HTTP ----------------------------------------------------------------------------------


class Pages(http.server.BaseHTTPRequestHandler):
    meeting = threading.Barrier(3)

    def do_GET(self):
        if self.path != "/alone":
            self.meeting.wait(60)  # answered when all three have come
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"page\n")

    def log_message(self, *_):
        pass


def curl(_):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server, silent() as nobody:
        at = f"http://127.0.0.1:{server.server_port}"
        in_thread(server.serve_forever)
        gives("curl", "three at once", "page\n" * 3, 60, at + "/a", at + "/b", at + "/c")
        times_out("curl", "one that does not answer", at + "/alone", f"http://127.0.0.1:{nobody}/")
        server.shutdown()
        # It waits, and does not ask again and again.
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run("curl", 2, f"http://127.0.0.1:{nobody}/")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        check("curl: who waits takes no time of a processor", spent < 0.2, spent)


# ---- SQLite ----------------------------------------------------------------------------------


def sqlite(room):
    gives("sqlite", "statements", "1|a\n2|b\n", 60, f"{room}/db", "create table t (n, s)",
          "insert into t values (1, 'a'), (2, 'b')", "select * from t order by n")
    times_out("sqlite", "an endless one is interrupted", f"{room}/db",
              "with recursive c(n) as (select 1 union all select n + 1 from c) "
              "insert into t select n, '' from c")
    gives("sqlite", "what was interrupted left nothing", "2\n", 60, f"{room}/db",
          "select count(*) from t")


# ---- DNS -------------------------------------------------------------------------------------


def serve_dns(sock):
    while True:
        query, client = sock.recvfrom(512)
        name = query[13:13 + query[12]]
        if name != b"silent":
            answer = query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:query.index(b"\0", 12) + 5]
            answer += b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\0\0" + name[-1:]
            sock.sendto(answer, client)


def cares(_):
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        in_thread(serve_dns, sock)
        at = "127.0.0.1:%d" % sock.getsockname()[1]
        names = [f"host{c}.example." for c in "abc"]
        status, out, err = run("cares", 60, at, *names)
        found = sorted(out.splitlines())
        check("cares: three names", status == 0 and
              found == [f"{n}: 10.0.0.{ord(n[4])}" for n in names], status, out, err)
        times_out("cares", "a server that does not answer", at, "silent.example.")


# ---- PostgreSQL ------------------------------------------------------------------------------


def postgres_server():
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = str(found[-1]) if found else shutil.which("initdb")
    return pathlib.Path(initdb).parent if initdb else None


@contextlib.contextmanager
def database(room, bin):
    # The server refuses to run as root.
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] \
        if os.geteuid() == 0 else []
    if user:
        shutil.chown(room, 65534, 65534)
    subprocess.run([*user, bin / "initdb", "-D", f"{room}/data", "-U", "recipe", "-A", "trust",
                    "--no-sync", "--no-locale"], check=True, capture_output=True, cwd=room)
    server = subprocess.Popen([*user, bin / "postgres", "-D", f"{room}/data", "-F", "-k", room,
                               "-c", "listen_addresses="], cwd=room, stderr=subprocess.PIPE,
                              text=True)
    for line in server.stderr:
        if "ready to accept connections" in line:
            break
    in_thread(server.stderr.read)
    try:
        yield f"host={room} user=recipe dbname=postgres"
    finally:
        server.terminate()
        server.wait()


def postgres(room):
    bin = postgres_server()
    if not bin:
        skip("postgres", "no PostgreSQL server is installed (postgresql)")
        return
    with database(room, bin) as conninfo:
        gives("postgres", "a query", "42\n", 60, conninfo, "select 6 * 7")
        status, out, err = run("postgres", 60, conninfo, "select pg_sleep(1000)",
                               "select 'again'")
        check("postgres: one that takes too long ends in the server, the next is answered",
              status == 0 and "canceling statement" in out and out.endswith("again\n"),
              status, out, err)
        times_out("postgres", "a deadline ends the program", conninfo, "select pg_sleep(1000)")


for recipe, library in ((openssl, "libssl-dev"), (curl, "libcurl4-openssl-dev"),
                        (sqlite, "libsqlite3-dev"), (cares, "libc-ares-dev"),
                        (postgres, "libpq-dev")):
    if there(recipe.__name__, library):
        with tempfile.TemporaryDirectory() as room:
            recipe(room)
print(f"1..{count}")
