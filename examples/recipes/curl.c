/* examples/recipes/curl.c: libcurl: a transfer that parks its task, and one task for each.
 *
 * Arguments: URL...   prints what is there
 * libcurl tells which descriptors it waits for, and how long.  A set of descriptors (epoll) is a
 * descriptor itself: that is what the task waits for.
 */
#include "recipe.h"
#include <curl/curl.h>
#include <scope_net.h>
#include <sys/epoll.h>
#include <unistd.h>

static int watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
	struct epoll_event event = {.data.fd = fd};
	int set = *(int *)arg;

	(void)easy, (void)unused;
	event.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL);
	return what == CURL_POLL_REMOVE ? 0 : epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
}

static int wait_so_long(CURLM *multi, long ms, void *deadline_ns)
{
	(void)multi;
	*(int64_t *)deadline_ns = ms < 0 ? SCOPE_NEVER : scope_now() + ms * SCOPE_MS;
	return 0;
}

/* curl_easy_perform that parks.  Its result, or -ECANCELED: it was broken off. */
static int perform(CURL *easy)
{
	CURLM *multi = curl_multi_init();
	struct epoll_event event;
	int set = epoll_create1(EPOLL_CLOEXEC), left = 1, rc = -ETIMEDOUT;
	int64_t deadline_ns = SCOPE_NEVER;

	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, &set);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, wait_so_long);
	curl_multi_setopt(multi, CURLMOPT_TIMERDATA, &deadline_ns);
	curl_multi_add_handle(multi, easy);
	while (left > 0 && (rc == 0 || rc == -ETIMEDOUT)) {
		event.data.fd = CURL_SOCKET_TIMEOUT;
		if (rc == -ETIMEDOUT)
			deadline_ns = SCOPE_NEVER; /* it counts once: libcurl may have no other */
		if (rc == -ETIMEDOUT || epoll_wait(set, &event, 1, 0) == 1)
			curl_multi_socket_action(multi, event.data.fd, 0, &left);
		if (left > 0)
			rc = scope_fd_wait_until(set, SCOPE_FD_READ, deadline_ns);
	}
	rc = left ? rc : (int)curl_multi_info_read(multi, &left)->data.result;
	curl_multi_remove_handle(multi, easy);
	curl_multi_cleanup(multi);
	close(set);
	return rc;
}

static int fetch(void *url)
{
	CURL *easy = curl_easy_init();
	int rc;

	curl_easy_setopt(easy, CURLOPT_URL, url);
	rc = perform(easy);
	curl_easy_cleanup(easy);
	return rc;
}

int recipe(void *urls)
{
	struct scope s;

	curl_global_init(CURL_GLOBAL_DEFAULT);
	scope_open(&s);
	for (char **url = urls; *url; url++)
		scope_spawn(&s, fetch, *url);
	return scope_close(&s);
}
