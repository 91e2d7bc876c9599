/* examples/scope-sum/note.c: messages, the progress line and the closing figures.
 *
 * All of them are whole lines in one write each, made under one lock; no checkpoint lies
 * between lock and unlock.
 */
#include "sum.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <scope_observe.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct text text;  /* lock */
static bool drawn;        /* lock: a progress line stands in the terminal's last row */

static void emit(void)
{
	size_t done = 0;

	while (done < text.length) {
		ssize_t n = write(STDERR_FILENO, text.data + done, text.length - done);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			break;
		if (n > 0)
			done += (size_t)n;
	}
	text.length = 0;
	text.bad = false;
}

void note_plain(const char *directory, const char *name, const char *what)
{
	pthread_mutex_lock(&lock);
	if (drawn)
		text_string(&text, "\r\033[K");
	drawn = false;
	text_string(&text, "scope-sum: ");
	if (directory) {
		text_quoted(&text, directory, strlen(directory));
		text_quoted(&text, name, strlen(name));
		text_string(&text, *directory || *name ? ": " : "'': ");
	}
	text_string(&text, what);
	text_string(&text, "\n");
	emit();
	pthread_mutex_unlock(&lock);
}

void note_error(const char *directory, const char *name, const char *what)
{
	atomic_store(&sum.failed, true);
	note_plain(directory, name, what);
}

void note_errno(const char *directory, const char *name, int error)
{
	char what[128];

	note_error(directory, name, strerror_r(error, what, sizeof(what)));
}

/* "12.3 MiB" without floating point, whose formatting takes more stack than a task may
 * have. */
static void put_bytes(struct text *t, uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
	unsigned unit = 0;

	if (bytes < 1024) {
		text_format(t, "%" PRIu64 " B", bytes);
		return;
	}
	while (bytes >= 1024 * 1024 && unit < 4) {
		bytes /= 1024;
		unit++;
	}
	text_format(t, "%" PRIu64 ".%" PRIu64 " %s", bytes / 1024, bytes % 1024 * 10 / 1024,
		    units[unit]);
}

static uint64_t rate_of(uint64_t bytes, int64_t elapsed_ns)
{
	return elapsed_ns > 0 ? (uint64_t)((double)bytes * 1e9 / (double)elapsed_ns) : 0;
}

/* What is left is measured in bytes, or in files if there is nothing but empty ones; a
 * plus says that the walk has not seen all of it yet. */
static void put_time_left(struct text *t, int64_t elapsed_ns)
{
	uint64_t done = atomic_load(&sum.bytes_done), seen = atomic_load(&sum.bytes_seen);

	if (!seen) {
		done = atomic_load(&sum.files_done);
		seen = atomic_load(&sum.files_seen);
	}
	if (!done) {
		text_string(t, "left -:--");
		return;
	}
	double todo = seen > done ? (double)(seen - done) : 0;
	uint64_t seconds = (uint64_t)(todo / (double)done * (double)elapsed_ns / 1e9 + 0.5);
	text_format(t, "left %" PRIu64 ":%02u%s", seconds / 60, (unsigned)(seconds % 60),
		    atomic_load(&sum.walked) ? "" : "+");
}

static size_t columns(void)
{
	struct winsize size;

	return !ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_col > 20 ? size.ws_col - 1u :
									      79;
}

static void draw(void)
{
	struct scope_stats stats = {0};
	int64_t elapsed = scope_now() - sum.start_ns;
	uint64_t bytes = atomic_load(&sum.bytes_done);

	scope_stats_get(&stats);
	pthread_mutex_lock(&lock);
	text_string(&text, "\r");
	text_format(&text, "%" PRIu64 "/%" PRIu64 " files  ", atomic_load(&sum.files_done),
		    atomic_load(&sum.files_seen));
	put_bytes(&text, bytes);
	text_string(&text, "/");
	put_bytes(&text, atomic_load(&sum.bytes_seen));
	text_string(&text, "  ");
	put_bytes(&text, rate_of(bytes, elapsed));
	text_string(&text, "/s  ");
	put_time_left(&text, elapsed);
	text_format(&text, "  %d running  %" PRIu64 " stolen", atomic_load(&sum.hashing),
		    stats.tasks_stolen);
	if (text.length > columns() + 1)
		text.length = columns() + 1;
	text_string(&text, "\033[K");
	emit();
	drawn = true;
	pthread_mutex_unlock(&lock);
}

/* Until its scope is cancelled, which is when the hashing has ended. */
int progress_task(void *unused)
{
	(void)unused;
	do
		draw();
	while (!scope_sleep_for(200 * SCOPE_MS));
	return 0;
}

/* The last state stays on the screen. */
void progress_end(void)
{
	draw();
	pthread_mutex_lock(&lock);
	text_string(&text, "\n");
	emit();
	drawn = false;
	pthread_mutex_unlock(&lock);
}

void note_stats(void)
{
	struct scope_stats stats = {0};
	int64_t elapsed = scope_now() - sum.start_ns;
	uint64_t bytes = atomic_load(&sum.bytes_done);
	uint64_t milliseconds = (uint64_t)elapsed / 1000000;

	scope_stats_get(&stats);
	pthread_mutex_lock(&lock);
	text_format(&text, "files    %" PRIu64 "\n", atomic_load(&sum.files_done));
	text_format(&text, "bytes    %" PRIu64 "\n", bytes);
	text_format(&text, "seconds  %" PRIu64 ".%03u\n", milliseconds / 1000,
		    (unsigned)(milliseconds % 1000));
	text_string(&text, "rate     ");
	put_bytes(&text, rate_of(bytes, elapsed));
	text_string(&text, "/s\n");
	text_format(&text, "links    %" PRIu64 " not followed\n", atomic_load(&sum.links));
	text_format(&text, "stolen   %" PRIu64 "\n", stats.tasks_stolen);
	text_format(&text, "stacks   %" PRIu64 "\n", atomic_load(&sum.stacks_most));
	text_format(&text, "workers  %" PRIu64 "\n", stats.workers);
	emit();
	pthread_mutex_unlock(&lock);
}
