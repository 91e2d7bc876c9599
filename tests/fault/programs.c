/* tests/fault/programs.c: what runs while the system refuses something: a bit of everything.
 *
 * A program may meet -ENOMEM and, behind it, -ECANCELED in any call that documents it; it must
 * not lose a task, and its own result without a fault is always the same.
 */
#define _GNU_SOURCE
#include "fault.h"
#include "files.h"

#include <errno.h>
#include <string.h>

#include <fcntl.h>
#include <pty.h>
#include <scope_chan.h>
#include <scope_file.h>
#include <scope_local.h>
#include <scope_net.h>
#include <scope_offload.h>
#include <scope_parallel.h>
#include <scope_process.h>
#include <scope_ref.h>
#include <scope_signal.h>
#include <scope_supervise.h>
#include <scope_terminal.h>
#include <scope_watch.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
#define CHECK(c) ((c) ? (void)0 : note("line " TEXT(__LINE__) ": " #c))

struct fault_notes fault_notes;

static void note(const char *text)
{
	const char *none = NULL;

	at_cas_rlx(&fault_notes.failure, &none, text);
}

/* What a call returned that may be refused. */
static int may_refuse(int rc)
{
	if (rc == -ENOMEM)
		at_store_rlx(&fault_notes.refused, 1);
	CHECK(rc == 0 || rc == -ENOMEM || rc == -ECANCELED);
	return rc;
}

static void accepted(int rc, int tasks)
{
	if (may_refuse(rc) == 0)
		at_add_rlx(&fault_notes.accepted, tasks);
}

static int ran(void)
{
	at_add_rlx(&fault_notes.ran, 1);
	return 0;
}

static int counts(void *arg)
{
	(void)arg;
	return ran();
}

static void drops(void *arg)
{
	(void)arg;
	at_add_rlx(&fault_notes.dropped, 1);
}

static int sleeps(void *arg)
{
	ran();
	scope_sleep_for((int64_t)(intptr_t)arg);
	return 0;
}

static int sleeps_for_ever(void *arg)
{
	(void)arg;
	ran();
	return scope_sleep_until(SCOPE_NEVER);
}

static void *ns(int64_t duration)
{
	return (void *)(intptr_t)duration;
}

static const struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT, .drop = drops};
static const struct scope_spawn_options named = {.name = "named", .drop = drops};

/* ---- starting and stopping ---------------------------------------------------------------- */

static int does_nothing(void *arg)
{
	(void)arg;
	fault_notes.started = 1;
	return 0;
}

/* ---- parking ------------------------------------------------------------------------------ */

static int parks(void *arg)
{
	struct scope s;
	int i;

	does_nothing(arg);
	scope_open(&s);
	for (i = 0; i < 8; i++) {
		accepted(scope_spawn(&s, sleeps, ns(1000 * i)), 1);
		accepted(scope_spawn_with(&s, sleeps, ns(1000), &concurrent), 1);
	}
	may_refuse(scope_sleep_for(500));
	may_refuse(scope_wait_until(&s, SCOPE_NEVER));
	return may_refuse(scope_close(&s));
}

/* ---- stealing ----------------------------------------------------------------------------- */

struct fib {
	int n, result;
};

static int fib(void *arg)
{
	struct fib *f = arg, left = {f->n - 1, 0}, right = {f->n - 2, 0};
	struct scope s;
	int rc;

	if (f->n < 2) {
		f->result = f->n;
		return 0;
	}
	scope_open(&s);
	may_refuse(scope_spawn(&s, fib, &left));
	may_refuse(scope_spawn(&s, fib, &right));
	rc = may_refuse(scope_close(&s));
	f->result = left.result + right.result;
	return rc;
}

static int steals(void *arg)
{
	struct fib f = {16, 0};
	int rc = fib(&f);

	does_nothing(arg);
	CHECK(rc != 0 || f.result == 987);
	return rc;
}

/* ---- time --------------------------------------------------------------------------------- */

static int three_scopes(void *arg)
{
	struct scope s;

	(void)arg;
	ran();
	scope_open(&s);
	accepted(scope_spawn(&s, sleeps_for_ever, NULL), 1);
	accepted(scope_spawn(&s, sleeps, ns(500)), 1);
	return may_refuse(scope_close(&s));
}

static int has_deadlines(void *arg)
{
	struct scope_options options = {.on_timeout = SCOPE_MOVE_ON, .name = "timed"};
	struct scope s;
	int rc;

	does_nothing(arg);
	at_add_rlx(&fault_notes.accepted, 1); /* scope_within calls it in any case */
	rc = scope_within(1000, three_scopes, NULL);
	CHECK(rc == -ETIMEDOUT || rc == -ENOMEM);
	options.deadline_ns = scope_now() + 1000;
	rc = may_refuse(scope_open_with(&s, &options));
	if (rc < 0)
		return rc;
	accepted(scope_spawn(&s, sleeps_for_ever, NULL), 1);
	CHECK(scope_set_deadline(&s, scope_now() + 2000) == 0);
	rc = may_refuse(scope_close(&s));
	CHECK(rc < 0 || scope_timed_out(&s));
	return rc;
}

/* ---- cancelling --------------------------------------------------------------------------- */

static int branch(void *arg)
{
	intptr_t depth = (intptr_t)arg;
	struct scope s;
	int i;

	ran();
	scope_open(&s);
	for (i = 0; i < 2; i++) {
		if (depth > 0)
			accepted(scope_spawn_with(&s, branch, (void *)(depth - 1), &named), 1);
		accepted(scope_spawn(&s, sleeps_for_ever, NULL), 1);
	}
	may_refuse(scope_wait_until(&s, SCOPE_NEVER));
	return may_refuse(scope_close(&s));
}

static int cancels(void *arg)
{
	struct scope s;

	does_nothing(arg);
	scope_open(&s);
	accepted(scope_spawn_with(&s, branch, (void *)2, &concurrent), 1);
	accepted(scope_spawn_with(&s, branch, (void *)2, &concurrent), 1);
	may_refuse(scope_sleep_for(1000));
	scope_cancel(&s);
	return may_refuse(scope_close(&s));
}

/* ---- loops -------------------------------------------------------------------------------- */

static int adds(size_t begin, size_t end, void *accumulator, void *arg)
{
	(void)arg;
	scope_yield();
	for (; begin < end; begin++)
		*(size_t *)accumulator += begin;
	return 0;
}

static void zero(void *accumulator, void *arg)
{
	(void)arg;
	*(size_t *)accumulator = 0;
}

static void sum(void *left, const void *right, void *arg)
{
	(void)arg;
	*(size_t *)left += *(const size_t *)right;
}

static int yields(size_t begin, size_t end, void *arg)
{
	(void)begin;
	(void)end;
	(void)arg;
	return scope_yield();
}

static int loops_here(void *arg)
{
	static const struct scope_reducer reducer = {
		.size = sizeof(size_t), .init = zero, .body = adds, .combine = sum};
	size_t result = 0;
	int rc;

	(void)arg;
	ran();
	rc = may_refuse(scope_reduce(0, 200, 1, &reducer, &result));
	CHECK(rc != 0 || result == 199 * 100);
	return rc ? rc : may_refuse(scope_for(0, 100, 1, yields, NULL));
}

static int loops(void *arg)
{
	int rc;

	does_nothing(arg);
	rc = may_refuse(scope_both(loops_here, NULL, loops_here, NULL));
	CHECK(rc != 0 || fault_notes.ran == 2);
	fault_notes.accepted = fault_notes.ran;
	return rc;
}

/* ---- errors ------------------------------------------------------------------------------- */

static int fails(void *arg)
{
	ran();
	return (int)(intptr_t)arg;
}

static int fails_inside(void *arg)
{
	struct scope s;
	int rc;

	(void)arg;
	ran();
	scope_open(&s);
	accepted(scope_spawn(&s, fails, (void *)-EDOM), 1);
	accepted(scope_spawn_with(&s, fails, (void *)-ERANGE, &named), 1);
	scope_fail(&s, -EBADF, "no more than %d", 3);
	rc = scope_close(&s);
	/* Another worker may have been faster with a task. */
	CHECK(rc == -EBADF || rc == -EDOM || rc == -ERANGE || rc == -ENOMEM);
	CHECK(!scope_last_error() || scope_last_error()->code == rc);
	return -EDOM; /* with the other as its context */
}

static int has_errors(void *arg)
{
	struct scope s;
	int i, rc;

	does_nothing(arg);
	scope_open(&s);
	accepted(scope_spawn_with(&s, fails_inside, NULL, &concurrent), 1);
	for (i = 0; i < 3; i++)
		accepted(scope_spawn(&s, fails_inside, NULL), 1);
	rc = scope_close(&s);
	if (rc == -ENOMEM)
		may_refuse(rc);
	CHECK(rc == -EDOM || rc == -ENOMEM);
	return rc;
}

/* More than a scope keeps. */
static int has_many_errors(void *arg)
{
	struct scope s;
	int i;

	does_nothing(arg);
	scope_open(&s);
	for (i = 0; i < 66; i++)
		scope_fail(&s, -EDOM, NULL);
	i = scope_close(&s);
	CHECK(i == -EDOM);
	CHECK(!scope_last_error() || scope_last_error()->uncounted <= 2);
	return i;
}

/* ---- spawning ----------------------------------------------------------------------------- */

static int sees_copy(void *arg)
{
	CHECK(memcmp(arg, "a copy", 7) == 0);
	return ran();
}

static int spawns_above(void *outer)
{
	ran();
	accepted(scope_spawn(outer, counts, NULL), 1);
	accepted(scope_spawn_n(outer, counts, NULL, 0, 5), 5);
	return 0;
}

static int spawns(void *arg)
{
	struct scope_spawn_options pinned = {.flags = SCOPE_PINNED, .copy_size = 7, .drop = drops};
	struct scope_options options = {.name = "spawns"};
	struct scope s, below;
	int rc;

	does_nothing(arg);
	scope_open(&s);
	accepted(scope_spawn_copy(&s, sees_copy, "a copy", 7), 1);
	accepted(scope_spawn_with(&s, sees_copy, "a copy", &pinned), 1);
	accepted(scope_spawn_n(&s, counts, NULL, 0, 20), 20);
	accepted(scope_spawn_with(&s, spawns_above, &s, &concurrent), 1);
	rc = may_refuse(scope_open_with(&below, &options));
	if (rc == 0) {
		accepted(scope_spawn(&s, counts, NULL), 1);
		accepted(scope_spawn(&below, spawns_above, &s), 1);
		may_refuse(scope_close(&below));
	}
	return may_refuse(scope_close(&s));
}

/* ---- ranges that are divided ---------------------------------------------------------------- */

static int computes_a_little(void *arg)
{
	volatile int i;

	(void)arg;
	for (i = 0; i < 300; i++)
		;
	return ran();
}

static int divides(void *arg)
{
	struct scope s;
	int i, rc = 0;

	does_nothing(arg);
	for (i = 0; i < 20 && rc == 0; i++) {
		scope_open(&s);
		accepted(scope_spawn_n(&s, computes_a_little, NULL, 0, 200), 200);
		rc = may_refuse(scope_close(&s));
	}
	return rc;
}

/* ---- a deque that is full ------------------------------------------------------------------ */

static int fills_deque(void *arg)
{
	struct scope s;
	int i;

	does_nothing(arg);
	scope_open(&s);
	accepted(scope_spawn_n(&s, counts, NULL, 0, 10), 10);
	for (i = 0; i < 4096; i++)
		accepted(scope_spawn(&s, counts, NULL), 1);
	accepted(scope_spawn_n(&s, counts, NULL, 0, 10), 10);
	accepted(scope_spawn_with(&s, counts, NULL, &named), 1);
	/* While it is put aside its worker takes the range off the deque, which stays full. */
	may_refuse(scope_sleep_for(1));
	return may_refuse(scope_close(&s));
}

/* ---- a task that leaves a scope open ------------------------------------------------------- */

static int leaks_scope(void *arg)
{
	struct scope s;

	(void)arg;
	ran();
	scope_open(&s);
	accepted(scope_spawn(&s, sleeps_for_ever, NULL), 1);
	__asm__ volatile("" : : "r"(&s) : "memory");
	return 0;
}

static int leaks(void *arg)
{
	struct scope s;
	int rc;

	does_nothing(arg);
	scope_open(&s);
	accepted(scope_spawn(&s, leaks_scope, NULL), 1);
	rc = scope_close(&s);
	CHECK(rc == -EPROTO || rc == -ENOMEM);
	if (rc == -ENOMEM)
		may_refuse(rc);
	return rc;
}

/* ---- calls on threads ---------------------------------------------------------------------- */

static void offload_counts(const struct scope_offload_options *options)
{
	char byte = 0;
	int rc = scope_offload(counts, &byte, options);

	if (rc == -EAGAIN)
		at_store_rlx(&fault_notes.refused, 1);
	else
		accepted(rc, 1);
}

static int offloads_one(void *arg)
{
	ran();
	offload_counts(arg);
	return 0;
}

static int offloads(void *arg)
{
	const struct scope_offload_options copies = {.mode = SCOPE_OFFLOAD_ABANDON,
						     .copy_size = 1},
					   signals = {.mode = SCOPE_OFFLOAD_INTERRUPT};
	struct scope s;
	int i;

	does_nothing(arg);
	offload_counts(NULL);
	offload_counts(&copies);
	offload_counts(&signals);
	scope_open(&s);
	for (i = 0; i < 6; i++)
		accepted(scope_spawn(&s, offloads_one, NULL), 1);
	return may_refuse(scope_close(&s));
}

/* ---- policies, limits, clean-up ------------------------------------------------------------ */

/* Never refused: a result is the task's own record. */
static void take_results(struct scope *s)
{
	struct scope_result result;
	int rc;

	do
		rc = scope_next(s, &result);
	while (rc == 0);
	CHECK(rc == -ENOENT || rc == -ECANCELED);
}

static int limits(void)
{
	struct scope_options options = {.policy = SCOPE_AWAIT_ALL, .max_tasks = 2, .results = true};
	struct scope_spawn_options copying = {.flags = SCOPE_COPY_LOCALS, .drop = drops};
	struct scope s;
	int i, rc;

	rc = may_refuse(scope_open_with(&s, &options));
	if (rc < 0)
		return rc;
	accepted(scope_defer(&s, counts, NULL), 1);
	if (!scope_alloc(&s, 100))
		may_refuse(-ENOMEM);
	for (i = 0; i < 4; i++)
		accepted(scope_spawn_with(&s, sleeps, ns(100), &copying), 1);
	take_results(&s);
	accepted(scope_spawn_with(&s, counts, NULL, &copying), 1);
	accepted(scope_spawn_n(&s, counts, NULL, 0, 2), 2);
	return may_refuse(scope_close(&s));
}

static int opens_a_stream(void *arg)
{
	struct scope_signal *stream;
	int rc;

	does_nothing(arg);
	rc = scope_signal_open(SIGUSR2, &stream);
	if (rc == 0)
		scope_signal_close(stream);
	else
		at_store_rlx(&fault_notes.refused, 1); /* memory, or a handler */
	return 0;
}

static int ends(void *arg)
{
	struct scope_options options = {.policy = SCOPE_ANY};
	static struct scope_local key;
	struct scope_local_binding binding;
	struct scope s;
	int rc;

	does_nothing(arg);
	CHECK(scope_local_bind(&binding, &key, &key) == 0);
	rc = limits();
	CHECK(scope_local_unbind(&binding) == 0);
	if (rc == 0)
		rc = may_refuse(scope_open_with(&s, &options));
	if (rc < 0)
		return rc;
	accepted(scope_spawn_with(&s, counts, NULL, &named), 1);
	accepted(scope_spawn_with(&s, counts, NULL, &named), 1);
	return may_refuse(scope_close(&s));
}

/* ---- scopes of objects and of services ------------------------------------------------------ */

static int starts(void *arg)
{
	int rc;

	(void)arg;
	at_add_rlx(&fault_notes.accepted, 1); /* who started it can't tell whether it ran */
	ran();
	rc = scope_started();
	CHECK(rc == 0 || rc == -ECANCELED);
	return scope_sleep_until(SCOPE_NEVER);
}

static void use_rights(struct scope *s)
{
	struct scope_spawner spawner;
	struct scope_ref ref;

	if (may_refuse(scope_ref_get(s, &ref)) == 0)
		accepted(scope_ref_spawn(&ref, counts, NULL), 1);
	if (may_refuse(scope_spawner_of(s, &spawner)) == 0)
		accepted(scope_spawner_spawn_with(&spawner, counts, NULL, &named), 1);
}

static struct scope_ref called;

/* A thread of the program's own. */
static void calls(void *arg)
{
	int rc = scope_call(&called, counts, NULL);

	(void)arg;
	CHECK(rc == 0 || rc == -ESTALE || rc == -ECANCELED || rc == -ENOMEM);
	accepted(rc == -ESTALE ? -ECANCELED : rc, 1);
}

static int is_called(void *arg)
{
	struct sc_thread thread;
	struct scope s;
	int rc, started = 0;

	does_nothing(arg);
	scope_open(&s);
	if (may_refuse(scope_ref_get(&s, &called)) == 0)
		started = sc_os.thread_start(&thread, calls, NULL) == 0;
	if (!started)
		at_store_rlx(&fault_notes.refused, 1);
	scope_sleep_for(SCOPE_MS);
	rc = may_refuse(scope_close(&s));
	if (started)
		sc_os.thread_join(&thread);
	return rc;
}

static int has_objects(void *arg)
{
	struct scope_spawn_options service = {.flags = SCOPE_SERVICE, .drop = drops};
	struct scope_options options = {.name = "object"};
	struct scope s, object;

	does_nothing(arg);
	scope_open(&s);
	accepted(scope_spawn_with(&s, sleeps_for_ever, NULL, &service), 1);
	if (may_refuse(scope_open_in_with(&object, &s, &options)) == 0) {
		use_rights(&object);
		may_refuse(scope_start(&object, starts, NULL));
		accepted(scope_spawn(&object, sleeps_for_ever, NULL), 1);
	}
	use_rights(&s);
	return may_refuse(scope_close(&s));
}

/* The first run of one of them fails. */
static int fails_once(void *arg)
{
	int32_t *runs = arg;

	if (at_add_rlx(runs, 1) > 0)
		return 0;
	ran();
	return -ENOMEM;
}

static int supervises(void *arg)
{
	static int32_t runs;
	struct scope_supervise_options options = {
		.restart = SCOPE_TRANSIENT, .strategy = SCOPE_REST_FOR_ONE, .max_restarts = 3};
	struct scope_spawner spawner;
	struct scope s;

	does_nothing(arg);
	runs = 0;
	scope_open(&s);
	if (may_refuse(scope_supervise(&s, &options, &spawner)) == 0) {
		accepted(scope_spawner_spawn_with(&spawner, counts, NULL, &named), 1);
		accepted(scope_spawner_spawn_with(&spawner, counts, NULL, &named), 1);
		accepted(scope_spawner_spawn(&spawner, fails_once, &runs), 1);
	}
	return may_refuse(scope_close(&s));
}

/* ---- channels -------------------------------------------------------------------------------- */

static int sends(void *arg)
{
	int i, rc = 0;

	for (i = 0; i < 40 && rc == 0; i++)
		rc = may_refuse(scope_chan_send(arg, &i));
	scope_chan_close(arg);
	return ran();
}

/* What was sent comes, in order; want of memory for the rest is told to the sender. */
static int uses_channel(size_t capacity)
{
	struct scope_chan *c;
	int rc = may_refuse(scope_chan_new(sizeof(int), capacity, NULL, &c)), item = 0, i;
	struct scope s;

	if (rc < 0)
		return rc;
	scope_open(&s);
	accepted(scope_spawn(&s, sends, c), 1);
	rc = may_refuse(scope_close(&s));
	for (i = 0; scope_chan_try_recv(c, &item) == 0; i++)
		CHECK(item == i);
	scope_chan_free(c);
	return rc;
}

static int has_channels(void *arg)
{
	does_nothing(arg);
	uses_channel(100);
	return uses_channel(SCOPE_UNBOUNDED);
}

/* ---- descriptors --------------------------------------------------------------------------- */

enum { LARGE = 1 << 20 };

/* What a call gave of which each system call may be refused, and so those that it waits for. */
static int may_fail(int rc)
{
	if (rc < 0 && rc != -ECANCELED)
		at_store_rlx(&fault_notes.refused, 1);
	CHECK(rc >= 0 || rc == -ENOMEM || rc == -EMFILE || rc == -ECANCELED || rc == -ETIMEDOUT ||
	      rc == -ECONNRESET || rc == -EPIPE || rc == -ENOTCONN || rc == -EAGAIN || rc == -EIO ||
	      rc == -ENOENT || rc == -ESPIPE || rc == -ENOTTY);
	return rc;
}

static const struct scope_spawn_options at_once = {.flags = SCOPE_CONCURRENT};

/* Few calls: each of them is refused in a run of its own. */
enum { PIECE = 128 << 10 };

static int echoes(struct scope_conn *c, void *arg)
{
	static char buffer[PIECE];
	size_t n;
	int rc;

	(void)arg;
	while ((rc = may_fail(scope_conn_read(c, buffer, sizeof buffer, &n))) == 0 && n > 0) {
		rc = may_fail(scope_conn_write(c, buffer, n, NULL));
		if (rc < 0)
			break;
	}
	return 0;
}

static int serves(void *arg)
{
	const struct scope_serve_options options = {.name = "client"};

	may_fail(scope_serve(arg, echoes, NULL, &options));
	return 0;
}

static int a_file = -1;

static __attribute__((constructor)) void make_a_file(void)
{
	a_file = memfd_create("a file", MFD_CLOEXEC);
	if (a_file < 0 || ftruncate(a_file, LARGE) < 0)
		abort();
}

static int writes_much(void *arg)
{
	static const char much[LARGE];

	may_fail(scope_conn_write(arg, much, sizeof much, NULL));
	may_fail(scope_conn_sendfile(arg, a_file, 0, sizeof much, NULL));
	may_fail(scope_conn_shutdown(arg));
	return 0;
}

/* More than fits, both ways at once. */
static void exchange(struct scope_conn *c)
{
	static char buffer[PIECE];
	struct scope_address address;
	struct scope s;
	size_t n;

	may_fail(scope_conn_peer(c, &address));
	scope_open(&s);
	may_refuse(scope_spawn_with(&s, writes_much, c, &at_once));
	while (may_fail(scope_conn_read(c, buffer, sizeof buffer, &n)) == 0 && n > 0)
		;
	scope_cancel(&s);
	may_refuse(scope_close(&s));
}

static int is_a_client(void *arg)
{
	int port = may_fail(scope_listener_port(arg));
	struct scope_conn *c;

	if (port < 0 || may_fail(scope_tcp_connect("127.0.0.1", (uint16_t)port, &c)) < 0)
		return 0;
	exchange(c);
	scope_conn_close(c);
	return 0;
}

static int accepts_itself(void *arg)
{
	int port = may_fail(scope_listener_port(arg));
	struct scope_conn *a, *b;

	if (port < 0 || may_fail(scope_tcp_connect("127.0.0.1", (uint16_t)port, &a)) < 0)
		return 0;
	if (may_fail(scope_accept(arg, &b)) == 0)
		scope_conn_close(b);
	scope_conn_close(a);
	return 0;
}

static int sends_to_itself(void *arg)
{
	struct scope_address to, found[2];
	struct scope_udp *udp;
	char byte;
	size_t n;
	int port;

	(void)arg;
	may_fail(scope_resolve("localhost", 1, found, 2));
	if (may_fail(scope_udp_open("127.0.0.1", 0, &udp)) < 0)
		return 0;
	port = may_fail(scope_udp_port(udp));
	scope_address_set(&to, "127.0.0.1", (uint16_t)port);
	if (port >= 0 && may_fail(scope_udp_send(udp, "x", 1, &to)) == 0)
		may_fail(scope_udp_recv(udp, &byte, 1, &n, NULL));
	scope_udp_close(udp);
	return 0;
}

static int waits_for_input(void *arg)
{
	unsigned events = 0;

	if (may_fail(scope_fd_poll_until(*(int *)arg, SCOPE_FD_READ, SCOPE_NEVER, &events)) == 0 &&
	    (events & SCOPE_FD_ERROR))
		may_fail(-EIO);
	return 0;
}

/* Nobody writes to the other side. */
static void selects(int fd)
{
	struct scope_case c = {.kind = SCOPE_CASE_FD, .fd = fd, .events = SCOPE_FD_READ};
	int rc = scope_select_until(&c, 1, 0, scope_now() + SCOPE_MS);

	if (rc != -ETIMEDOUT)
		may_fail(rc < 0 ? rc : c.result < 0 ? c.result : -EIO);
}

/* One of two that wait for the same is told first. */
static int waits_at_both_sides(void *arg)
{
	char junk[4096] = {0};
	unsigned events;
	struct scope s;
	int pair[2], rc;

	(void)arg;
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
	while (write(pair[0], junk, sizeof junk) > 0)
		;
	scope_open(&s);
	may_refuse(scope_spawn_with(&s, waits_for_input, &pair[0], &at_once));
	rc = scope_fd_wait_until(pair[0], SCOPE_FD_WRITE, scope_now() + SCOPE_MS);
	if (rc != -ETIMEDOUT)
		may_fail(rc < 0 ? rc : -EIO); /* there is no room */
	while (read(pair[1], junk, sizeof junk) > 0)
		;
	selects(pair[1]);
	may_fail(scope_fd_poll_until(pair[0], SCOPE_FD_WRITE, SCOPE_NEVER, &events));
	may_fail(scope_fd_poll_until(pair[0], SCOPE_FD_WRITE, 0, &events));
	CHECK(write(pair[1], "x", 1) == 1);
	may_refuse(scope_close(&s));
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static int networks(void *arg)
{
	struct scope_listener *l;
	struct scope s;

	does_nothing(arg);
	if (may_fail(scope_tcp_listen("127.0.0.1", 0, NULL, &l)) == 0) {
		may_fail(scope_within(SCOPE_SEC, accepts_itself, l));
		scope_open(&s);
		may_refuse(scope_spawn_with(&s, serves, l, &at_once));
		may_fail(scope_within(SCOPE_SEC, is_a_client, l));
		scope_shutdown(&s, SCOPE_SEC);
		may_fail(scope_close(&s));
		scope_listener_close(l);
	}
	may_fail(scope_within(SCOPE_SEC, sends_to_itself, NULL));
	may_fail(scope_within(SCOPE_SEC, waits_at_both_sides, NULL));
	return 0;
}

static int has_processes(void *arg)
{
	const char *const argv[] = {"echo", "x", NULL};
	struct scope_conn *out;
	struct scope_process_options options = {.streams = {{.kind = SCOPE_STREAM_NULL},
							    {SCOPE_STREAM_PIPE, 0, &out},
							    {SCOPE_STREAM_FD, 2, NULL}},
						.directory = "/"};
	struct scope_process p;
	struct scope s;
	int status;
	char byte;
	size_t n;

	does_nothing(arg);
	scope_open(&s);
	if (may_fail(scope_process_spawn(&s, argv, &options, &p)) == 0) {
		may_fail(scope_conn_read(out, &byte, 1, &n));
		scope_conn_close(out);
		CHECK(scope_process_wait(&p, &status) == 0);
	}
	may_fail(scope_close(&s));
	return 0;
}

/* Leaves nothing behind, whatever was refused. */
static int has_files(void *arg)
{
	char place[TEMPORARY_SIZE], name[sizeof place + 8], other[sizeof name],
		made[sizeof name];
	char byte;
	struct scope_watch_event event;
	struct scope_file_stat about;
	struct scope_watch *w;
	struct scope_file *f;
	struct scope_dir *dir;
	int watched, renamed;
	size_t n;

	does_nothing(arg);
	temporary(place, "fault");
	CHECK(mkdtemp(place) != NULL);
	snprintf(name, sizeof name, "%s/name", place);
	snprintf(other, sizeof other, "%s/other", place);
	snprintf(made, sizeof made, "%s/made", place);
	if (may_fail(scope_file_open(name, O_RDWR | O_CREAT, 0600, &f)) == 0) {
		may_fail(scope_file_write(f, "x", 1, NULL));
		may_fail(scope_file_sync(f));
		may_fail(scope_file_read_at(f, &byte, 1, 0, &n));
		scope_file_close(f);
	}
	if (may_fail(scope_file_open(place, O_RDONLY, 0, &f)) == 0) {
		int rc = scope_file_read(f, &byte, 1, &n);

		if (rc != -EISDIR)
			may_fail(rc);
		scope_file_close(f);
	}
	watched = may_fail(scope_watch_open(place, &w)) == 0;
	renamed = may_fail(scope_file_rename(name, other)) == 0;
	if (watched && renamed)
		may_fail(scope_watch_next(w, &event));
	if (watched)
		scope_watch_close(w);
	may_fail(scope_file_stat(place, &about));
	may_fail(scope_file_link_stat(place, &about));
	if (may_fail(scope_dir_read(place, &dir)) == 0)
		scope_dir_free(dir);
	if (may_fail(scope_dir_make(made, 0700)) == 0)
		may_fail(scope_file_remove(made));
	may_fail(scope_file_remove(other));
	unlink(name);
	unlink(other);
	rmdir(made);
	CHECK(rmdir(place) == 0);
	return 0;
}

static int has_a_terminal(void *arg)
{
	struct winsize size = {.ws_col = 80, .ws_row = 25};
	unsigned columns, rows;
	struct scope_terminal *t;
	int screen, fd;

	does_nothing(arg);
	CHECK(openpty(&screen, &fd, NULL, NULL, &size) == 0);
	if (may_fail(scope_terminal_open(fd, &t)) == 0) {
		may_fail(scope_terminal_mode(t, SCOPE_TERMINAL_KEYS));
		may_fail(scope_terminal_size(t, &columns, &rows));
		may_fail(scope_terminal_write(t, "x", 1, NULL));
		scope_terminal_close(t);
	}
	close(screen);
	close(fd);
	return 0;
}

const struct fault_program fault_programs[] = {
	{.name = "nothing", .main = does_nothing},
	{.name = "defaults", .main = does_nothing, .by_default = 1},
	{.name = "parks", .main = parks},
	{.name = "parks_in_real_time", .main = parks, .by_default = 1},
	{.name = "steals", .main = steals},
	{.name = "deadlines", .main = has_deadlines},
	{.name = "cancels", .main = cancels},
	{.name = "loops", .main = loops},
	{.name = "errors", .main = has_errors, .result = -EDOM},
	{.name = "many_errors", .main = has_many_errors, .result = -EDOM},
	{.name = "spawns", .main = spawns},
	{.name = "divides", .main = divides},
	{.name = "full_deque", .main = fills_deque, .small_deques = 1},
	{.name = "leaks", .main = leaks, .result = -EPROTO},
	{.name = "offloads", .main = offloads},
	{.name = "ends", .main = ends},
	{.name = "streams", .main = opens_a_stream},
	{.name = "objects", .main = has_objects},
	{.name = "called", .main = is_called},
	{.name = "supervises", .main = supervises},
	{.name = "channels", .main = has_channels},
	{.name = "networks", .main = networks},
	{.name = "processes", .main = has_processes},
	{.name = "files", .main = has_files},
	{.name = "terminals", .main = has_a_terminal},
};
const unsigned fault_program_count = sizeof fault_programs / sizeof *fault_programs;
