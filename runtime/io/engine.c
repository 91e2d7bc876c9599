/* runtime/io/engine.c: the loop of libuv, embedded in the poller: rules N2 and B2. */
#include "io/engine.h"
#include "sched/poll.h"

#include <errno.h>
#include <unistd.h>

/* What a turn may take: libuv has room for a thousand events on its stack. */
enum { TURN_STACK = 24 << 10 };
/* So often the end of a run looks whether abandoned operations have ended. */
#define LOOK_NS INT64_C(1000000)

static struct {
	struct sc_lock lock;
	uv_loop_t loop;          /* lock */
	struct sc_op *first;     /* lock: under way */
	struct sc_op *dropped;   /* lock: abandoned, and ended */
	struct sc_batch *woken;  /* lock: during a turn, who is to be continued */
	int is_open;             /* lock */
	int listens;             /* lock: libuv watches for ends of operations */
	int watched;             /* lock: by the poller of this run */
	int armed;               /* lock: it will tell */
	int owner;               /* lock: the process that opened it */
	int due;                 /* lock: the monitor is to give a turn */
} engine;

/* lock, dropped.  The end of what was abandoned may take long, as that of a file on another machine
 * may: it is for a worker. */
static void let_go(void)
{
	struct sc_op *op = sc_self() == &sc_worker_none ? NULL : engine.dropped;

	if (op)
		engine.dropped = NULL;
	sc_lock_drop(&engine.lock);
	while (op) {
		struct sc_op *next = op->next;

		op->drop(op);
		op = next;
	}
}

/* ---- turns --------------------------------------------------------------------------------- */

/* lock.  The stack of a task may be too small for a turn, a thread's never is. */
static void leave_to_monitor(void)
{
	if (!engine.due)
		sc_sched_watch(1);
	engine.due = 1;
}

static int has_room(void)
{
	const struct sc_strand *strand = sc_self()->strand;
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	return !strand || here - (uintptr_t)strand->fiber.stack_low >= TURN_STACK;
}

static void on_event(struct sc_batch *woken);

/* lock */
static int watch(void)
{
	int rc = sc_poll_embed(uv_backend_fd(&engine.loop), on_event);

	engine.armed = rc == 0;
	return rc;
}

/* lock */
static void watch_anyway(void)
{
	if (watch() < 0)
		leave_to_monitor();
}

/* lock.  The poller tells of the loop once.  With nothing under way a turn reads nothing, and the
 * loop may stay ready for ever: then it is watched again with the next operation. */
static void turn(struct sc_batch *woken)
{
	engine.woken = woken;
	uv_run(&engine.loop, UV_RUN_NOWAIT);
	engine.woken = NULL;
	if (engine.watched && engine.first)
		watch_anyway();
}

/* lock */
static void turn_or_leave(struct sc_batch *woken)
{
	if (has_room())
		turn(woken);
	else
		leave_to_monitor();
}

static void on_event(struct sc_batch *woken)
{
	sc_lock_take(&engine.lock);
	engine.armed = 0;
	if (engine.watched) /* the run is not at its end */
		turn_or_leave(woken);
	let_go();
}

/* On the monitor's thread. */
static void look(void)
{
	struct sc_batch woken = {NULL, NULL, 0};

	sc_lock_take(&engine.lock);
	if (engine.due) {
		engine.due = 0;
		sc_sched_watch(-1);
		turn(&woken);
	}
	let_go();
	sc_ready_batch(&woken);
}

/* ---- a run --------------------------------------------------------------------------------- */

static size_t list_orphans(const void **fns, size_t most)
{
	struct sc_op *op;
	size_t count = 0;

	sc_lock_take(&engine.lock);
	for (op = engine.first; op; op = op->next) {
		if (op->state != SC_OP_ABANDONED)
			continue;
		if (count < most)
			fns[count] = op->what;
		count++;
	}
	sc_lock_drop(&engine.lock);
	return count;
}

/* No task is left: what is under way is abandoned.  What does not end in time stays for the next
 * run, or for the end of the process. */
static void stop(void)
{
	SC_WORD(uint32_t) never = 0;

	sc_terminals_put_back();
	for (;;) {
		struct sc_batch none = {NULL, NULL, 0};
		int64_t now = sc_os.now();

		sc_lock_take(&engine.lock);
		engine.watched = 0;
		sc_terminals_end();
		turn(&none);
		if (!engine.first || now >= sc_run.orphans_until)
			break;
		let_go();
		sc_os.wait(&never, 0, now + LOOK_NS);
	}
	if (engine.due)
		sc_sched_watch(-1);
	engine.due = 0;
	engine.is_open = engine.first != NULL;
	if (!engine.is_open)
		uv_loop_close(&engine.loop);
	let_go();
}

static const struct sc_service service = {stop, look, list_orphans};

int sc_engine_hangs(void)
{
	int hangs;

	if (engine.owner != getpid()) /* a forked child has none of the threads that are joined */
		return engine.owner != 0;
	sc_lock_take(&engine.lock);
	hangs = engine.first != NULL;
	sc_lock_drop(&engine.lock);
	return hangs;
}

/* lock.  Of the parent of this process: its threads and what they carry out are not here. */
static void forget_parent(void)
{
	engine.first = engine.dropped = NULL;
	engine.is_open = engine.listens = engine.armed = 0;
}

/* lock */
static int open_engine(void)
{
	int rc = 0;

	if (engine.watched)
		return 0;
	engine.due = 0;
	if (engine.owner != getpid())
		forget_parent();
	if (!engine.is_open)
		rc = uv_loop_init(&engine.loop);
	if (rc < 0)
		return rc;
	engine.owner = getpid();
	engine.listens = engine.is_open && engine.listens;
	engine.is_open = 1;
	sc_expect_the_end();
	at_store_rlx(&sc_run.service[SC_ENGINE], &service);
	rc = watch();
	engine.watched = rc == 0;
	return rc;
}

/* ---- operations ------------------------------------------------------------------------------ */

/* lock */
static void list(struct sc_op *op)
{
	op->next = engine.first;
	op->link = &engine.first;
	if (op->next)
		op->next->link = &op->next;
	engine.first = op;
}

/* lock, by a turn */
void sc_op_ended(struct sc_op *op)
{
	*op->link = op->next;
	if (op->next)
		op->next->link = op->link;
	if (op->state == SC_OP_ABANDONED) {
		op->next = engine.dropped;
		engine.dropped = op;
		return;
	}
	op->state = SC_OP_DONE;
	if (sc_wait_claim(op->strand, SC_WAIT_EVENT))
		sc_batch_add(engine.woken, &op->strand->item);
}

static int begin(struct sc_op *op, sc_op_start *start)
{
	struct sc_batch woken = {NULL, NULL, 0};
	struct sc_mask mask;
	int rc;

	sc_lock_take(&engine.lock);
	rc = open_engine();
	if (rc == 0) {
		if (!engine.listens)
			sc_os_mask_threads(&mask); /* its pool may begin */
		rc = start(&engine.loop, op);
		if (!engine.listens)
			sc_os_unmask_threads(&mask);
	}
	if (rc == 0)
		list(op);
	if (rc == 0 && !engine.armed)
		watch_anyway();
	/* What libuv is to watch it begins to watch in a turn, and it takes one only while
	 * something is under way: the first is given here. */
	if (rc == 0 && !engine.listens) {
		engine.listens = 1;
		turn_or_leave(&woken);
	}
	let_go();
	sc_ready_batch(&woken);
	return rc;
}

/* The place was cancelled while the task waited.  An operation that has not begun will be told to
 * have ended as cancelled, soon. */
static int cancelled(struct sc_op *op)
{
	struct sc_worker *worker = sc_self();
	int taken_back, rc = 0, again = 0;

	sc_look_again(worker);
	sc_lock_take(&engine.lock);
	if (op->state == SC_OP_DONE) { /* completion wins ties (C6) */
		sc_lock_drop(&engine.lock);
		return 0;
	}
	taken_back = uv_cancel(&op->uv.any) == 0;
	if (op->drop) {
		op->state = SC_OP_ABANDONED;
		rc = -ECANCELED;
	} else {
		sc_wait_prepare(op->strand);
		again = 1;
	}
	sc_lock_drop(&engine.lock);
	if (again)
		sc_park(worker, SC_IN_OFFLOAD, sc_wait_park);
	if (rc < 0 || taken_back)
		sc_hit(sc_untag(sc_self()->cur));
	return rc;
}

static int wait_for(struct sc_op *op, sc_op_start *start)
{
	struct sc_worker *worker = sc_self();
	struct sc_strand *strand = worker->strand;
	int rc;

	op->strand = strand;
	op->state = SC_OP_WAITED;
	sc_wait_forget(worker);
	sc_wait_prepare(strand);
	rc = begin(op, start);
	if (rc < 0) {
		if (op->drop)
			op->drop(op);
		return rc;
	}
	strand->object = op->what;
	sc_park(worker, SC_IN_OFFLOAD, sc_wait_post);
	sc_wait_withdraw(sc_untag(sc_self()->cur));
	return sc_wait_outcome(strand) == SC_WAIT_CANCEL ? cancelled(op) : 0;
}

int sc_engine_use(int (*fn)(uv_loop_t *loop, void *arg), void *arg)
{
	struct sc_batch woken = {NULL, NULL, 0};
	int rc;

	sc_lock_take(&engine.lock);
	rc = open_engine();
	if (rc == 0)
		rc = fn(&engine.loop, arg);
	if (rc == 0)
		turn_or_leave(&woken);
	let_go();
	sc_ready_batch(&woken);
	return rc;
}

int sc_op_run(struct sc_op *op, sc_op_start *start)
{
	int rc = sc_check(sc_self());

	if (rc < 0) {
		if (op->drop)
			op->drop(op);
		return rc;
	}
	sc_outside(SC_CALL, 1); /* time does not jump meanwhile (Z1) */
	rc = wait_for(op, start);
	sc_outside(SC_CALL, -1);
	return rc;
}
