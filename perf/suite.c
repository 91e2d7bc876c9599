/* perf/suite.c: libscope under the workloads that its peers run, peers/servers/suite.h.
 *
 * Servers are left out: what is measured of libscope is scope-echo, as people run it.
 */
#include <scope.h>
#include <scope_chan.h>
#include <scope_sync.h>

#include <stdlib.h>

#define PEER_TASK int
#define PEER_END  return 0
#define PEER_NO_NET

typedef struct scope peer_group;
typedef struct scope_event peer_event;
typedef struct scope_chan peer_chan;
typedef struct scope_mutex peer_mutex;

static int call(void *arg)
{
	void (**fn)(void) = arg;

	(*fn)();
	return 0;
}

static void peer_run(int workers, void (*fn)(void))
{
	struct scope_config config = {.workers = (unsigned)workers};

	if (scope_run(call, &fn, &config))
		exit(EXIT_FAILURE);
}

static inline void peer_yield(void)
{
	scope_yield();
}

static inline void peer_sleep(int64_t ns)
{
	scope_sleep_for(ns);
}

static inline void group_open(peer_group *g, long n)
{
	(void)n;
	scope_open(g);
}

static inline void group_spawn(peer_group *g, scope_task_fn *fn, void *arg)
{
	scope_spawn(g, fn, arg);
}

/* 0 also if the caller was cancelled: its tasks were too, and have been joined. */
static inline int group_join(peer_group *g)
{
	scope_close(g);
	return 0;
}

static inline void group_cancel(peer_group *g)
{
	scope_cancel(g);
	scope_close(g);
}

static inline void event_open(peer_event *e)
{
	*e = (peer_event){0};
}

static inline int event_wait(peer_event *e)
{
	return scope_event_wait(e);
}

static inline void event_set(peer_event *e)
{
	scope_event_set(e);
}

static peer_chan *chan_open(long capacity)
{
	peer_chan *c;

	if (scope_chan_new(sizeof(long), (size_t)capacity, NULL, &c))
		abort();
	return c;
}

static inline void chan_send(peer_chan *c, long v)
{
	if (scope_chan_send(c, &v))
		abort();
}

static inline long chan_recv(peer_chan *c)
{
	long v;

	if (scope_chan_recv(c, &v))
		abort();
	return v;
}

static inline void mutex_open(peer_mutex *m)
{
	*m = (peer_mutex){0};
}

static inline void mutex_lock(peer_mutex *m)
{
	scope_mutex_lock(m);
}

static inline void mutex_unlock(peer_mutex *m)
{
	scope_mutex_unlock(m);
}

#include "peers/servers/suite.h"
