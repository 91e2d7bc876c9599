/* perf/peers/servers/pthreads.c: plain POSIX threads, one thread of the kernel for a task. */
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <stdlib.h>
#include <stdint.h>
#define PEER_TASK  void *
#define PEER_END   return NULL
#define PEER_SCALE 20
#define PEER_NO_CANCEL

static pthread_attr_t attr;
typedef struct {
	pthread_t *t;
	long n;
} peer_group;
typedef struct {
	pthread_mutex_t m;
	pthread_cond_t c;
	int set;
} peer_event;
typedef struct {
	pthread_mutex_t m;
	pthread_cond_t rx, tx;
	long cap, len, head, waiting;
	long *v;
} peer_chan;
typedef pthread_mutex_t peer_mutex;

static void peer_run(int workers, void (*fn)(void))
{
	(void)workers;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 16384);
	fn();
}

static inline void peer_yield(void)
{
	sched_yield();
}

static inline void peer_sleep(int64_t ns)
{
	struct timespec ts = {ns / 1000000000, ns % 1000000000};
	nanosleep(&ts, NULL);
}

static pthread_t start(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	if (pthread_create(&t, &attr, fn, arg))
		abort();
	return t;
}

static void group_open(peer_group *g, long n)
{
	g->t = malloc((size_t)n * sizeof *g->t);
	g->n = 0;
}

static void group_spawn(peer_group *g, void *(*fn)(void *), void *arg)
{
	g->t[g->n++] = start(fn, arg);
}

static int group_join(peer_group *g)
{
	for (long i = 0; i < g->n; i++)
		pthread_join(g->t[i], NULL);
	free(g->t);
	return 0;
}

static void event_open(peer_event *e)
{
	pthread_mutex_init(&e->m, NULL);
	pthread_cond_init(&e->c, NULL);
	e->set = 0;
}

static int event_wait(peer_event *e)
{
	pthread_mutex_lock(&e->m);
	while (!e->set)
		pthread_cond_wait(&e->c, &e->m);
	pthread_mutex_unlock(&e->m);
	return 0;
}

static void event_set(peer_event *e)
{
	pthread_mutex_lock(&e->m);
	e->set = 1;
	pthread_cond_broadcast(&e->c);
	pthread_mutex_unlock(&e->m);
}
/* A buffered channel; capacity 0 becomes 1, which is weaker than a rendezvous. */
static peer_chan *chan_open(long cap)
{
	peer_chan *c = calloc(1, sizeof *c);
	c->cap = cap ? cap : 1;
	c->v = malloc((size_t)c->cap * sizeof *c->v);
	pthread_mutex_init(&c->m, NULL);
	pthread_cond_init(&c->rx, NULL);
	pthread_cond_init(&c->tx, NULL);
	return c;
}

static void chan_send(peer_chan *c, long v)
{
	pthread_mutex_lock(&c->m);
	while (c->len == c->cap)
		pthread_cond_wait(&c->tx, &c->m);
	c->v[(c->head + c->len++) % c->cap] = v;
	pthread_cond_signal(&c->rx);
	pthread_mutex_unlock(&c->m);
}

static long chan_recv(peer_chan *c)
{
	pthread_mutex_lock(&c->m);
	while (!c->len)
		pthread_cond_wait(&c->rx, &c->m);
	long v = c->v[c->head];
	c->head = (c->head + 1) % c->cap;
	c->len--;
	pthread_cond_signal(&c->tx);
	pthread_mutex_unlock(&c->m);
	return v;
}

static void mutex_open(peer_mutex *m)
{
	pthread_mutex_init(m, NULL);
}

static inline void mutex_lock(peer_mutex *m)
{
	pthread_mutex_lock(m);
}

static inline void mutex_unlock(peer_mutex *m)
{
	pthread_mutex_unlock(m);
}

static int peer_accept(int fd)
{
	struct timespec ts = {0, 1000000};
	int c = accept(fd, NULL, NULL);
	if (c < 0)
		nanosleep(&ts, NULL);
	return c;
}

static inline ssize_t peer_read(int fd, void *b, size_t n)
{
	return read(fd, b, n);
}

static inline ssize_t peer_write(int fd, const void *b, size_t n)
{
	return write(fd, b, n);
}

static void peer_conn(void *(*fn)(void *), void *arg)
{
	pthread_detach(start(fn, arg));
}

#include "suite.h"
