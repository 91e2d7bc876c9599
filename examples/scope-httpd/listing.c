/* examples/scope-httpd/listing.c: a page that lists what is in a directory.
 *
 * A large directory takes long and its page much memory: so it is made once at a time, and one less
 * than a second old is sent to all who ask.
 */
#define _GNU_SOURCE
#include "httpd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <scope_offload.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct listing {
	const struct cache *cache;
	const char *path;
	char *text;
	size_t size;
};

static void put_escaped(FILE *page, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '&': fputs("&amp;", page); break;
		case '<': fputs("&lt;", page); break;
		case '>': fputs("&gt;", page); break;
		case '"': fputs("&quot;", page); break;
		default: fputc(*text, page);
		}
}

/* The link begins with "./", or a name with a colon would be taken for a scheme.  A name whose
 * link would be refused is left out. */
static void put_entry(FILE *page, const char *name, const struct stat *st)
{
	const char *slash = S_ISDIR(st->st_mode) ? "/" : "";
	char link[3 * 256 + 2], date[DATE_SIZE];
	size_t size = path_write(name, link);
	struct path path;

	if (path_parse(&path, (struct span){link, size}) != 0)
		return;
	date_write(st->st_mtim.tv_sec, date);
	fprintf(page, "<tr><td><a href=\".%.*s%s\">", (int)size, link, slash);
	put_escaped(page, name);
	fprintf(page, "%s</a></td><td>%s</td><td>", slash, date);
	if (!*slash)
		fprintf(page, "%lld", (long long)st->st_size);
	fputs("</td></tr>\n", page);
}

/* Only what would be served; a link is shown as what it leads to. */
static void put_entries(FILE *page, int fd, struct dirent **entries, int count)
{
	struct stat st;
	int i;

	for (i = 0; i < count; i++) {
		const char *name = entries[i]->d_name;

		if (name[0] != '.' && fstatat(fd, name, &st, 0) == 0 &&
		    (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
			put_entry(page, name, &st);
		free(entries[i]);
	}
	free(entries);
}

static int make(void *arg)
{
	struct listing *listing = arg;
	struct dirent **entries;
	int fd = cache_open_at(listing->cache, listing->path), count;
	FILE *page;

	if (fd < 0)
		return fd;
	page = open_memstream(&listing->text, &listing->size);
	count = page ? scandirat(fd, ".", &entries, NULL, alphasort) : -1;
	if (count < 0) {
		if (page)
			fclose(page);
		close(fd);
		return -ENOMEM;
	}
	fputs("<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>/", page);
	put_escaped(page, listing->path);
	fputs("</title></head>\n<body><h1>/", page);
	put_escaped(page, listing->path);
	fputs("</h1><table>\n", page);
	if (*listing->path)
		fputs("<tr><td><a href=\"../\">../</a></td></tr>\n", page);
	put_entries(page, fd, entries, count);
	fputs("</table></body></html>\n", page);
	close(fd);
	return fclose(page) == 0 ? 0 : -ENOMEM;
}

/* ---- pages ----------------------------------------------------------------------------------- */

void page_put(struct page *page)
{
	if (page && atomic_fetch_sub(&page->users, 1) == 1) {
		free(page->text);
		free(page);
	}
}

/* On another thread: a directory may have very many entries, and a disk be slow. */
static int page_make(const struct cache *cache, const char *path, struct page **out_page)
{
	struct listing listing = {.cache = cache, .path = path};
	size_t size = strlen(path) + 1;
	struct page *page = malloc(sizeof *page + size);
	int rc = page ? scope_offload(make, &listing, NULL) : -ENOMEM;

	if (rc < 0) {
		free(listing.text);
		free(page);
		return rc;
	}
	page->users = 1;
	page->made_ns = scope_now();
	page->text = listing.text;
	page->size = listing.size;
	memcpy(page->path, path, size);
	*out_page = page;
	return 0;
}

/* With the lock held: who waits for it wants, as a rule, the page that is being made. */
static int make_anew(struct listing_slot *slot, const struct cache *cache, const char *path)
{
	struct page *page = slot->page;
	int rc;

	if (page && strcmp(page->path, path) == 0 && scope_now() - page->made_ns < SCOPE_SEC)
		return 0;
	rc = page_make(cache, path, &slot->page);
	if (rc == 0)
		page_put(page);
	return rc;
}

int page_get(struct listings *listings, const struct cache *cache, const char *path,
	     struct page **out_page)
{
	struct listing_slot *slot = &listings->slot[hash_of(path) % LISTINGS];
	int rc = scope_mutex_lock(&slot->lock);

	if (rc < 0)
		return rc;
	rc = make_anew(slot, cache, path);
	if (rc == 0) {
		*out_page = slot->page;
		atomic_fetch_add(&slot->page->users, 1);
	}
	scope_mutex_unlock(&slot->lock);
	return rc;
}

void listings_close(struct listings *listings)
{
	int i;

	for (i = 0; i < LISTINGS; i++)
		page_put(listings->slot[i].page);
}
