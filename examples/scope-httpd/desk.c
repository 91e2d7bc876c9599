/* examples/scope-httpd/desk.c: buffers, for as long as a connection has something to do. */
#include "httpd.h"

#include <stdlib.h>

/* A thread's lock: nothing in between parks. */
struct desk *desk_take(struct desks *desks)
{
	struct desk *desk;

	pthread_mutex_lock(&desks->lock);
	desk = desks->free;
	if (desk)
		desks->free = desk->next;
	pthread_mutex_unlock(&desks->lock);
	if (!desk) {
		desk = malloc(sizeof *desk);
		if (!desk)
			return NULL;
		__builtin_memset(desk, 0, offsetof(struct desk, request));
		pthread_mutex_lock(&desks->lock);
		desk->all = desks->all;
		desks->all = desk;
		pthread_mutex_unlock(&desks->lock);
	}
	desk->in_begin = desk->in_end = desk->out_end = 0;
	return desk;
}

void desk_give(struct desks *desks, struct desk *desk)
{
	pthread_mutex_lock(&desks->lock);
	desk->next = desks->free;
	desks->free = desk;
	pthread_mutex_unlock(&desks->lock);
}

void desk_sum(struct desks *desks, uint64_t sums[COUNTS])
{
	struct desk *desk;
	int i;

	pthread_mutex_lock(&desks->lock);
	desk = desks->all;
	pthread_mutex_unlock(&desks->lock);
	for (i = 0; i < COUNTS; i++)
		sums[i] = 0;
	for (; desk; desk = desk->all)
		for (i = 0; i < COUNTS; i++)
			sums[i] += atomic_load_explicit(&desk->counts[i], memory_order_relaxed);
}

void desk_free(struct desks *desks)
{
	struct desk *desk;

	while ((desk = desks->all)) {
		desks->all = desk->all;
		free(desk);
	}
}

void desk_look_at_clock(struct desk *desk)
{
	time_t now = time(NULL);
	struct tm tm;

	if (now == desk->now)
		return;
	desk->now = now;
	date_write(now, desk->date);
	localtime_r(&now, &tm);
	strftime(desk->log_date, sizeof desk->log_date, "%d/%b/%Y:%H:%M:%S %z", &tm);
}
