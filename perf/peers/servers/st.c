/* perf/peers/servers/st.c: State Threads, tasks with stacks on one thread. It has no channel, so
 * one is made of its condition variable. */
#include <st.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#define PEER_TASK void *
#define PEER_END  return NULL
#define PEER_FORK_SERVERS
enum { STACK = 16384, MAX_FD = 65536 };

typedef struct {
	st_thread_t *t;
	long n, joined;
} peer_group;
typedef struct {
	st_cond_t c;
	int set;
} peer_event;
typedef struct {
	st_cond_t rx, tx;
	long cap, len, head;
	long *v;
} peer_chan;
typedef st_mutex_t peer_mutex;
static st_netfd_t netfd[MAX_FD];

static void peer_run(int workers, void (*fn)(void))
{
	(void)workers;
	st_set_eventsys(ST_EVENTSYS_ALT);
	st_init();
	fn();
}

static inline void peer_yield(void)
{
	st_usleep(0);
}

static inline void peer_sleep(int64_t ns)
{
	st_usleep((st_utime_t)(ns / 1000));
}

static st_thread_t start(void *(*fn)(void *), void *arg, int joinable)
{
	st_thread_t t = st_thread_create(fn, arg, joinable, STACK);

	if (!t)
		abort();
	return t;
}

static void group_open(peer_group *g, long n)
{
	g->t = malloc((size_t)n * sizeof *g->t);
	g->n = g->joined = 0;
}

static void group_spawn(peer_group *g, void *(*fn)(void *), void *arg)
{
	g->t[g->n++] = start(fn, arg, 1);
}

static int group_join(peer_group *g)
{
	for (; g->joined < g->n; g->joined++)
		if (st_thread_join(g->t[g->joined], NULL))
			return -1;
	free(g->t);
	return 0;
}

static void group_cancel(peer_group *g)
{
	for (long i = g->joined; i < g->n; i++)
		st_thread_interrupt(g->t[i]);
	group_join(g);
}

static void event_open(peer_event *e)
{
	e->c = st_cond_new();
	e->set = 0;
}

static int event_wait(peer_event *e)
{
	while (!e->set)
		if (st_cond_wait(e->c))
			return -1;
	return 0;
}

static void event_set(peer_event *e)
{
	e->set = 1;
	st_cond_broadcast(e->c);
}

static peer_chan *chan_open(long cap)
{
	peer_chan *c = calloc(1, sizeof *c);
	c->cap = cap ? cap : 1;
	c->v = malloc((size_t)c->cap * sizeof *c->v);
	c->rx = st_cond_new();
	c->tx = st_cond_new();
	return c;
}

static void chan_send(peer_chan *c, long v)
{
	while (c->len == c->cap)
		st_cond_wait(c->tx);
	c->v[(c->head + c->len++) % c->cap] = v;
	st_cond_signal(c->rx);
}

static long chan_recv(peer_chan *c)
{
	while (!c->len)
		st_cond_wait(c->rx);
	long v = c->v[c->head];
	c->head = (c->head + 1) % c->cap;
	c->len--;
	st_cond_signal(c->tx);
	return v;
}

static void mutex_open(peer_mutex *m)
{
	*m = st_mutex_new();
}

static inline void mutex_lock(peer_mutex *m)
{
	st_mutex_lock(*m);
}

static inline void mutex_unlock(peer_mutex *m)
{
	st_mutex_unlock(*m);
}

static st_netfd_t wrap(int fd)
{
	if (!netfd[fd])
		netfd[fd] = st_netfd_open_socket(fd);
	return netfd[fd];
}

static int peer_accept(int fd)
{
	st_netfd_t c = st_accept(wrap(fd), NULL, NULL, ST_UTIME_NO_TIMEOUT);
	if (!c)
		return -1;
	int n = st_netfd_fileno(c);
	if (netfd[n])
		st_netfd_free(netfd[n]);
	netfd[n] = c;
	return n;
}

static inline ssize_t peer_read(int fd, void *b, size_t n)
{
	return st_read(netfd[fd], b, n, ST_UTIME_NO_TIMEOUT);
}

static inline ssize_t peer_write(int fd, const void *b, size_t n)
{
	return st_write(netfd[fd], b, n, ST_UTIME_NO_TIMEOUT);
}

static void peer_conn(void *(*fn)(void *), void *arg)
{
	start(fn, arg, 0);
}

#include "suite.h"
