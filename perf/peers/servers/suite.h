/* perf/peers/servers/suite.h: the workloads, written once over a small adapter that each peer
 * defines before it includes this file, as C or as C++.
 *
 *   PEER_TASK, PEER_END   what a task's function returns, and the statement that ends it: without
 *                   them a function of void
 *   void peer_run(int workers, void (*fn)(void))   runs fn as a task of the peer's runtime
 *   void peer_yield(void)
 *   void peer_sleep(int64_t ns)
 *   peer_group      group_open(g, n) group_spawn(g, fn, arg) group_join(g)
 *                   group_cancel(g): cancels every task of the group, then joins them
 *                   group_join returns nonzero when the caller itself was cancelled
 *   peer_event      event_open(e) event_wait(e) event_set(e); wait returns nonzero when cancelled
 *   peer_chan       chan_open(cap) chan_send(c, v) chan_recv(c)        (v is a long)
 *   peer_mutex      mutex_open(m) mutex_lock(m) mutex_unlock(m)
 *   int peer_accept(int fd), ssize_t peer_read(fd, buf, n), ssize_t peer_write(fd, buf, n)
 *   void peer_conn(fn, arg)   starts a task for a connection, which nobody joins
 *
 * PEER_NO_CANCEL, PEER_NO_MUTEX, PEER_NO_CHAN and PEER_NO_NET leave parts out.
 * PEER_FORK_SERVERS makes two workers of a server two processes.
 * PEER_SCALE: so many times fewer turns, for those that are slow.
 */
#include "bench.h"
#include "net.h"

#ifndef PEER_TASK
#define PEER_TASK void
#define PEER_END  return
#endif
#ifndef PEER_SCALE
#define PEER_SCALE 1
#endif

static int W = 1;
static long N = 0;
static long count_or(long dflt)
{
	return N ? N : dflt;
}

static PEER_TASK yield_many(void *a)
{
	for (long i = 0, n = (long)a; i < n; i++)
		peer_yield();
	PEER_END;
}

static void w_switch(void)
{
	long n = count_or(2000000 / PEER_SCALE);
	peer_group g;
	group_open(&g, 2);
	int64_t t = bench_now();
	group_spawn(&g, yield_many, (void *)n);
	group_spawn(&g, yield_many, (void *)n);
	group_join(&g);
	bench_out("switch_ns", (double)(bench_now() - t) / (2.0 * (double)n));
}

static void w_spawn(void)
{
	long n = count_or(1000000 / PEER_SCALE), batch = 1000;
	int64_t t = bench_now();
	for (long i = 0; i < n; i += batch) {
		peer_group g;
		group_open(&g, batch);
		for (long k = 0; k < batch; k++)
			group_spawn(&g, yield_many, (void *)1);
		group_join(&g);
	}
	bench_out("spawn_ns", (double)(bench_now() - t) / (double)n);
	n = count_or(500000 / PEER_SCALE);
	t = bench_now();
	for (long i = 0; i < n; i++) {
		peer_group g;
		group_open(&g, 1);
		group_spawn(&g, yield_many, (void *)1);
		group_join(&g);
	}
	bench_out("spawn1_ns", (double)(bench_now() - t) / (double)n);
}

static long parked;
static peer_event park_event;
static PEER_TASK park_task(void *a)
{
	(void)a;
	__atomic_add_fetch(&parked, 1, __ATOMIC_RELAXED);
	event_wait(&park_event);
	PEER_END;
}

static void until_parked(long n)
{
	while (__atomic_load_n(&parked, __ATOMIC_RELAXED) < n)
		peer_sleep(1000000);
	peer_sleep(1000000);
}

static void w_park(void)
{
	long n = count_or(100000);
	peer_group g;
	event_open(&park_event);
	double rss = bench_rss();
	int64_t t = bench_now();
	group_open(&g, n);
	for (long i = 0; i < n; i++)
		group_spawn(&g, park_task, NULL);
	until_parked(n);
	int64_t t1 = bench_now();
	bench_out("park_bytes", (bench_rss() - rss) / (double)n);
	bench_out("park_create_ns", (double)(t1 - t) / (double)n);
	t1 = bench_now();
	event_set(&park_event);
	group_join(&g);
	bench_out("park_wake_ns", (double)(bench_now() - t1) / (double)n);
}

#ifndef PEER_NO_CHAN
static peer_chan *ping, *pong;
static PEER_TASK ponger(void *a)
{
	for (long i = 0, n = (long)a; i < n; i++)
		chan_send(pong, chan_recv(ping));
	PEER_END;
}

static void w_pingpong(void)
{
	long n = count_or(500000 / PEER_SCALE);
	peer_group g;
	ping = chan_open(0);
	pong = chan_open(0);
	group_open(&g, 1);
	group_spawn(&g, ponger, (void *)n);
	int64_t t = bench_now();
	for (long i = 0; i < n; i++) {
		chan_send(ping, i);
		if (chan_recv(pong) != i)
			abort();
	}
	bench_out("pingpong_ns", (double)(bench_now() - t) / (double)n);
	group_join(&g);
}

static PEER_TASK producer(void *a)
{
	for (long i = 0, n = (long)a; i < n; i++)
		chan_send(ping, i);
	PEER_END;
}

static void w_mpsc(void)
{
	long n = count_or(2000000 / PEER_SCALE) / 4;
	peer_group g;
	ping = chan_open(128);
	group_open(&g, 4);
	int64_t t = bench_now();
	for (int i = 0; i < 4; i++)
		group_spawn(&g, producer, (void *)n);
	for (long i = 0; i < 4 * n; i++)
		chan_recv(ping);
	bench_out("mpsc_per_s", 4.0 * (double)n * 1e9 / (double)(bench_now() - t));
	group_join(&g);
}

enum { RING = 1000 };
static peer_chan *ring[RING + 1];
static long ring_rounds;
static PEER_TASK ring_task(void *a)
{
	long me = (long)a;
	for (long r = 0; r < ring_rounds; r++)
		chan_send(ring[me + 1], chan_recv(ring[me]));
	PEER_END;
}

static void w_ring(void)
{
	ring_rounds = count_or(1000000 / PEER_SCALE) / RING;
	peer_group g;
	for (int i = 0; i <= RING; i++)
		ring[i] = chan_open(0);
	group_open(&g, RING);
	for (long i = 0; i < RING; i++)
		group_spawn(&g, ring_task, (void *)i);
	int64_t t = bench_now();
	for (long r = 0; r < ring_rounds; r++) {
		chan_send(ring[0], r);
		if (chan_recv(ring[RING]) != r)
			abort();
	}
	bench_out("ring_hop_ns", (double)(bench_now() - t) / (double)(ring_rounds * (RING + 1)));
	group_join(&g);
}
#endif

#ifndef PEER_NO_MUTEX
static peer_mutex the_mutex;
static volatile long the_counter;
static int hold_yields;
static PEER_TASK locker(void *a)
{
	for (long i = 0, n = (long)a; i < n; i++) {
		mutex_lock(&the_mutex);
		the_counter = the_counter + 1;
		if (hold_yields)
			peer_yield();
		mutex_unlock(&the_mutex);
	}
	PEER_END;
}

static void run_mutex(const char *metric, long n)
{
	peer_group g;
	the_counter = 0;
	mutex_open(&the_mutex);
	group_open(&g, 8);
	int64_t t = bench_now();
	for (int i = 0; i < 8; i++)
		group_spawn(&g, locker, (void *)n);
	group_join(&g);
	if (the_counter != 8 * n)
		abort();
	bench_out(metric, 8.0 * (double)n * 1e9 / (double)(bench_now() - t));
}

static void w_mutex(void)
{
	run_mutex("mutex_per_s", count_or(1000000 / PEER_SCALE));
	hold_yields = 1;
	run_mutex("mutex_yield_per_s", count_or(50000 / PEER_SCALE));
}
#endif

static PEER_TASK timer_task(void *a)
{
	peer_sleep((int64_t)(long)a);
	PEER_END;
}

static void w_timers(void)
{
	long n = count_or(1000000);
	uint64_t seed = 42;
	peer_group g;
	double rss = bench_rss();
	int64_t t = bench_now(), c = bench_cpu();
	group_open(&g, n);
	for (long i = 0; i < n; i++)
		group_spawn(&g, timer_task, (void *)(long)(bench_rand(&seed) % 1000000000u));
	double peak = bench_rss();
	group_join(&g);
	bench_out("timers_wall_s", (double)(bench_now() - t) / 1e9);
	bench_out("timers_cpu_s", (double)(bench_cpu() - c) / 1e9);
	bench_out("timers_mib", (peak - rss) / 1048576);
}

enum { SLEEPERS = 1000, NAPS = 50 };
static int64_t lateness[SLEEPERS * NAPS];
static PEER_TASK late_task(void *a)
{
	for (int i = 0; i < NAPS; i++) {
		int64_t t = bench_now();
		peer_sleep(1000000);
		lateness[(long)a * NAPS + i] = bench_now() - t - 1000000;
	}
	PEER_END;
}

static void w_late(void)
{
	peer_group g;
	group_open(&g, SLEEPERS);
	int64_t c = bench_cpu();
	for (long i = 0; i < SLEEPERS; i++)
		group_spawn(&g, late_task, (void *)i);
	group_join(&g);
	c = bench_cpu() - c;
	bench_out("late_p50_us", (double)bench_pct(lateness, SLEEPERS * NAPS, 0.50) / 1e3);
	bench_out("late_p99_us", (double)bench_pct(lateness, SLEEPERS * NAPS, 0.99) / 1e3);
	bench_out("late_cpu_ns", (double)c / (SLEEPERS * NAPS));
}

#ifndef PEER_NO_CANCEL
static long leaves;
static PEER_TASK branch_task(void *a)
{
	peer_group g;
	(void)a;
	group_open(&g, leaves);
	for (long i = 0; i < leaves; i++)
		group_spawn(&g, park_task, NULL);
	if (group_join(&g))
		group_cancel(&g);
	PEER_END;
}

static void w_cancel(void)
{
	long n = count_or(100000), branches = 100;
	peer_group g;
	leaves = n / branches;
	event_open(&park_event);
	group_open(&g, branches);
	for (long i = 0; i < branches; i++)
		group_spawn(&g, branch_task, NULL);
	until_parked(n);
	int64_t t = bench_now();
	group_cancel(&g);
	bench_out("cancel_ns", (double)(bench_now() - t) / (double)n);
}
#endif

#ifndef PEER_NO_NET
static PEER_TASK echo_conn(void *a)
{
	int fd = (int)(long)a;
	char buf[1024];
	ssize_t n;
	while ((n = peer_read(fd, buf, sizeof buf)) > 0)
		if (peer_write(fd, buf, (size_t)n) != n)
			break;
	close(fd);
	PEER_END;
}

static PEER_TASK http_conn(void *a)
{
	int fd = (int)(long)a;
	char buf[2048];
	size_t have = 0;
	ssize_t n;
	while (have < sizeof buf && (n = peer_read(fd, buf + have, sizeof buf - have)) > 0) {
		have += (size_t)n;
		if (!http_complete(buf, have))
			continue;
		if (peer_write(fd, HTTP_REPLY, HTTP_REPLY_LEN) != (ssize_t)HTTP_REPLY_LEN)
			break;
		have = 0;
	}
	close(fd);
	PEER_END;
}

static void serve(PEER_TASK (*conn)(void *))
{
	int lfd = net_listen((int)N);
	net_nonblock(lfd);
	for (;;) {
		int fd = peer_accept(lfd);
		if (fd < 0)
			continue;
		net_nodelay(fd);
		peer_conn(conn, (void *)(long)fd);
	}
}

static void w_echo(void)
{
	serve(echo_conn);
}

static void w_http(void)
{
	serve(http_conn);
}
#endif

static const struct {
	const char *name;
	void (*fn)(void);
} WORKLOADS[] = {
	{"switch", w_switch},     {"spawn", w_spawn}, {"park", w_park},
#ifndef PEER_NO_CHAN
	{"pingpong", w_pingpong}, {"mpsc", w_mpsc},   {"ring", w_ring},
#endif
#ifndef PEER_NO_MUTEX
	{"mutex", w_mutex},
#endif
	{"timers", w_timers},     {"late", w_late},
#ifndef PEER_NO_CANCEL
	{"cancel", w_cancel},
#endif
#ifndef PEER_NO_NET
	{"echo", w_echo},         {"http", w_http},
#endif
};

int main(int argc, char **argv)
{
	if (argc > 2)
		W = atoi(argv[2]);
	if (argc > 3)
		N = atol(argv[3]);
	for (size_t i = 0; argc > 1 && i < sizeof WORKLOADS / sizeof *WORKLOADS; i++)
		if (!strcmp(WORKLOADS[i].name, argv[1])) {
#ifdef PEER_FORK_SERVERS
			if (!strcmp(argv[1], "echo") || !strcmp(argv[1], "http")) {
				for (int k = 1; k < W; k++)
					if (!fork())
						break;
				W = 1;
			}
#endif
			peer_run(W, WORKLOADS[i].fn);
			return 0;
		}
	fprintf(stderr, "usage: %s WORKLOAD [WORKERS] [COUNT or PORT]\n", argv[0]);
	return 2;
}
