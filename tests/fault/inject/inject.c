/* tests/fault/inject/inject.c: linked into a program, has the system refuse it the Nth call.
 *
 * Environment: FAULT_KIND (alloc reserve commit guard thread), FAULT_NTH (from 0), FAULT_STAY (not
 * empty: all later ones too), FAULT_MARK (a file that is made when the call comes).
 */
#include "base/atomic.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int32_t left; /* atomic: calls that still succeed */
static int stay;

static int refuse(void)
{
	int32_t had = at_sub_rlx(&left, 1);
	const char *mark = getenv("FAULT_MARK");

	if (stay ? had > 0 : had != 0)
		return 0;
	if (had == 0 && mark)
		close(open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	return 1;
}

static void *refuse_alloc(size_t size)
{
	return refuse() ? NULL : sc_os_system.alloc(size);
}

static void *refuse_reserve(size_t size)
{
	return refuse() ? NULL : sc_os_system.reserve(size);
}

static int refuse_commit(void *memory, size_t size)
{
	return refuse() ? -ENOMEM : sc_os_system.commit(memory, size);
}

static int refuse_guard(void *memory, size_t size)
{
	return refuse() ? -ENOMEM : sc_os_system.guard(memory, size);
}

static int refuse_thread(struct sc_thread *thread, void (*entry)(void *), void *arg)
{
	return refuse() ? -EAGAIN : sc_os_system.thread_start(thread, entry, arg);
}

__attribute__((constructor)) static void inject(void)
{
	const char *kind = getenv("FAULT_KIND"), *nth = getenv("FAULT_NTH");

	if (!kind || !nth)
		return;
	left = atoi(nth);
	stay = getenv("FAULT_STAY") && *getenv("FAULT_STAY");
	if (strcmp(kind, "alloc") == 0)
		sc_os.alloc = refuse_alloc;
	else if (strcmp(kind, "reserve") == 0)
		sc_os.reserve = refuse_reserve;
	else if (strcmp(kind, "commit") == 0)
		sc_os.commit = refuse_commit;
	else if (strcmp(kind, "guard") == 0)
		sc_os.guard = refuse_guard;
	else if (strcmp(kind, "thread") == 0)
		sc_os.thread_start = refuse_thread;
	else
		abort();
}
