/* perf/peers/servers/pth.c: GNU Pth, tasks with stacks on one thread, scheduled by priority. */
#include <pth.h>
#include <stdint.h>
#include <stdlib.h>
#define PEER_TASK  void *
#define PEER_END   return NULL
#define PEER_SCALE 20
#define PEER_NO_CANCEL
#define PEER_NO_CHAN
#define PEER_NO_NET

typedef struct {
	pth_t *t;
	long n;
} peer_group;
typedef struct {
	pth_mutex_t m;
	pth_cond_t c;
	int set;
} peer_event;
typedef pth_mutex_t peer_mutex;
static pth_attr_t attr;

static void peer_run(int workers, void (*fn)(void))
{
	(void)workers;
	pth_init();
	attr = pth_attr_new();
	pth_attr_set(attr, PTH_ATTR_STACK_SIZE, 16384);
	fn();
}

static inline void peer_yield(void)
{
	pth_yield(NULL);
}

static inline void peer_sleep(int64_t ns)
{
	pth_usleep((unsigned)(ns / 1000));
}

static void group_open(peer_group *g, long n)
{
	g->t = malloc((size_t)n * sizeof *g->t);
	g->n = 0;
}

static void group_spawn(peer_group *g, void *(*fn)(void *), void *arg)
{
	if (!(g->t[g->n++] = pth_spawn(attr, fn, arg)))
		abort();
}

static int group_join(peer_group *g)
{
	for (long i = 0; i < g->n; i++)
		pth_join(g->t[i], NULL);
	free(g->t);
	return 0;
}

static void event_open(peer_event *e)
{
	pth_mutex_init(&e->m);
	pth_cond_init(&e->c);
	e->set = 0;
}

static int event_wait(peer_event *e)
{
	pth_mutex_acquire(&e->m, FALSE, NULL);
	while (!e->set)
		pth_cond_await(&e->c, &e->m, NULL);
	pth_mutex_release(&e->m);
	return 0;
}

static void event_set(peer_event *e)
{
	pth_mutex_acquire(&e->m, FALSE, NULL);
	e->set = 1;
	pth_cond_notify(&e->c, TRUE);
	pth_mutex_release(&e->m);
}

static void mutex_open(peer_mutex *m)
{
	pth_mutex_init(m);
}

static inline void mutex_lock(peer_mutex *m)
{
	pth_mutex_acquire(m, FALSE, NULL);
}

static inline void mutex_unlock(peer_mutex *m)
{
	pth_mutex_release(m);
}

#include "suite.h"
