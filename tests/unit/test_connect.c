/* tests/unit/test_connect.c: scope_tcp_connect tries the addresses of a name as RFC 8305 says (N5).
 *
 * The look-up and the sockets are the test's, the clock is the virtual one: each address answers
 * in its own way and at its own time.
 */
#define _GNU_SOURCE
#include "api/task_check.h"

#include "os/os.h"
#include <fcntl.h>
#include <netdb.h>
#include <scope_net.h>
#include <scope_observe.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

TestSuite(connect, .timeout = 60);

enum { MOST = 4 };
static const int64_t stagger = 250 * SCOPE_MS;

/* How an address answers. */
enum answer { ACCEPTS, REFUSES, IS_SILENT };

static struct {
	unsigned count;
	unsigned v6; /* so many of the first are of IPv6 */
	enum answer answer[MOST];
	int64_t tried_at[MOST]; /* 0: never */
	int fd[MOST], other[MOST];
} net;

/* ---- the look-up: in the place of libuv's own, with its pool --------------------------------- */

struct look_up {
	struct addrinfo found[MOST];
	struct sc_address address[MOST];
	uv_work_t work;
	uv_getaddrinfo_t *req;
	uv_getaddrinfo_cb cb;
};

/* Those of stuck.example: they take until a byte comes. */
static struct {
	int go[2];
	atomic_int begun, freed;
} stuck;

static void takes_its_time(uv_work_t *work)
{
	char byte;

	if (!work->data)
		return;
	atomic_fetch_add(&stuck.begun, 1);
	CHECK_EQ(read(stuck.go[0], &byte, 1), 1);
}

static void is_found(uv_work_t *work, int status)
{
	struct look_up *look_up = (struct look_up *)((char *)work - offsetof(struct look_up, work));
	unsigned i;

	CHECK_EQ(status, 0);
	for (i = 0; i < net.count; i++) {
		char digits[16];

		snprintf(digits, sizeof digits, i < net.v6 ? "fd00::1%u" : "10.0.0.%u", i);
		CHECK_EQ(sc_os_address_parse(digits, 80, &look_up->address[i]), 0);
		look_up->found[i] = (struct addrinfo){
			.ai_addr = (struct sockaddr *)look_up->address[i].bytes,
			.ai_addrlen = look_up->address[i].size,
			.ai_next = i + 1 < net.count ? &look_up->found[i + 1] : NULL};
	}
	look_up->req->retcode = 0;
	look_up->req->addrinfo = look_up->found;
	look_up->cb(look_up->req, 0, look_up->found);
}

int uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *req, uv_getaddrinfo_cb cb, const char *node,
		   const char *service, const struct addrinfo *hints)
{
	struct look_up *look_up = calloc(1, sizeof *look_up);
	bool is_stuck = strcmp(node, "stuck.example") == 0;

	CHECK(is_stuck || strcmp(node, "many.example") == 0);
	CHECK_EQ(strcmp(service, "80"), 0);
	CHECK_EQ(hints->ai_socktype, SOCK_STREAM);
	look_up->req = req;
	look_up->cb = cb;
	look_up->work.data = is_stuck ? look_up : NULL;
	return uv_queue_work(loop, &look_up->work, takes_its_time, is_found);
}

/* What was found stands first in its look-up. */
void uv_freeaddrinfo(struct addrinfo *list)
{
	free(list);
	atomic_fetch_add(&stuck.freed, 1);
}

static int looks_up(void *arg)
{
	struct scope_address *address = arg;

	CHECK_EQ(scope_resolve("stuck.example", 80, address, MOST), -ECANCELED);
	return 0;
}

/* The task goes on at once; nothing is written where it wanted the addresses. */
static int leaves_a_look_up(void *arg)
{
	struct scope_address address[MOST], before[MOST];
	struct scope s;

	(void)arg;
	memset(before, 0xa5, sizeof before);
	memcpy(address, before, sizeof before);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, looks_up, address, &concurrent), 0);
	while (!atomic_load(&stuck.begun))
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(atomic_load(&stuck.freed), 0);
	CHECK_EQ(write(stuck.go[1], "x", 1), 1);
	while (!atomic_load(&stuck.freed))
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(memcmp(address, before, sizeof before), 0);
	/* The next one is answered. */
	CHECK_EQ(scope_resolve("many.example", 80, address, MOST), 2);
	return 0;
}

Test(connect, N2_C6_a_cancelled_look_up_is_left_to_itself)
{
	cr_assert_eq(pipe(stuck.go), 0);
	net.count = 2;
	cr_assert_eq(run_flags(leaves_a_look_up, NULL, 0, 0), 0);
	cr_assert_eq(stuck.freed, 2);
}

/* ---- the sockets --------------------------------------------------------------------------- */

static int connect_to(const struct sc_address *address, int *out_fd)
{
	char digits[48], full[4096] = {0};
	int ends[2], i;

	CHECK_EQ(sc_os_address_print(address, digits, sizeof digits), 80);
	i = digits[strlen(digits) - 1] - '0';
	net.tried_at[i] = scope_now();
	if (net.answer[i] == REFUSES)
		return -ECONNREFUSED;
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	net.fd[i] = *out_fd = ends[0];
	net.other[i] = ends[1];
	if (net.answer[i] == ACCEPTS)
		return 0;
	/* One that can't be written to looks like one that is on its way. */
	while (write(ends[0], full, sizeof full) > 0)
		;
	return -EINPROGRESS;
}

static void answers(unsigned count, enum answer a, enum answer b, enum answer c)
{
	unsigned i;

	memset(&net, 0, sizeof net);
	net.count = count;
	net.answer[0] = a;
	net.answer[1] = b;
	net.answer[2] = c;
	for (i = 0; i < MOST; i++)
		net.fd[i] = net.other[i] = -1;
}

static int is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void close_others(void)
{
	unsigned i;

	for (i = 0; i < MOST; i++)
		if (net.other[i] >= 0)
			close(net.other[i]);
}

static void run_connect(scope_task_fn *fn)
{
	int rc;

	sc_os.connect = connect_to;
	rc = run_flags(fn, NULL, 0, SCOPE_VIRTUAL_CLOCK);
	sc_os = sc_os_system;
	close_others();
	cr_assert_eq(rc, 0);
}

/* ---- tests --------------------------------------------------------------------------------- */

static int connects(void *arg)
{
	struct scope_conn *c;

	(void)arg;
	return scope_tcp_connect("many.example", 80, &c);
}

static int is_dumped(void *arg)
{
	static char text[4096];
	char want[64];
	FILE *file = tmpfile();
	struct scope s;

	(void)arg;
	answers(1, IS_SILENT, IS_SILENT, IS_SILENT);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, connects, NULL, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_dump(fileno(file), SCOPE_DUMP_TEXT), 0);
	rewind(file);
	CHECK(fread(text, 1, sizeof text - 1, file) > 0);
	fclose(file);
	snprintf(want, sizeof want, "connects: connecting fd %d, ", net.fd[0]);
	CHECK(strstr(text, want) != NULL);
	scope_cancel(&s);
	return scope_close(&s);
}

Test(connect, O1_a_dump_tells_who_connects)
{
	run_connect(is_dumped);
}

static int staggers(void *arg)
{
	int64_t start = scope_now();
	struct scope_conn *c;

	(void)arg;
	answers(3, IS_SILENT, IS_SILENT, ACCEPTS);
	CHECK_EQ(scope_tcp_connect("many.example", 80, &c), 0);
	CHECK_EQ(net.tried_at[0], start);
	CHECK_EQ(net.tried_at[1], start + stagger);
	CHECK_EQ(net.tried_at[2], start + 2 * stagger);
	CHECK_EQ(scope_now(), start + 2 * stagger);
	CHECK_EQ(scope_conn_fd(c), net.fd[2]);
	CHECK(!is_open(net.fd[0]) && !is_open(net.fd[1]) && is_open(net.fd[2]));
	scope_conn_close(c);
	return 0;
}

Test(connect, N5_the_next_address_is_tried_after_250_ms_and_losers_are_closed)
{
	run_connect(staggers);
}

static int goes_on_at_once(void *arg)
{
	int64_t start = scope_now();
	struct scope_conn *c;

	(void)arg;
	answers(3, REFUSES, REFUSES, ACCEPTS);
	CHECK_EQ(scope_tcp_connect("many.example", 80, &c), 0);
	CHECK_EQ(scope_now(), start);
	CHECK_EQ(scope_conn_fd(c), net.fd[2]);
	scope_conn_close(c);
	return 0;
}

Test(connect, N5_a_failure_starts_the_next_at_once)
{
	run_connect(goes_on_at_once);
}

static int first_is_enough(void *arg)
{
	struct scope_conn *c;

	(void)arg;
	answers(3, ACCEPTS, ACCEPTS, ACCEPTS);
	CHECK_EQ(scope_tcp_connect("many.example", 80, &c), 0);
	CHECK_EQ(scope_conn_fd(c), net.fd[0]);
	CHECK_EQ(net.tried_at[1], 0);
	scope_conn_close(c);
	return 0;
}

Test(connect, N5_no_other_is_tried_if_the_first_answers)
{
	run_connect(first_is_enough);
}

static int takes_turns(void *arg)
{
	int64_t start = scope_now();
	struct scope_conn *c;

	(void)arg;
	answers(3, IS_SILENT, IS_SILENT, ACCEPTS);
	net.v6 = 2;
	CHECK_EQ(scope_tcp_connect("many.example", 80, &c), 0);
	CHECK_EQ(net.tried_at[0], start);
	CHECK_EQ(net.tried_at[2], start + stagger);
	CHECK_EQ(net.tried_at[1], 0);
	CHECK_EQ(scope_conn_fd(c), net.fd[2]);
	scope_conn_close(c);
	return 0;
}

Test(connect, N5_the_families_of_addresses_take_turns)
{
	run_connect(takes_turns);
}

static int all_fail(void *arg)
{
	const struct scope_error *error;
	struct scope_conn *none = NULL;
	char text[4096] = "";
	FILE *to = fmemopen(text, sizeof text, "w");
	unsigned i;

	(void)arg;
	answers(3, REFUSES, REFUSES, REFUSES);
	CHECK_EQ(scope_tcp_connect("many.example", 80, &none), -ECONNREFUSED);
	CHECK(none == NULL);
	error = scope_last_error();
	CHECK(error != NULL);
	CHECK_EQ(scope_error_print(error, to), 0);
	fclose(to);
	for (i = 0; i < 3; i++) {
		char want[] = "connect to 10.0.0.0 port 80";

		want[18] = (char)('0' + i);
		CHECK(strstr(text, want) != NULL);
	}
	return 0;
}

Test(connect, N5_if_all_fail_each_attempt_is_listed_econnrefused)
{
	run_connect(all_fail);
}

static int gives_up(void *arg)
{
	struct scope_options options = {.deadline_ns = scope_now() + stagger + SCOPE_MS};
	struct scope_conn *none = NULL;
	struct scope s;

	(void)arg;
	answers(3, IS_SILENT, IS_SILENT, IS_SILENT);
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_tcp_connect("many.example", 80, &none), -ECANCELED);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	CHECK(none == NULL);
	CHECK(net.fd[1] >= 0 && net.fd[2] < 0);
	CHECK(!is_open(net.fd[0]) && !is_open(net.fd[1]));
	return 0;
}

Test(connect, C6_a_cancelled_race_leaves_nothing_open_ecanceled)
{
	run_connect(gives_up);
}

static int stops(void *arg)
{
	struct scope_conn *none = NULL;

	CHECK_EQ(scope_soft_begin(), 0);
	CHECK_EQ(scope_tcp_connect("many.example", 80, &none), -ESHUTDOWN);
	CHECK(!is_open(net.fd[0]));
	return count(arg);
}

static int stopped(void *arg)
{
	struct scope s;

	(void)arg;
	ran = 0;
	answers(2, IS_SILENT, IS_SILENT, IS_SILENT);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, stops, NULL, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 1);
	return 0;
}

Test(connect, G2_a_race_that_is_stopped_softly_eshutdown)
{
	run_connect(stopped);
}
