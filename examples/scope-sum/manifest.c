/* examples/scope-sum/manifest.c: sorts the hashed files by name and writes the manifest. */
#include "sum.h"

#include <stdlib.h>
#include <string.h>

enum { SORT_ALONE = 2048 }; /* shorter ranges are not worth a task */

/* Names are compared as the bytes of directory and name in a row, without joining them. */
static int compare(const struct file *a, const struct file *b)
{
	const struct dir *da = a->slice->dir, *db = b->slice->dir;

	if (da == db)
		return strcmp(a->name, b->name);
	const char *pa = da->path, *pb = db->path;
	size_t na = da->length, nb = db->length;
	bool name_a = false, name_b = false;

	for (;;) {
		size_t n = na < nb ? na : nb;
		int order = memcmp(pa, pb, n);

		if (order)
			return order;
		pa += n;
		pb += n;
		na -= n;
		nb -= n;
		if ((!na && name_a) || (!nb && name_b))
			break;
		if (!na) {
			pa = a->name;
			na = a->length;
			name_a = true;
		}
		if (!nb) {
			pb = b->name;
			nb = b->length;
			name_b = true;
		}
	}
	/* One is used up; the other is longer unless it is too. */
	bool more_a = na || (!name_a && a->length), more_b = nb || (!name_b && b->length);
	return more_a - more_b;
}

static int compare_pointers(const void *a, const void *b)
{
	return compare(*(struct file *const *)a, *(struct file *const *)b);
}

struct range {
	struct file **files, **spare;
	size_t count;
};

static void merge(const struct range *r, size_t half)
{
	struct file **left = r->spare, **right = r->files + half, **to = r->files;
	struct file **left_end = left + half, **right_end = r->files + r->count;

	memcpy(left, r->files, half * sizeof(*left));
	while (left < left_end && right < right_end)
		*to++ = compare(*right, *left) < 0 ? *right++ : *left++;
	memcpy(to, left, (size_t)(left_end - left) * sizeof(*to));
}

/* Merge sort: the left half is a task, the right half the body. */
static int sort_task(void *arg)
{
	struct range *r = arg;

	if (scope_cancelled())
		return -ECANCELED;
	if (r->count <= SORT_ALONE) {
		qsort(r->files, r->count, sizeof(*r->files), compare_pointers);
		return 0;
	}
	size_t half = r->count / 2;
	struct range left = {r->files, r->spare, half};
	struct range right = {r->files + half, r->spare + half, r->count - half};
	struct scope s;

	scope_open(&s);
	scope_spawn(&s, sort_task, &left);
	scope_fail(&s, sort_task(&right), NULL);
	int rc = scope_close(&s);
	if (!rc)
		merge(r, half);
	return rc;
}

static size_t collect(struct file **files)
{
	size_t count = 0;

	for (struct slice *s = atomic_load(&sum.slices); s; s = s->next) {
		struct file *f = slice_first(s);

		for (uint32_t i = 0; i < s->count; i++, f = file_next(f)) {
			if (f->state != FILE_DONE)
				continue;
			if (files)
				files[count] = f;
			count++;
		}
	}
	return count;
}

static void format_line(struct text *t, const struct file *f)
{
	static const char digits[] = "0123456789abcdef";
	const struct dir *d = f->slice->dir;
	char hex[2 * DIGEST_SIZE + 2];
	bool escape = needs_escape(d->path, d->length) || needs_escape(f->name, f->length);

	t->length = 0;
	for (unsigned i = 0; i < DIGEST_SIZE; i++) {
		hex[2 * i] = digits[f->digest[i] >> 4];
		hex[2 * i + 1] = digits[f->digest[i] & 15];
	}
	memcpy(hex + (size_t)2 * DIGEST_SIZE, "  ", 2);
	if (escape)
		text_put(t, "\\", 1);
	text_put(t, hex, sizeof(hex));
	if (escape) {
		text_escaped(t, d->path, d->length);
		text_escaped(t, f->name, f->length);
	} else {
		text_put(t, d->path, d->length);
		text_put(t, f->name, f->length);
	}
	text_put(t, "\n", 1);
}

static int write_lines(const char *out_name, struct file **files, size_t count)
{
	struct out out;
	struct text line = {0};
	int rc = out_open(&out, out_name);

	if (rc)
		return rc;
	for (size_t i = 0; i < count && !rc; i++) {
		format_line(&line, files[i]);
		rc = line.bad ? -ENOMEM : out_write(&out, line.data, line.length);
	}
	text_free(&line);
	return out_finish(&out, rc);
}

/* 0, -ECANCELED or an error that was reported. */
int manifest_write(const char *out_name)
{
	size_t count = collect(NULL);
	struct range all = {.count = count};

	all.files = malloc(2 * (count + 1) * sizeof(*all.files));
	if (!all.files) {
		note_errno("", "manifest", ENOMEM);
		return -ENOMEM;
	}
	all.spare = all.files + count;
	collect(all.files);
	int rc = sort_task(&all);
	if (!rc)
		rc = write_lines(out_name, all.files, count);
	free(all.files);
	return rc;
}
