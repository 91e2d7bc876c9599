/* examples/scope-httpd/listing.c: a page that lists what is in a directory. */
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
	char *page;
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
	page = open_memstream(&listing->page, &listing->size);
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

/* On another thread: a directory may have very many entries, and a disk be slow. */
int listing_make(const struct cache *cache, const char *path, char **out_page, size_t *out_size)
{
	struct listing listing = {.cache = cache, .path = path};
	int rc = scope_offload(make, &listing, NULL);

	if (rc < 0) {
		free(listing.page);
		return rc;
	}
	*out_page = listing.page;
	*out_size = listing.size;
	return 0;
}
