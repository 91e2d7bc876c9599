/* runtime/io/process.c: processes as members of a scope: rule N6.
 *
 * A process is minded by a task that scope_start begins: it starts the program, tells so, waits at
 * the process's own descriptor (pidfd), and reaps.  There is no handler of SIGCHLD and nothing else
 * that all processes share.  If the task is cancelled it ends the process, shielded, before it
 * goes; so the scope's close, which waits for the task, leaves no process behind.
 */
#include "io/net.h"
#include "os/process.h"
#include "sync/event.h"

#include <errno.h>
#include <scope_process.h>
#include <scope_sync.h>
#include <signal.h>

#define GRACE_NS (5 * SCOPE_SEC)
/* So often it is asked whether of a group that has lost its leader anyone is left. */
#define LOOK_NS  (10 * SCOPE_MS)

/* The inside of struct scope_process. */
struct process {
	struct scope_event ended;  /* set when the next two are there */
	int result;                /* the minder, before it sets that: 0, -ECHILD */
	int status;                /* likewise */
	struct sc_lock lock;       /* held to send signals and to reap */
	int alive;                 /* lock: it was not reaped, so its number is its own */
	int pid;                   /* const once started */
	struct sc_fd *watch;       /* the minder: its pidfd, NULL: others saw its end before */
	int signal;                /* const, as the next two: what a cancel sends first */
	int group;                 /* it leads one, which gets all signals */
	int64_t grace_ns;
	struct scope_conn *conns[SC_STREAMS]; /* the minder until started, then who spawned */
	const char *const *argv;   /* valid until started */
	const struct scope_process_options *options; /* likewise */
} __attribute__((may_alias));

_Static_assert(sizeof(struct process) <= sizeof(struct scope_process), "a process fits");

static struct process *inside(const struct scope_process *p)
{
	return (struct process *)(uintptr_t)p;
}

/* ---- starting ------------------------------------------------------------------------------ */

/* `ours` is the end of a pipe that stays here, or -1. */
static int open_stream(const struct scope_stream *stream, int index, int *out_theirs, int *ours)
{
	const int keep = index == 0; /* of the standard input the end to write to */
	int ends[2], rc;

	*ours = -1;
	if (stream->kind == SCOPE_STREAM_FD) {
		rc = sc_os_copy(stream->fd);
		*out_theirs = rc;
		return rc < 0 ? rc : 0;
	}
	if (stream->kind != SCOPE_STREAM_PIPE) {
		*out_theirs = stream->kind == SCOPE_STREAM_NULL    ? SC_STREAM_NULL
			      : stream->kind == SCOPE_STREAM_MERGE ? SC_STREAM_MERGE
								   : SC_STREAM_INHERIT;
		return 0;
	}
	rc = sc_os_pipe(ends, keep);
	if (rc == 0) {
		*ours = ends[keep];
		*out_theirs = ends[!keep];
	}
	return rc;
}

/* What the process gets is closed here in any case, when it has it. */
static void close_theirs(const int *theirs)
{
	int i;

	for (i = 0; i < SC_STREAMS; i++)
		if (theirs[i] >= 0)
			sc_os.close(theirs[i]);
}

static void close_pipes(struct process *p)
{
	int i;

	for (i = 0; i < SC_STREAMS; i++)
		scope_conn_close(p->conns[i]);
}

static int open_streams(struct process *p, int *theirs)
{
	int rc = 0, ours, i;

	for (i = 0; i < SC_STREAMS && rc == 0; i++) {
		rc = open_stream(&p->options->streams[i], i, &theirs[i], &ours);
		if (rc == 0 && ours >= 0)
			rc = sc_conn_new(ours, 0, &p->conns[i]);
	}
	return rc;
}

/* From its pidfd on the process can be minded.  Where somebody else has taken its status already,
 * its number is nobody's, or another's. */
static int watch(struct process *p)
{
	int rc = sc_os_pidfd(p->pid);

	if (rc == -ESRCH) {
		p->result = -ECHILD;
		return 0;
	}
	if (rc >= 0)
		rc = sc_io_own(rc, 0, &p->watch);
	if (rc < 0)
		sc_os_destroy(p->pid);
	return rc;
}

static int start(struct process *p)
{
	const struct scope_process_options *options = p->options;
	struct sc_spawn spawn = {.argv = p->argv,
				 .environment = options->environment,
				 .directory = options->directory,
				 .streams = {SC_STREAM_INHERIT, SC_STREAM_INHERIT,
					     SC_STREAM_INHERIT},
				 .group = p->group};
	int rc = open_streams(p, spawn.streams);

	if (rc == 0)
		rc = p->pid = sc_os_spawn(&spawn);
	close_theirs(spawn.streams);
	if (rc >= 0)
		rc = watch(p);
	if (rc < 0)
		close_pipes(p);
	p->alive = rc >= 0 && p->watch;
	return rc;
}

/* ---- minding ------------------------------------------------------------------------------- */

/* Whether it has ended. */
static int reap(struct process *p)
{
	int rc;

	sc_lock_take(&p->lock);
	rc = sc_os_reap(p->watch->fd, &p->status);
	p->alive = rc == 0;
	sc_lock_drop(&p->lock);
	p->result = rc < 0 ? rc : 0;
	return rc != 0;
}

static int send_signal(struct process *p, int signal)
{
	int rc = -ESRCH;

	sc_lock_take(&p->lock);
	if (p->alive)
		rc = sc_os_process_signal(p->pid, p->watch->fd, signal,
					  p->group);
	sc_lock_drop(&p->lock);
	return rc;
}

/* 0 when it has ended. */
static int wait_for_end(struct process *p)
{
	struct sc_use use;
	int rc;

	if (!p->watch)
		return 0;
	rc = sc_io_begin(p->watch, SC_IN, &use);
	if (rc < 0)
		return rc;
	while (!reap(p)) {
		rc = sc_io_wait(&use, SC_IN_READ);
		if (rc < 0)
			return rc;
	}
	sc_fd_leave(&use, 0);
	return 0;
}

/* No cancel from above ends this wait.  Whether the process has ended. */
static int wait_shielded(struct process *p, int64_t deadline_ns)
{
	const struct scope_options options = {.deadline_ns = deadline_ns, .shield = true};
	struct scope s;
	int rc;

	scope_open_with(&s, &options);
	rc = wait_for_end(p);
	scope_close(&s);
	return rc == 0;
}

static int signal_group(struct process *p, int signal)
{
	return sc_os_process_signal(p->pid, -1, signal, 1);
}

/* The rest of the group has what is left of the grace; not for ever, for it can't be told from
 * ended processes that nobody reaps, as in a container without an init.  Its number is that of the
 * leader, which was reaped; while members are left the system gives it to nobody, and once the last
 * has gone not before all other numbers, which takes longer than a look. */
static void end_group(struct process *p, int64_t until)
{
	static const struct scope_options shield = {.shield = true};
	int64_t now = scope_now();
	struct scope s;

	if (until - now > GRACE_NS)
		until = now + GRACE_NS;
	scope_open_with(&s, &shield);
	while (signal_group(p, 0) == 0 && (now = scope_now()) < until)
		scope_sleep_until(until - now < LOOK_NS ? until : now + LOOK_NS);
	scope_close(&s);
	if (signal_group(p, 0) == 0)
		signal_group(p, SIGKILL);
}

static void terminate(struct process *p)
{
	int64_t until = scope_now();

	if (__builtin_add_overflow(until, p->grace_ns, &until))
		until = SCOPE_NEVER;
	send_signal(p, p->signal);
	if (!wait_shielded(p, until)) {
		send_signal(p, SIGKILL);
		wait_shielded(p, SCOPE_NEVER);
	} else if (p->group) {
		end_group(p, until);
	}
}

static int process(void *arg)
{
	struct process *p = arg;
	int rc = scope_checkpoint();

	if (rc == 0)
		rc = start(p);
	if (rc < 0)
		return rc;
	rc = scope_started();
	if (rc < 0)
		close_pipes(p); /* nobody waits for them any more */
	else
		rc = wait_for_end(p);
	if (rc < 0)
		terminate(p);
	if (p->watch)
		sc_fd_close(p->watch);
	scope_event_set(&p->ended);
	return rc;
}

/* ---- public -------------------------------------------------------------------------------- */

static int stream_valid(const struct scope_stream *stream, int index)
{
	if (stream->kind == SCOPE_STREAM_PIPE)
		return stream->out_conn != NULL;
	if (stream->kind == SCOPE_STREAM_MERGE)
		return index == 2;
	return stream->kind <= SCOPE_STREAM_FD;
}

static int options_valid(const struct scope_process_options *options)
{
	int i;

	for (i = 0; i < SC_STREAMS; i++)
		if (!stream_valid(&options->streams[i], i))
			return 0;
	return SC_UNRESERVED(options) && options->flags <= SCOPE_PROCESS_GROUP &&
	       options->signal >= 0 && options->signal < SC_OS_SIGNALS && options->grace_ns >= 0;
}

static const struct scope_process_options defaults;

int scope_process_spawn(struct scope *s, const char *const *argv,
			const struct scope_process_options *options,
			struct scope_process *out_process)
{
	struct process *p = inside(out_process);
	int rc, i;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_process_spawn");
	options = options ? options : &defaults;
	if (!s || !argv || !argv[0] || !p || !options_valid(options))
		return -EINVAL;
	*p = (struct process){.argv = argv, .options = options};
	p->group = options->flags & SCOPE_PROCESS_GROUP;
	p->signal = options->signal ? options->signal : SIGTERM;
	p->grace_ns = options->grace_ns ? options->grace_ns : GRACE_NS;
	rc = scope_start(s, process, p);
	for (i = 0; i < SC_STREAMS && rc == 0; i++)
		if (p->conns[i])
			*options->streams[i].out_conn = p->conns[i];
	return rc;
}

int scope_process_wait_until(struct scope_process *public, int64_t deadline_ns, int *out_status)
{
	struct process *p = inside(public);
	int rc;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_process_wait_until");
	if (!p || !out_status)
		return -EINVAL;
	rc = scope_event_wait_until(&p->ended, deadline_ns);
	if (rc == 0)
		rc = p->result;
	if (rc == 0)
		*out_status = p->status;
	return rc;
}

int scope_process_wait(struct scope_process *p, int *out_status)
{
	return scope_process_wait_until(p, SCOPE_NEVER, out_status);
}

int scope_process_kill(struct scope_process *p, int signal)
{
	if (sc_self()->cur == 0)
		return sc_not_connected("scope_process_kill");
	if (!p || signal < 0 || signal >= SC_OS_SIGNALS)
		return -EINVAL;
	return send_signal(inside(p), signal);
}

int scope_process_pid(const struct scope_process *p)
{
	return p ? inside(p)->pid : -EINVAL;
}

int scope_process_run(const char *const *argv, const struct scope_process_options *options,
		      int *out_status)
{
	struct scope_process p;
	struct scope s;
	int rc, closed, i;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_process_run");
	if (!out_status)
		return -EINVAL;
	for (i = 0; options && i < SC_STREAMS; i++)
		if (options->streams[i].kind == SCOPE_STREAM_PIPE)
			return -EINVAL;
	scope_open(&s);
	rc = scope_process_spawn(&s, argv, options, &p);
	closed = scope_close(&s);
	if (rc == 0)
		rc = closed;
	if (rc == 0)
		rc = inside(&p)->result;
	if (rc == 0)
		*out_status = inside(&p)->status;
	return rc;
}
