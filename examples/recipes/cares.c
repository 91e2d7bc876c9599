/* examples/recipes/cares.c: names looked up by c-ares, many at once, without a thread.
 *
 * Arguments: SERVER[:PORT] NAME...   prints the first IPv4 address of each
 */
#include "recipe.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <scope_net.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <ares.h>
#include <unistd.h>

/* c-ares tells which sockets it waits for: in a set that is a descriptor itself. */
static void watch(void *set, int fd, int readable, int writable)
{
	struct epoll_event event = {.data.fd = fd};

	event.events = (readable ? EPOLLIN : 0) | (writable ? EPOLLOUT : 0);
	epoll_ctl(*(int *)set, EPOLL_CTL_DEL, fd, NULL);
	if (event.events)
		epoll_ctl(*(int *)set, EPOLL_CTL_ADD, fd, &event);
}

static void answered(void *name, int status, int timeouts, struct hostent *found)
{
	char text[INET_ADDRSTRLEN];

	(void)timeouts;
	if (status == ARES_SUCCESS)
		inet_ntop(AF_INET, found->h_addr_list[0], text, sizeof text);
	printf("%s: %s\n", (char *)name, status == ARES_SUCCESS ? text : ares_strerror(status));
}

/* Until all are answered, or a cancel comes. */
static int run_all(ares_channel channel, int set)
{
	struct timeval left;
	struct epoll_event event;
	int rc, fd;

	while (ares_timeout(channel, NULL, &left)) {
		rc = scope_fd_wait_until(set, SCOPE_FD_READ, scope_now() + left.tv_sec * SCOPE_SEC +
					 left.tv_usec * SCOPE_US);
		if (rc < 0 && rc != -ETIMEDOUT)
			return rc;
		fd = epoll_wait(set, &event, 1, 0) == 1 ? event.data.fd : ARES_SOCKET_BAD;
		ares_process_fd(channel, fd, fd); /* and those that waited long enough */
	}
	return 0;
}

int recipe(void *args)
{
	int set = epoll_create1(EPOLL_CLOEXEC), rc;
	struct ares_options options = {.sock_state_cb = watch, .sock_state_cb_data = &set};
	char **name = args;
	ares_channel channel;

	ares_library_init(ARES_LIB_INIT_ALL);
	if (ares_init_options(&channel, &options, ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS)
		return -ENOMEM;
	rc = ares_set_servers_ports_csv(channel, *name) == ARES_SUCCESS ? 0 : -EINVAL;
	while (*++name)
		ares_gethostbyname(channel, *name, AF_INET, answered, *name);
	rc = rc == 0 ? run_all(channel, set) : rc;
	ares_destroy(channel); /* what is left is answered by that */
	close(set);
	return rc;
}
