/* tests/sim/scn_seed.c: what a seed promises: one order, whatever the threads of the run do. */
#include "scn.h"

#include <string.h>

enum { PLAYERS = 5, EVENTS = 64 };

static unsigned char event[2][EVENTS];
static unsigned events;
static unsigned char *log_of_run;

struct player {
	struct job job; /* first: bodies get a pointer to it */
	unsigned char name;
};

static void note(const struct player *player, unsigned what)
{
	sim_check(events < EVENTS, "more than %d events", EVENTS);
	log_of_run[events++] = (unsigned char)(player->name * 8 + what);
}

static int body_play(struct job *job)
{
	struct player *player = (struct player *)job;
	unsigned i;

	note(player, 0);
	for (i = 1; i < 4; i++) {
		if ((player->name + i) % 3)
			scope_yield();
		else
			scope_sleep_for(player->name % 3);
		note(player, i);
	}
	return 0;
}

static int game(void *arg)
{
	static const struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};
	struct player player[PLAYERS];
	struct group g;
	int i;

	(void)arg;
	group_open(&g);
	for (i = 0; i < PLAYERS; i++) {
		player[i].name = (unsigned char)i;
		group_spawn_with(&g, &player[i].job, body_play, i % 2 ? &concurrent : NULL);
		if (i == 3)
			scope_yield();
	}
	return group_close(&g);
}

/* The same seed twice, in whatever way worker and monitor take turns and waits end early. */
static void play_twice(void *arg)
{
	struct scope_config config = {.workers = 1,
				      .stack_size = 64 << 10,
				      .flags = SCOPE_NO_SIGNALS | SCOPE_VIRTUAL_CLOCK,
				      .seed = 1 + sim_random(1000)};
	int i;

	(void)arg;
	for (i = 0; i < 2; i++) {
		events = 0;
		log_of_run = event[i];
		sim_check(scope_run(game, NULL, &config) == 0, "an error from nowhere");
	}
	sim_check(memcmp(event[0], event[1], events) == 0, "seed %llu has two orders",
		  (unsigned long long)config.seed);
}

Test(sim, a_seed_has_one_order)
{
	sim_explore("a_seed_has_one_order", play_twice, NULL);
}
