/* examples/scope-httpd/select.c: what of a file is asked for: conditions and ranges (RFC 9110). */
#include "httpd.h"

#include <string.h>

/* ---- conditions ------------------------------------------------------------------------------ */

static bool is_there(const struct request *r, enum header header)
{
	return r->value[header].at != NULL;
}

/* Whether a list of tags has the file's.  One that is weak says that the contents are as good;
 * where it has to be the same bytes that is not enough. */
static bool has_tag(struct span list, const char *etag, bool weak)
{
	size_t size = strlen(etag);
	const char *at = list.at, *end = at + list.size;

	if (span_is(list, SPAN("*")))
		return true;
	while (at < end) {
		bool is_weak = end - at > 2 && at[0] == 'W' && at[1] == '/';
		const char *begin = at + (is_weak ? 2 : 0), *quote;

		if (begin == end || *begin != '"') {
			at++;
			continue;
		}
		quote = memchr(begin + 1, '"', (size_t)(end - begin) - 1);
		if (!quote)
			return false;
		at = quote + 1;
		if ((size_t)(at - begin) == size && memcmp(begin, etag, size) == 0 &&
		    (weak || !is_weak))
			return true;
	}
	return false;
}

/* Whether it was changed after that date: -1: that is no date. */
static int was_changed(const struct file *file, struct span since)
{
	time_t when = date_parse(since);

	return when < 0 ? -1 : file->stat.st_mtim.tv_sec > when;
}

/* In the order of RFC 9110, 13.2.2.  A tag tells more than a date, which then does not count. */
static int condition(const struct request *r, const struct file *file)
{
	if (is_there(r, HEADER_IF_MATCH)) {
		if (!has_tag(r->value[HEADER_IF_MATCH], file->etag, false))
			return 412;
	} else if (is_there(r, HEADER_IF_UNMODIFIED_SINCE)) {
		if (was_changed(file, r->value[HEADER_IF_UNMODIFIED_SINCE]) == 1)
			return 412;
	}
	if (is_there(r, HEADER_IF_NONE_MATCH))
		return has_tag(r->value[HEADER_IF_NONE_MATCH], file->etag, true) ? 304 : 200;
	if (is_there(r, HEADER_IF_MODIFIED_SINCE) &&
	    was_changed(file, r->value[HEADER_IF_MODIFIED_SINCE]) == 0)
		return 304;
	return 200;
}

/* ---- ranges ---------------------------------------------------------------------------------- */

/* Reads digits: -1 if there are none; a number that is too large is the largest. */
static int64_t take_number(struct span *text)
{
	static const int64_t most = INT64_MAX / 10 - 1; /* room for another digit */
	int64_t value = 0;
	size_t i;

	for (i = 0; i < text->size && text->at[i] >= '0' && text->at[i] <= '9'; i++)
		value = value > most ? INT64_MAX : value * 10 + (text->at[i] - '0');
	text->at += i;
	text->size -= i;
	return i ? value : -1;
}

/* One range, "bytes=0-9", "bytes=10-", "bytes=-5".  False: it is something else, several ranges
 * too: then all is sent, which is always allowed. */
static bool range_parse(struct span text, int64_t size, struct part *part)
{
	int64_t first, last;

	if (text.size < 6 || !span_is_word((struct span){text.at, 6}, SPAN("bytes=")))
		return false;
	text.at += 6;
	text.size -= 6;
	first = take_number(&text);
	if (text.size == 0 || *text.at != '-')
		return false;
	text.at++;
	text.size--;
	last = take_number(&text);
	if (text.size || (first < 0 && last < 0) || (first >= 0 && last >= 0 && last < first))
		return false;
	if (first < 0) {
		first = last < size ? size - last : 0;
		part->status = last == 0 || size == 0 ? 416 : 206;
		last = size - 1;
	} else {
		part->status = first < size ? 206 : 416;
	}
	if (last < 0 || last >= size)
		last = size - 1;
	part->from = first;
	part->size = last - first + 1;
	return true;
}

/* A range of an older version would not fit to the parts that the client has. */
static bool range_counts(const struct request *r, const struct file *file)
{
	struct span value = r->value[HEADER_IF_RANGE];

	if (!is_there(r, HEADER_RANGE) || request_is_head(r))
		return false;
	if (!is_there(r, HEADER_IF_RANGE))
		return true;
	if (value.size && value.at[0] == '"')
		return span_is(value, (struct span){file->etag, strlen(file->etag)});
	return span_is(value, (struct span){file->modified, strlen(file->modified)});
}

struct part part_of(const struct request *r, const struct file *file)
{
	int64_t size = file->stat.st_size;
	struct part part = {condition(r, file), 0, size}, some = part;

	if (part.status == 200 && range_counts(r, file) &&
	    range_parse(r->value[HEADER_RANGE], size, &some))
		part = some;
	if (part.status != 200 && part.status != 206)
		part.size = 0;
	return part;
}
