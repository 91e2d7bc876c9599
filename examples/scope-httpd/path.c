/* examples/scope-httpd/path.c: from the target of a request to a path below the root. */
#include "httpd.h"

#include <string.h>

/* ---- characters ------------------------------------------------------------------------------ */

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Takes a character, escaped or not.  -1: a bad escape, or what stands for something else than
 * itself when it is not escaped: control characters, the slash. */
static int take(struct span *text)
{
	int c = (unsigned char)*text->at, high, low;

	text->at++;
	text->size--;
	if (c != '%')
		return c > ' ' && c < 0x7f ? c : -1;
	if (text->size < 2)
		return -1;
	high = digit(text->at[0]);
	low = digit(text->at[1]);
	text->at += 2;
	text->size -= 2;
	if (high < 0 || low < 0)
		return -1;
	c = high << 4 | low;
	return c >= ' ' && c != 0x7f && c != '/' ? c : -1;
}

/* How many bytes follow the first one of a character; -1: it is none, or not the shortest form. */
static int following(const unsigned char *at)
{
	if (at[0] < 0x80)
		return 0;
	if (at[0] >= 0xc2 && at[0] <= 0xdf)
		return 1;
	if (at[0] >= 0xe0 && at[0] <= 0xef) {
		if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f))
			return -1;
		return 2;
	}
	if (at[0] >= 0xf0 && at[0] <= 0xf4) {
		if ((at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
			return -1;
		return 3;
	}
	return -1;
}

/* The text ends with a 0, which is no byte of a longer character. */
static bool is_utf8(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	for (; *at; at++) {
		int more = following(at);

		if (more < 0)
			return false;
		while (more-- > 0)
			if ((*++at & 0xc0) != 0x80)
				return false;
	}
	return true;
}

/* ---- targets --------------------------------------------------------------------------------- */

/* http://host/path, which proxies send, is /path. */
static bool skip_authority(struct span *target)
{
	static const struct span schemes[] = {SPAN("http://"), SPAN("https://")};
	unsigned i;

	if (target->size && target->at[0] == '/')
		return true;
	for (i = 0; i < 2; i++) {
		struct span scheme = {target->at, schemes[i].size};
		const char *slash;

		if (target->size <= scheme.size || !span_is_word(scheme, schemes[i]))
			continue;
		slash = memchr(target->at + scheme.size, '/', target->size - scheme.size);
		if (!slash || slash == target->at + scheme.size)
			return false;
		target->size -= (size_t)(slash - target->at);
		target->at = slash;
		return true;
	}
	return false;
}

static void cut_query(struct path *path, struct span *target)
{
	const char *mark = memchr(target->at, '?', target->size);

	path->query = (struct span){"", 0};
	if (!mark)
		return;
	path->query.at = mark + 1;
	path->query.size = target->size - (size_t)(mark + 1 - target->at);
	target->size = (size_t)(mark - target->at);
}

/* Puts the name between two slashes behind those before it: empty ones and "." are nothing, and
 * who means ".." says so before he asks.  Hidden files are not served. */
static int take_name(struct path *path, struct span *target)
{
	size_t begin = path->size + (path->size > 0), end = begin;
	char *text = path->text;

	while (target->size && *target->at != '/') {
		int c = take(target);

		if (c < 0)
			return 400;
		if (end + 1 >= sizeof path->text)
			return 414;
		text[end++] = (char)c;
	}
	text[end] = '\0';
	if (end == begin || strcmp(text + begin, ".") == 0) {
		text[path->size] = '\0';
		return 0;
	}
	if (strcmp(text + begin, "..") == 0 || !is_utf8(text + begin))
		return 400;
	if (text[begin] == '.' && strcmp(text + begin, ".well-known") != 0)
		return 404;
	if (begin)
		text[begin - 1] = '/';
	path->size = end;
	return 0;
}

int path_parse(struct path *path, struct span target)
{
	int status = 0;

	path->size = 0;
	path->text[0] = '\0';
	if (!skip_authority(&target) || memchr(target.at, '#', target.size))
		return 400;
	cut_query(path, &target);
	path->directory = target.at[target.size - 1] == '/';
	/* A later name may be worse than hidden, so all are looked at. */
	while (target.size) {
		int found;

		target.at++;
		target.size--;
		found = take_name(path, &target);
		if (found == 400 || found == 414)
			return found;
		if (found)
			status = found;
	}
	return status;
}

size_t path_write(const char *text, char *out)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._~/";
	static const char digits[] = "0123456789ABCDEF";
	char *at = out;

	*at++ = '/';
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (strchr(plain, c)) {
			*at++ = (char)c;
		} else {
			*at++ = '%';
			*at++ = digits[c >> 4];
			*at++ = digits[c & 15];
		}
	}
	return (size_t)(at - out);
}
