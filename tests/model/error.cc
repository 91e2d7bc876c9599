/* tests/model/error.cc: models of error records, runtime/scope/error.c: tasks that hand theirs
 * to a scope while others do, and while somebody reads; each record is freed once.
 */
#include "runtime.hpp"

#include "deque/deque.c"
#include "sched/seed.c"
#include "sched/wheel.c"
#include "scope/cancel.c"
#include "scope/error.c"
#include "scope/extra.c"
#include "scope/join.c"
#include "scope/wait.c"

static SC_WORD(uint32_t) ready; /* times that the owner's strand was made ready */

void sc_park(struct sc_worker *worker, enum sc_reason,
	     void (*post)(struct sc_worker *worker, struct sc_strand *strand))
{
	worker->strand->place = worker->cur;
	post(worker, worker->strand);
	while (!at_load_acq(&ready))
		model::yield();
	worker->cur &= ~(uintptr_t)1;
}

void sc_ready(struct sc_strand *)
{
	at_add_acqrel(&ready, 1);
}

void sc_path(uintptr_t, char *out, size_t size)
{
	snprintf(out, size, "/main");
}

int64_t sc_now(void)
{
	return 0;
}

void sc_find_cause(struct sc_scope *, struct scope_cause_info *out)
{
	memset((void *)out, 0, sizeof *out);
}

int sc_in_region(struct sc_worker *)
{
	return 0;
}

void sc_end_use(struct sc_scope *) {}

int sc_object_hold(struct sc_scope *)
{
	return 1;
}

/* ---- what nobody needs here ---- */

int sc_attend(struct sc_worker *)
{
	return 0;
}

int sc_check(struct sc_worker *)
{
	return 0;
}

int sc_give_way(struct sc_worker *, int)
{
	return 0;
}

int sc_others_wait(struct sc_worker *)
{
	return 0;
}

int sc_winds_up(struct sc_scope *)
{
	return 0;
}

struct sc_scope *sc_left_to_join(struct sc_scope *s)
{
	return sc_all_ended(s) ? NULL : s;
}

int sc_owns(struct sc_worker *, struct sc_scope *)
{
	return 0;
}

int sc_object_enter(struct sc_scope *)
{
	return 0;
}

int sc_close_object(struct sc_worker *, struct sc_scope *)
{
	return 0;
}

int sc_lineage_hold(void)
{
	return 0;
}

void sc_object_leave(struct sc_scope *) {}
void sc_lineage_drop(int) {}
void sc_close_body(struct sc_scope *) {}
void sc_wind_up(struct sc_scope *) {}
void sc_skip_winding_up(void *) {}
void sc_drop_memory(struct sc_extra *) {}
void sc_ready_batch(struct sc_batch *) {}
void sc_poke(struct sc_worker *) {}
void sc_poke_all(void) {}
void sc_notify(void) {}
void sc_offer(struct sc_worker *) {}
void sc_submit(struct sc_task *) {}
void sc_arch_switch_aside(struct sc_context *, struct sc_aside *, const struct sc_context *) {}
void sc_leaver_ended(struct sc_scope *, int) {}
void sc_land(void) {}
void sc_suspend(struct sc_worker *) {}
void sc_resume(struct sc_worker *) {}
void sc_alarm_arm(struct sc_worker *, struct sc_alarm *, int64_t) {}
void sc_alarm_disarm(struct sc_alarm *) {}

/* ---- memory: each piece is used once in a schedule ---- */

static char arena[1 << 16] SC_ALIGNED(64);
static size_t arena_used;
static int live;

static void *allocate(size_t size)
{
	char *memory = arena + arena_used;

	arena_used += (size + 63) & ~(size_t)63;
	MODEL_CHECK(arena_used <= sizeof arena);
	live++;
	return memory;
}

static void free_once(void *memory)
{
	MODEL_CHECK(memory);
	memset(memory, 0xee, 16); /* code and text of a record: who reads on fails */
	live--;
}

/* Worker 0 is the owner of s; workers 1 and 2 run tasks of it. */
template <class T, int threads> struct error_test : model::test<T, threads> {
	struct sc_worker workers[3];
	struct sc_host host[3];
	struct sc_leaf leaf[3];
	struct sc_scope s;

	struct sc_scope *node(unsigned i)
	{
		return sc_node(&host[i].strand);
	}

	void set_up_with(int64_t tasks)
	{
		unsigned i;

		model::set_up_workers(workers, 3);
		memset((void *)leaf, 0, sizeof leaf);
		sc_os.alloc = allocate;
		sc_os.free = free_once;
		arena_used = 0;
		live = 0;
		ready = 0;
		sc_epoch = 0;
		memset((void *)&sc_root, 0, sizeof sc_root);
		sc_root.state = SC_LINKED;
		memset((void *)&s, 0, sizeof s);
		s.state = SC_FLUSHED;
		s.units = tasks;
		for (i = 0; i < 3; i++) {
			model::set_up_strand(&host[i].strand, &leaf[i].card);
			host[i].errors = NULL;
			node(i)->parent = i ? (uintptr_t)&s : (uintptr_t)&sc_root;
			node(i)->state = SC_TASK;
			workers[i].strand = &host[i].strand;
			workers[i].cur = i ? (uintptr_t)node(i) : (uintptr_t)&s;
		}
		s.parent = (uintptr_t)node(0);
	}

	/* A close gave that to the task of worker i. */
	void closed_with(unsigned i, int code)
	{
		struct account account;
		struct record *record;

		memset((void *)&account, 0, sizeof account);
		account.code = code;
		account.path = "/main";
		record = new_record(&account);
		set_last(&host[i], (uintptr_t)node(i), record);
	}

	void fail(unsigned i, int code)
	{
		sc_failed(&s, code, i ? (uintptr_t)node(i) : (uintptr_t)&s, NULL, NULL);
	}

	void end_task(unsigned i)
	{
		sc_drop_errors(&host[i], 0);
		if (sc_units_end(&s, 1))
			at_add_acqrel(&ready, 1);
	}

	int close()
	{
		int rc = sc_close_finish(&s);

		MODEL_CHECK(scope_last_error()->code == rc);
		return rc;
	}
	void check()
	{
		MODEL_CHECK(live == 0);
	}
};

/* Each task fails with the record that it has from a close of its own. */
struct two_tasks : error_test<two_tasks, 3> {
	void set_up()
	{
		set_up_with(2);
		closed_with(1, -EIO);
		closed_with(2, -EPIPE);
	}
	void thread(unsigned index)
	{
		const struct scope_error *other;
		int rc;

		if (index) {
			model::linger(20);
			fail(index, index == 1 ? -EIO : -EPIPE);
			end_task(index);
			return;
		}
		rc = close();
		other = scope_last_error()->suppressed;
		MODEL_CHECK(other && other->code == (rc == -EIO ? -EPIPE : -EIO) && !other->next);
		sc_drop_errors(&host[0], 0);
	}
};
static model::random<two_tasks> two_tasks("error/two_tasks_hand_their_records_over", 10000);

/* A task fails otherwise than its close did: one record is the context of the other. */
struct with_context : error_test<with_context, 2> {
	void set_up()
	{
		set_up_with(1);
		closed_with(1, -EIO);
	}
	void thread(unsigned index)
	{
		if (index) {
			model::linger(20);
			fail(1, -EPIPE);
			end_task(1);
			return;
		}
		MODEL_CHECK(close() == -EPIPE);
		MODEL_CHECK(scope_last_error()->context->code == -EIO);
		sc_drop_errors(&host[0], 0);
	}
};
static model::random<with_context> with_context("error/a_record_that_is_part_of_another", 10000);

/* The owner has failed the scope with the record of an earlier close and goes on reading that
 * record while a task fails: the list below it is made when all have ended. */
struct reads : error_test<reads, 2> {
	void set_up()
	{
		set_up_with(1);
		closed_with(0, -EIO);
	}
	void thread(unsigned index)
	{
		const struct scope_error *error;
		unsigned i;
		int rc;

		if (index) {
			model::linger(20);
			fail(1, -EPIPE);
			end_task(1);
			return;
		}
		error = scope_last_error();
		fail(0, -EIO);
		for (i = 0; i < 3; i++) {
			MODEL_CHECK(!error->suppressed && !error->next && !error->uncounted);
			model::linger(20);
		}
		rc = close();
		MODEL_CHECK(scope_last_error()->suppressed->code == (rc == -EIO ? -EPIPE : -EIO));
		sc_drop_errors(&host[0], 0);
	}
};
static model::random<reads> reads("error/a_record_stays_as_it_is_while_its_task_reads_it", 10000);
