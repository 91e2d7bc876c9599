/* tests/examples/crawl.c: a program that fails; README.md shows what it says. */
#include <scope.h>

static int fetch(void *arg)
{
	const char *page = *(const char **)arg;
	struct scope s;

	scope_open(&s);
	if (page[0] == '!') {
		scope_sleep_for(SCOPE_MS);
		scope_fail(&s, -ECONNRESET, "%s after 1460 bytes", page + 1);
	} else if (scope_sleep_for(60 * SCOPE_SEC) == -ECANCELED) {
		scope_fail(&s, -EIO, "%s is left half written", page);
	}
	return scope_close(&s);
}

static int site(void *arg)
{
	struct scope s;

	scope_open(&s);
	scope_spawn_n(&s, fetch, arg, sizeof(const char *), 2);
	return scope_close(&s);
}

static int crawl(void *arg)
{
	static const char *a[] = {"a.org/index", "!a.org/news"};
	static const char *b[] = {"b.org/index", "b.org/news"};
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_spawn(&s, site, b);
	scope_spawn(&s, site, a);
	return scope_close(&s);
}

int main(void)
{
	struct scope_config config = {.workers = 1};

	return scope_run(crawl, NULL, &config) == -ECONNRESET ? 0 : 1;
}
