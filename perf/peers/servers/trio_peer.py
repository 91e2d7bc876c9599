#!/usr/bin/python3
"""perf/peers/servers/trio_peer.py: Trio, the semantic reference for cancel scopes and timeouts (one thread, an interpreter)."""
import os
import random
import sys
import time
import trio


def out(metric, value):
    print(metric, f"{value:.6g}", flush=True)


def rss():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


async def w_switch(n):
    n = n or 100000

    async def yielder():
        for _ in range(n):
            await trio.lowlevel.checkpoint()

    t = time.perf_counter()
    async with trio.open_nursery() as g:
        g.start_soon(yielder)
        g.start_soon(yielder)
    out("switch_ns", (time.perf_counter() - t) * 1e9 / (2 * n))


async def w_spawn(n):
    n = n or 50000
    t = time.perf_counter()
    for _ in range(n // 1000):
        async with trio.open_nursery() as g:
            for _ in range(1000):
                g.start_soon(trio.lowlevel.checkpoint)
    out("spawn_ns", (time.perf_counter() - t) * 1e9 / n)


async def parked_on(event, counter):
    counter[0] += 1
    await event.wait()


async def until_parked(counter, n):
    while counter[0] < n:
        await trio.sleep(0.001)


async def w_park(n):
    n = n or 100000
    event, counter = trio.Event(), [0]
    r, t = rss(), time.perf_counter()
    async with trio.open_nursery() as g:
        for _ in range(n):
            g.start_soon(parked_on, event, counter)
        await until_parked(counter, n)
        out("park_bytes", (rss() - r) / n)
        out("park_create_ns", (time.perf_counter() - t) * 1e9 / n)
        t = time.perf_counter()
        event.set()
    out("park_wake_ns", (time.perf_counter() - t) * 1e9 / n)


async def w_pingpong(n):
    n = n or 20000
    (atx, arx), (btx, brx) = trio.open_memory_channel(0), trio.open_memory_channel(0)

    async def ponger():
        for _ in range(n):
            await btx.send(await arx.receive())

    async with trio.open_nursery() as g:
        g.start_soon(ponger)
        t = time.perf_counter()
        for i in range(n):
            await atx.send(i)
            await brx.receive()
        out("pingpong_ns", (time.perf_counter() - t) * 1e9 / n)


async def w_timers(n):
    n = n or 100000
    random.seed(42)
    r, t, c = rss(), time.perf_counter(), time.process_time()
    async with trio.open_nursery() as g:
        for _ in range(n):
            g.start_soon(trio.sleep, random.random())
    out("timers_wall_s", time.perf_counter() - t)
    out("timers_cpu_s", time.process_time() - c)
    out("timers_mib", (rss() - r) / 1048576)


async def w_late(n):
    late = []

    async def sleeper():
        for _ in range(50):
            t = time.perf_counter()
            await trio.sleep(0.001)
            late.append(time.perf_counter() - t - 0.001)

    c = time.process_time()
    async with trio.open_nursery() as g:
        for _ in range(1000):
            g.start_soon(sleeper)
    c = time.process_time() - c
    late.sort()
    out("late_p50_us", late[len(late) // 2] * 1e6)
    out("late_p99_us", late[len(late) * 99 // 100] * 1e6)
    out("late_cpu_ns", c * 1e9 / len(late))


async def w_cancel(n):
    n = n or 100000
    event, counter = trio.Event(), [0]

    async def branch():
        async with trio.open_nursery() as g:
            for _ in range(n // 100):
                g.start_soon(parked_on, event, counter)

    async with trio.open_nursery() as g:
        for _ in range(100):
            g.start_soon(branch)
        await until_parked(counter, n)
        t = time.perf_counter()
        g.cancel_scope.cancel()
    out("cancel_ns", (time.perf_counter() - t) * 1e9 / n)


async def w_echo(port):
    async def handler(stream):
        async for data in stream:
            await stream.send_all(data)

    await trio.serve_tcp(handler, port, host="127.0.0.1", backlog=4096)


if __name__ == "__main__":
    workload = globals()["w_" + sys.argv[1]]
    trio.run(workload, int(sys.argv[3]) if len(sys.argv) > 3 else 0)
