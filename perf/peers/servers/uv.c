/* perf/peers/servers/uv.c: plain libuv, callbacks on one loop: echo and HTTP servers, a million
 * timers. */
#include "bench.h"
#include "net.h"
#include <uv.h>

struct conn {
	uv_tcp_t tcp;
	size_t have;
	char buf[2048];
};

static uv_tcp_t listener;
static int http;

static void on_close(uv_handle_t *h)
{
	free(h->data);
}

static void on_written(uv_write_t *w, int status)
{
	(void)status;
	free(w);
}

static void on_alloc(uv_handle_t *h, size_t want, uv_buf_t *b)
{
	struct conn *c = h->data;
	(void)want;
	*b = uv_buf_init(c->buf + c->have, (unsigned)(sizeof c->buf - c->have));
}

static void reply(struct conn *c, const char *p, size_t n)
{
	uv_buf_t b = uv_buf_init((char *)p, (unsigned)n);
	int done = uv_try_write((uv_stream_t *)&c->tcp, &b, 1);
	if (done == (int)n)
		return;
	size_t sent = done > 0 ? (size_t)done : 0, left = n - sent;
	uv_write_t *w = malloc(sizeof *w + left);
	memcpy(w + 1, p + sent, left);
	b = uv_buf_init((char *)(w + 1), (unsigned)left);
	uv_write(w, (uv_stream_t *)&c->tcp, &b, 1, on_written);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct conn *c = s->data;
	if (n < 0) {
		uv_close((uv_handle_t *)s, on_close);
	} else if (!http) {
		reply(c, b->base, (size_t)n);
	} else {
		c->have += (size_t)n;
		if (http_complete(c->buf, c->have)) {
			c->have = 0;
			reply(c, HTTP_REPLY, HTTP_REPLY_LEN);
		}
	}
}

static void on_conn(uv_stream_t *l, int status)
{
	struct conn *c = malloc(sizeof *c);
	(void)status;
	c->have = 0;
	uv_tcp_init(l->loop, &c->tcp);
	c->tcp.data = c;
	if (uv_accept(l, (uv_stream_t *)&c->tcp)) {
		uv_close((uv_handle_t *)&c->tcp, on_close);
		return;
	}
	uv_tcp_nodelay(&c->tcp, 1);
	uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

static void on_timer(uv_timer_t *t)
{
	uv_close((uv_handle_t *)t, NULL);
}

static void timers(long n)
{
	uint64_t seed = 42;
	uv_loop_t *loop = uv_default_loop();
	double rss = bench_rss();
	int64_t t = bench_now(), c = bench_cpu();
	uv_timer_t *v = malloc((size_t)n * sizeof *v);
	for (long i = 0; i < n; i++) {
		uv_timer_init(loop, &v[i]);
		uv_timer_start(&v[i], on_timer, bench_rand(&seed) % 1000, 0);
	}
	double peak = bench_rss();
	uv_run(loop, UV_RUN_DEFAULT);
	bench_out("timers_wall_s", (double)(bench_now() - t) / 1e9);
	bench_out("timers_cpu_s", (double)(bench_cpu() - c) / 1e9);
	bench_out("timers_mib", (peak - rss) / 1048576);
	free(v);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int workers = argc > 2 ? atoi(argv[2]) : 1;
	long n = argc > 3 ? atol(argv[3]) : 0;
	if (!strcmp(what, "timers")) {
		timers(n ? n : 1000000);
		return 0;
	}
	http = !strcmp(what, "http");
	if (!http && strcmp(what, "echo")) {
		fprintf(stderr, "usage: %s timers|echo|http [WORKERS] [COUNT or PORT]\n", argv[0]);
		return 2;
	}
	for (int k = 1; k < workers; k++)
		if (!fork())
			break;
	uv_tcp_init(uv_default_loop(), &listener);
	uv_tcp_open(&listener, net_listen((int)n));
	uv_listen((uv_stream_t *)&listener, 4096, on_conn);
	return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
