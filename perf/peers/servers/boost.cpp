/* perf/peers/servers/boost.cpp: Boost.Fiber, one worker with its default round robin, more with its
 * work_stealing algorithm. */
#include <boost/fiber/all.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>
#define PEER_NO_CANCEL
#define PEER_NO_NET
namespace bf = boost::fibers;

struct peer_group {
	std::vector<bf::fiber> f;
};

struct peer_event {
	bf::mutex m;
	bf::condition_variable c;
	bool set = false;
};

struct peer_chan {
	std::unique_ptr<bf::unbuffered_channel<long>> u;
	std::unique_ptr<bf::buffered_channel<long>> b;
};

typedef bf::mutex peer_mutex;
static bf::fixedsize_stack fixed(16384);
static bf::pooled_fixedsize_stack pooled(16384);
static bool many;

static void peer_run(int workers, void (*fn)(void))
{
	many = workers > 1;
	if (!many) {
		fn();
		return;
	}
	bf::mutex m;
	bf::condition_variable_any c;
	bool done = false;
	std::vector<std::thread> threads;
	for (int i = 1; i < workers; i++)
		threads.emplace_back([&, workers] {
			bf::use_scheduling_algorithm<bf::algo::work_stealing>(workers);
			std::unique_lock<bf::mutex> l(m);
			while (!done)
				c.wait(l);
		});
	bf::use_scheduling_algorithm<bf::algo::work_stealing>(workers);
	fn();
	{
		std::unique_lock<bf::mutex> l(m);
		done = true;
	}
	c.notify_all();
	for (auto &t : threads)
		t.join();
}

static inline void peer_yield(void)
{
	boost::this_fiber::yield();
}

static inline void peer_sleep(int64_t ns)
{
	boost::this_fiber::sleep_for(std::chrono::nanoseconds(ns));
}

static void group_open(peer_group *g, long n)
{
	g->f.reserve(n);
}

static void group_spawn(peer_group *g, void (*fn)(void *), void *arg)
{
	// The pool of pooled_fixedsize_stack is not safe for threads.
	if (many)
		g->f.emplace_back(bf::launch::post, std::allocator_arg, fixed, fn, arg);
	else
		g->f.emplace_back(bf::launch::post, std::allocator_arg, pooled, fn, arg);
}

static int group_join(peer_group *g)
{
	for (auto &f : g->f)
		f.join();
	return 0;
}

static void event_open(peer_event *)
{
}

static int event_wait(peer_event *e)
{
	std::unique_lock<bf::mutex> l(e->m);
	while (!e->set)
		e->c.wait(l);
	return 0;
}

static void event_set(peer_event *e)
{
	{
		std::unique_lock<bf::mutex> l(e->m);
		e->set = true;
	}
	e->c.notify_all();
}

static peer_chan *chan_open(long cap)
{
	auto *c = new peer_chan;
	if (cap)
		c->b.reset(new bf::buffered_channel<long>(cap));
	else
		c->u.reset(new bf::unbuffered_channel<long>);
	return c;
}

static inline void chan_send(peer_chan *c, long v)
{
	c->b ? c->b->push(v) : c->u->push(v);
}

static inline long chan_recv(peer_chan *c)
{
	long v = 0;
	c->b ? c->b->pop(v) : c->u->pop(v);
	return v;
}

static void mutex_open(peer_mutex *)
{
}

static inline void mutex_lock(peer_mutex *m)
{
	m->lock();
}

static inline void mutex_unlock(peer_mutex *m)
{
	m->unlock();
}

#include "suite.h"
