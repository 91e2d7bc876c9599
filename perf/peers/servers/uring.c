/* perf/peers/servers/uring.c: one loop of io_uring: multishot accept and receive with provided
 * buffers, sends batched into one submission. */
#define _GNU_SOURCE
#include "net.h"
#include <liburing.h>

enum { ENTRIES = 4096, BUFS = 4096, BUF = 1024, GROUP = 1 };
enum { ACCEPT, RECV, SEND };
static struct io_uring ring;
static struct io_uring_buf_ring *br;
static char *bufs;

static struct io_uring_sqe *sqe(void)
{
	struct io_uring_sqe *s;
	while (!(s = io_uring_get_sqe(&ring)))
		io_uring_submit(&ring);
	return s;
}

static void mark(struct io_uring_sqe *s, int op, int fd, int buf)
{
	io_uring_sqe_set_data64(s, (uint64_t)op | (uint64_t)fd << 8 | (uint64_t)buf << 40);
}

static void arm_recv(int fd)
{
	struct io_uring_sqe *s = sqe();
	io_uring_prep_recv_multishot(s, fd, NULL, 0, 0);
	s->flags |= IOSQE_BUFFER_SELECT;
	s->buf_group = GROUP;
	mark(s, RECV, fd, 0);
}

static void give_back(int b)
{
	io_uring_buf_ring_add(br, bufs + (size_t)b * BUF, BUF, (unsigned short)b,
			      io_uring_buf_ring_mask(BUFS), 0);
	io_uring_buf_ring_advance(br, 1);
}

int main(int argc, char **argv)
{
	int http = net_fork(argc, argv);
	int lfd = net_listen(atoi(argv[3]));
	struct io_uring_params p;
	memset(&p, 0, sizeof p);
	p.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
	p.cq_entries = 16384;
	int rc = io_uring_queue_init_params(ENTRIES, &ring, &p);
	if (rc) {
		fprintf(stderr, "io_uring: %s\n", strerror(-rc));
		return 1;
	}
	bufs = malloc((size_t)BUFS * BUF);
	br = aligned_alloc(4096, BUFS * sizeof(struct io_uring_buf));
	memset(br, 0, BUFS * sizeof(struct io_uring_buf));
	struct io_uring_buf_reg reg;
	memset(&reg, 0, sizeof reg);
	reg.ring_addr = (uintptr_t)br;
	reg.ring_entries = BUFS;
	reg.bgid = GROUP;
	if (io_uring_register_buf_ring(&ring, &reg, 0)) {
		fprintf(stderr, "io_uring: no buffer rings\n");
		return 1;
	}
	for (int i = 0; i < BUFS; i++)
		give_back(i);
	struct io_uring_sqe *s = sqe();
	io_uring_prep_multishot_accept(s, lfd, NULL, NULL, 0);
	mark(s, ACCEPT, lfd, 0);
	for (;;) {
		struct io_uring_cqe *c;
		unsigned head, n = 0;
		io_uring_submit_and_wait(&ring, 1);
		io_uring_for_each_cqe(&ring, head, c)
		{
			uint64_t d = c->user_data;
			int op = (int)(d & 255), fd = (int)(d >> 8), b = (int)(d >> 40);
			n++;
			if (op == ACCEPT) {
				if (c->res < 0)
					continue;
				net_nodelay(c->res);
				arm_recv(c->res);
			} else if (op == SEND) {
				if (!http)
					give_back(b);
			} else {
				int more = c->flags & IORING_CQE_F_MORE;
				if (c->res <= 0) {
					if (c->res == -ENOBUFS)
						arm_recv(fd);
					else
						close(fd);
					continue;
				}
				b = (int)(c->flags >> IORING_CQE_BUFFER_SHIFT);
				s = sqe();
				if (http) {
					io_uring_prep_send(s, fd, HTTP_REPLY, HTTP_REPLY_LEN, 0);
					give_back(b);
				} else {
					io_uring_prep_send(s, fd, bufs + (size_t)b * BUF,
							   (size_t)c->res, 0);
				}
				mark(s, SEND, fd, b);
				if (!more)
					arm_recv(fd);
			}
		}
		io_uring_cq_advance(&ring, n);
	}
}
