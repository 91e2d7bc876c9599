/* runtime/scope/error.c: error records: rules E1-E7.
 *
 * Code, site and cause of a scope's first error live in the scope.  Text, path and later
 * errors are records in `extra`, kept as memory allows.  A record is counted: by the scope
 * that lists it, by the record that it is part of, and by the task whose last close returned it.
 * These follow one another: a task hands its record to a scope above it and has dropped it when
 * it ends, which is before that scope is joined.  So [scope.count] is all the order that the
 * count needs.
 */
#include "scope/extra.h"
#include <errno.h>
#include <stdarg.h>
#include <string.h>

enum { MOST_KEPT = 64, HIGHEST = 64, MOST_CODES = 256, PATH_SIZE = 1024, TEXT_SIZE = 512 };

struct record {
	struct scope_error error; /* first: what users see */
	SC_PLAIN(uint32_t) references;
	uint32_t printed;
	/* lock: the open scope that lists it.  What users see changes when that scope was joined:
	 * until then the task that has the first record in hand may be reading it. */
	SC_PLAIN(struct record *) later; /* the next one in that list */
	SC_PLAIN(struct record *) last;  /* the end of the list, in the first record */
	uint64_t uncounted;       /* past those that are kept, in the first record */
	struct scope_error_count *counts; /* the same by code */
	unsigned codes;           /* in that list */
	unsigned kept;            /* in the list, in the first record */
	unsigned height;          /* the longest way down lists and contexts */
	/* Who has it in hand: the open scope that lists it.  No other scope lists it too, and
	 * it is no context any more: lists and contexts form a tree. */
	const struct sc_scope *listed;
	char strings[];           /* text, path, because */
};

/* What a record is made of.  Where it was spawned or else, for scope_error.site_kind. */
struct account {
	int code;
	enum scope_cause cause;
	const void *site;
	enum scope_site_kind kind;
	const char *text;    /* or NULL */
	const char *path;
	const char *because; /* or NULL */
};

/* The record behind a task's last nonzero close. */
struct sc_last {
	struct sc_last *next;
	uintptr_t task; /* sc_task_of its place */
	struct record *record;
};

/* ---- records --------------------------------------------------------------------------------- */

static struct record *record_of(const struct scope_error *error)
{
	return (struct record *)(uintptr_t)error;
}

static void free_counts(struct record *record)
{
	const struct scope_error_count *count = record->error.counts, *next;

	for (; count; count = next) {
		next = count->next;
		sc_os.free((void *)(uintptr_t)count);
	}
}

static int was_last(struct record *record)
{
	record->references -= 1;
	return record->references == 0;
}

static void put_record(struct record *record)
{
	/* Contexts and suppressed errors may form long chains: no recursion. */
	struct record *queue = record;

	if (!record || !was_last(record))
		return;
	record->last = NULL;
	while (queue) {
		struct record *now = queue, *more[2];
		const struct scope_error *next;
		int i;

		queue = now->last;
		more[0] = record_of(now->error.context);
		for (next = now->error.suppressed; next;) {
			struct record *suppressed = record_of(next);

			next = next->next;
			if (was_last(suppressed)) {
				suppressed->last = queue;
				queue = suppressed;
			}
		}
		more[1] = NULL;
		for (i = 0; more[i]; i++)
			if (was_last(more[i])) {
				more[i]->last = queue;
				queue = more[i];
			}
		free_counts(now);
		sc_os.free(now);
	}
}

static struct record *get_record(struct record *record)
{
	record->references += 1;
	return record;
}

/* Puts a string at *at, which is left behind it. */
static const char *keep_string(char **at, const char *text)
{
	char *kept = *at;

	*at = stpcpy(kept, text ? text : "") + 1;
	return kept;
}

static struct record *new_record(const struct account *account)
{
	size_t size = (account->text ? strlen(account->text) : 0) + strlen(account->path) +
		      (account->because ? strlen(account->because) : 0) + 3;
	struct record *record = sc_os.alloc(sizeof *record + size);
	char *at;

	if (!record)
		return NULL;
	memset((void *)record, 0, sizeof *record);
	record->references = 1;
	at = record->strings;
	record->error.code = account->code;
	record->error.cause = account->cause;
	record->error.text = keep_string(&at, account->text);
	record->error.path = keep_string(&at, account->path);
	record->error.because = keep_string(&at, account->because);
	record->error.site = account->site;
	record->error.site_kind = account->kind;
	record->error.time_ns = sc_now();
	return record;
}

/* ---- last errors of the tasks on a strand ---------------------------------------------------- */

/* The mark in the running child's site tells an entry of this child from one of an earlier
 * child of the same scope. */
static int current_entry(uintptr_t task)
{
	return !(task & 1) || (sc_untag(task)->running.site & SC_RUNNING_ERROR);
}

static struct sc_last *find_last(struct sc_host *host, uintptr_t task)
{
	struct sc_last *last;

	for (last = host->errors; last; last = last->next)
		if (last->task == task)
			return current_entry(task) ? last : NULL;
	return NULL;
}

void sc_drop_errors(struct sc_host *host, uintptr_t task)
{
	struct sc_last **link = &host->errors, *last;

	while ((last = *link)) {
		if (task && last->task != task) {
			link = &last->next;
			continue;
		}
		*link = last->next;
		put_record(last->record);
		sc_os.free(last);
	}
}

static void set_last(struct sc_host *host, uintptr_t task, struct record *record)
{
	struct sc_last *last;

	sc_drop_errors(host, task);
	if (!record)
		return;
	last = sc_os.alloc(sizeof *last);
	if (!last) {
		put_record(record);
		return;
	}
	*last = (struct sc_last){host->errors, task, record};
	host->errors = last;
	if (task & 1) {
		at_or_rlx(&sc_untag(task)->running.site, SC_RUNNING_ERROR);
		at_or_rlx(&sc_untag(task)->state, SC_TAINT);
	}
}

const struct scope_error *scope_last_error(void)
{
	struct sc_worker *worker = sc_self();
	struct sc_last *last;

	if (worker->cur == 0)
		return NULL;
	last = find_last(sc_host(worker->strand), sc_task_of(worker->cur));
	return last ? &last->record->error : NULL;
}

/* ---- the records of a scope ------------------------------------------------------------------ */

static struct scope_error_count *find_count(const struct scope_error_count *counts, int code)
{
	while (counts && counts->code != code)
		counts = counts->next;
	return (struct scope_error_count *)(uintptr_t)counts;
}

/* lock: the scope of `first`.  Counts an error of which no record is kept. */
static void count_error(struct record *first, int code)
{
	struct scope_error_count *count = find_count(first->counts, code);

	first->uncounted++;
	if (!count && first->codes < MOST_CODES && (count = sc_os.alloc(sizeof *count))) {
		*count = (struct scope_error_count){.code = code, .next = first->counts};
		first->counts = count;
		first->codes++;
	}
	if (count)
		count->count++;
}

/* Those of a scope that was joined are added to what users see. */
static void show_counts(struct record *first)
{
	struct scope_error_count *count, *shown;

	first->error.uncounted += first->uncounted;
	first->uncounted = 0;
	first->codes = 0;
	while ((count = first->counts)) {
		first->counts = (struct scope_error_count *)(uintptr_t)count->next;
		shown = find_count(first->error.counts, count->code);
		if (shown) {
			shown->count += count->count;
			sc_os.free(count);
		} else {
			count->next = first->error.counts;
			first->error.counts = count;
		}
	}
}

/* The records of a scope that was joined, as users see them: the first with the list of the
 * others. */
static struct record *take_records(struct sc_extra *extra)
{
	struct record *first = extra->first, *record, *next;
	const struct scope_error **link;

	extra->first = NULL;
	if (!first)
		return NULL;
	link = &first->error.suppressed;
	while (*link)
		link = &record_of(*link)->error.next;
	for (record = first->later; record; record = next) {
		next = record->later;
		record->later = NULL;
		*link = &record->error;
		link = &record->error.next;
	}
	show_counts(first);
	first->later = NULL;
	first->last = NULL;
	first->listed = NULL;
	return first;
}

void sc_drop_records(struct sc_extra *extra)
{
	put_record(take_records(extra));
}

/* lock: s */
static void add_suppressed(struct sc_scope *s, struct record *record)
{
	struct record *first = s->extra->first;

	/* A body may hand in the record of one close again and again: it is listed once. */
	if (first->kept >= MOST_KEPT - 1 || record->listed == s) {
		count_error(first, record->error.code);
		put_record(record);
		return;
	}
	/* What cancelled the scope was a failure of this same task. */
	if (record->error.cause == SCOPE_CAUSE_ERROR &&
	    strcmp(record->error.path, first->error.path) == 0) {
		record->error.cause = SCOPE_CAUSE_NONE;
		record->error.because = "";
	}
	if (first->last)
		first->last->later = record;
	else
		first->later = record;
	first->last = record;
	first->kept++;
	if (first->height <= record->height)
		first->height = record->height + 1;
	record->listed = s;
}

const struct scope_error *sc_first_error(struct sc_scope *s)
{
	struct record *first = sc_state(s) & SC_EXTRA ? s->extra->first : NULL;

	return first ? &first->error : NULL;
}

int sc_fail(struct scope *public, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4), visibility("hidden")));

/* The cancel that reaches s, for a record. */
static void put_because(struct sc_scope *s, struct account *account, char *out, size_t size)
{
	struct scope_cause_info info;

	sc_find_cause(s, &info);
	account->cause = info.origin;
	if (info.origin == SCOPE_CAUSE_NONE)
		return;
	sc_put_cause(&info, out, size);
	account->because = out;
}

static SC_NOINLINE struct record *describe_failure(struct sc_scope *s, struct account *account,
						   uintptr_t place)
{
	char path[PATH_SIZE], because[PATH_SIZE + TEXT_SIZE];

	sc_path(place ? place : (uintptr_t)s, path, sizeof path);
	account->path = path;
	put_because(s, account, because, sizeof because);
	return new_record(account);
}

/* The record for a failure of the task at `place`: the one it has from a close of its own if
 * that gave the same code, else a new one with that as its context (E5).  If another open
 * scope lists that one, a copy instead and no context; nor where the chain grows too long: who
 * handles errors in a loop has the last one in hand when the next comes. */
static struct record *record_for(struct sc_scope *s, struct account *account, uintptr_t place)
{
	struct sc_worker *worker = sc_self();
	struct record *old = NULL, *record;

	if (place && worker->cur) {
		struct sc_last *last = find_last(sc_host(worker->strand), sc_task_of(place));

		old = last ? last->record : NULL;
	}
	if (old && old->error.code == account->code && !account->text) {
		if (!old->listed || old->listed == s)
			return get_record(old);
		account->text = old->error.text;
	}
	record = describe_failure(s, account, place);
	if (record && old && !old->listed && old->height < HIGHEST) {
		record->error.context = &get_record(old)->error;
		record->height = old->height + 1;
	}
	return record;
}

/* Of a scope that has its records, further errors need none of their own made.  `alone`: see
 * add_record. */
static int only_counted(struct sc_scope *s, int code, int alone)
{
	int full = 0;

	if (!(sc_state(s) & SC_FAILED))
		return 0;
	sc_scope_lock(s);
	if ((sc_state(s) & SC_EXTRA) && s->extra->first) {
		full = s->extra->first->kept >= MOST_KEPT - 1;
		if (full) {
			count_error(s->extra->first, code);
			s->extra->failed |= !alone;
		}
	}
	sc_scope_unlock(s);
	return full;
}

/* An error of s and its record, which is taken over; NULL: there was no memory for one.  `alone`:
 * it was left alone, whatever the policy is. */
static void add_record(struct sc_scope *s, int code, const void *site, struct record *record,
		       int alone)
{
	struct sc_extra *extra;
	int first;

	sc_scope_lock(s);
	first = !(sc_state(s) & SC_FAILED);
	if (sc_state(s) & SC_EXTRA)
		s->extra->failed |= !alone;
	extra = record ? sc_extra(s) : NULL;
	if (first) {
		s->code = code;
		s->error_site = site;
		if (extra) {
			extra->first = record;
			record->listed = s;
		}
		at_or_rlx(&s->state, SC_FAILED);
	} else if (extra && extra->first) {
		add_suppressed(s, record);
		record = NULL;
	}
	sc_scope_unlock(s);
	if (record && !(first && extra))
		put_record(record);
}

/* After an error that was not left alone.  It need not be the first: others were. */
static void cancel_others(struct sc_scope *s)
{
	uint32_t state = sc_state(s);

	if (!(state & SC_OWN) && !((state & SC_EXTRA) && s->extra->policy == SCOPE_AWAIT_ALL))
		sc_cancel(s, SCOPE_CAUSE_ERROR);
}

void sc_add_error(struct sc_scope *s, int code, uintptr_t place, const void *site,
		  enum scope_site_kind kind, const char *text)
{
	struct account account = {code, SCOPE_CAUSE_NONE, site, kind, text, NULL, NULL};

	if (!only_counted(s, code, 0))
		add_record(s, code, site, record_for(s, &account, place), 0);
	cancel_others(s);
}

int sc_told(struct sc_scope *s, int code)
{
	/* An error would cancel who uses his grace. */
	return (code == -ECANCELED && sc_effective(s)) || (code == -ESHUTDOWN && sc_stopped(s));
}

/* What other threads are refused is counted nowhere. */
static void count_end(struct sc_worker *worker, int told)
{
	if (worker == &sc_worker_none)
		return;
	if (told)
		at_store_rlx(&worker->cancelled, at_load_rlx(&worker->cancelled) + 1);
	else
		at_store_rlx(&worker->failed, at_load_rlx(&worker->failed) + 1);
}

int sc_obeyed(struct sc_scope *s, int code)
{
	int told = sc_told(s, code);

	if (told && code == -ECANCELED)
		sc_hit(s);
	count_end(sc_self(), told);
	return told;
}

void sc_list_error(struct sc_scope *s, int code, uintptr_t place, const void *site,
		   const char *text)
{
	struct account account = {code, SCOPE_CAUSE_NONE, site, SCOPE_SITE_SPAWN, text, NULL, NULL};

	if (!sc_obeyed(s, code) && !only_counted(s, code, 1))
		add_record(s, code, site, record_for(s, &account, place), 1);
}

void sc_forget_errors(struct sc_scope *s)
{
	sc_scope_lock(s);
	sc_drop_records(s->extra);
	s->extra->first = NULL;
	at_and_rlx(&s->state, ~(uint32_t)SC_FAILED);
	sc_scope_unlock(s);
}

void sc_failed_at(struct sc_scope *s, int code, uintptr_t place, const void *site,
		  enum scope_site_kind kind, const char *text)
{
	s = sc_counted(s);
	if (!sc_obeyed(s, code))
		sc_add_error(s, code, place, site, kind, text);
}

void sc_failed(struct sc_scope *s, int code, uintptr_t place, const void *site, const char *text)
{
	sc_failed_at(s, code, place, site, SCOPE_SITE_SPAWN, text);
}

/* The deadline of s, or the end of its grace period, which the closing task is told of. */
static SC_NOINLINE struct record *describe_timeout(struct sc_scope *s, uintptr_t place, int code)
{
	enum scope_cause cause = (enum scope_cause)(sc_state(s) >> SC_CAUSE_SHIFT);
	const char *what = cause == SCOPE_CAUSE_SHUTDOWN ? "grace period" : "deadline";
	char path[PATH_SIZE], text[200];
	struct account account = {code, cause, s->site, SCOPE_SITE_OPEN, text, path, NULL};

	sc_path(place, path, sizeof path);
	if (sc_name(s))
		snprintf(text, sizeof text, "%s of scope \"%s\"", what, sc_name(s));
	else
		snprintf(text, sizeof text, "%s of a scope", what);
	return new_record(&account);
}

/* An error of s of which there was no memory for a record. */
static SC_NOINLINE struct record *describe_lost(struct sc_scope *s, uintptr_t place, int code)
{
	char path[PATH_SIZE];
	struct account account = {code, SCOPE_CAUSE_NONE, s->error_site, SCOPE_SITE_SPAWN,
				  NULL, path, NULL};

	sc_path(place, path, sizeof path);
	return new_record(&account);
}

/* The record behind the result of a scope that is being closed: the first that it has, or a new
 * one with the path of `place`.  A cancel has none. */
static struct record *take_record(struct sc_scope *s, int code, uintptr_t place)
{
	struct record *record;

	if (sc_state(s) & SC_EXTRA) {
		record = take_records(s->extra);
		if (record)
			return record;
	}
	if (code == -ECANCELED)
		return NULL;
	return sc_state(s) & SC_FAILED ? describe_lost(s, place, code)
				       : describe_timeout(s, place, code);
}

void sc_pass_error(struct sc_scope *s, int code, struct sc_scope *to)
{
	const void *site = sc_state(s) & SC_FAILED ? s->error_site : s->site;
	struct record *record = take_record(s, code, (uintptr_t)to);

	to = sc_counted(to);
	add_record(to, code, site, record, 0);
	cancel_others(to);
}

void sc_keep_error(struct sc_scope *s, int code)
{
	struct sc_worker *worker = sc_self();
	struct sc_host *host = sc_host(worker->strand);
	struct record *record = take_record(s, code, worker->cur);

	/* The task is found by walking up: not for each scope that a cancel closes. */
	if (record || host->errors)
		set_last(host, sc_task_of(worker->cur), record);
}

/* A scope in an object is entered: its parent can't close it meanwhile. */
static int may_fail(struct sc_worker *worker, struct sc_scope *s)
{
	if (worker->cur == (uintptr_t)s)
		return 0;
	if (sc_state(s) & SC_CLOSED)
		return -ESTALE;
	if (!(sc_state(s) & SC_COUNTED) || !sc_owns(worker, s))
		return -EPERM;
	return sc_is_object(s) ? sc_object_enter(s) : 0;
}

/* scope_fail comes here if code is not 0: runtime/arch/skip_<cpu>.S. */
int sc_fail(struct scope *public, int code, const char *format, ...)
{
	struct sc_worker *worker = sc_self();
	struct sc_scope *s = sc_view(public);
	char text[TEXT_SIZE];
	va_list args;
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_fail");
	sc_check_open("scope_fail of", s);
	rc = s ? may_fail(worker, s) : -EINVAL;
	if (rc < 0)
		return rc;
	if (format) {
		va_start(args, format);
		vsnprintf(text, sizeof text, format, args);
		va_end(args);
	}
	sc_failed_at(s, code, worker->cur, __builtin_return_address(0), SCOPE_SITE_FAIL,
		     format ? text : NULL);
	if (sc_is_object(s))
		sc_object_leave(s);
	return code;
}

/* At the end of a run: the root task's record, now the caller's. */
struct scope_error *sc_root_error(void)
{
	struct record *record = NULL;

	if (sc_state(&sc_root) & SC_EXTRA) {
		record = take_records(sc_root.extra);
		sc_drop_extra(&sc_root);
	}
	return record ? &record->error : NULL;
}

void sc_release_error(struct scope_error *error)
{
	put_record(record_of(error));
}

int sc_was_printed(const struct scope_error *error)
{
	return record_of(error)->printed != 0;
}

void sc_mark_printed(const struct scope_error *error)
{
	record_of(error)->printed = 1;
}
