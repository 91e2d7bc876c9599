/* examples/scope-httpd/answer.c: what is sent for a request. */
#include "httpd.h"

#include <errno.h>
#include <string.h>

/* ---- the head -------------------------------------------------------------------------------- */

enum { HEAD_ROOM = 1 << 10 }; /* for a head without a location */

static struct span reason_of(int status)
{
	static const struct {
		int status;
		struct span reason;
	} reasons[] = {
		{200, SPAN("200 OK")},
		{204, SPAN("204 No Content")},
		{206, SPAN("206 Partial Content")},
		{301, SPAN("301 Moved Permanently")},
		{304, SPAN("304 Not Modified")},
		{400, SPAN("400 Bad Request")},
		{403, SPAN("403 Forbidden")},
		{404, SPAN("404 Not Found")},
		{405, SPAN("405 Method Not Allowed")},
		{408, SPAN("408 Request Timeout")},
		{412, SPAN("412 Precondition Failed")},
		{413, SPAN("413 Content Too Large")},
		{414, SPAN("414 URI Too Long")},
		{416, SPAN("416 Range Not Satisfiable")},
		{417, SPAN("417 Expectation Failed")},
		{429, SPAN("429 Too Many Requests")},
		{431, SPAN("431 Request Header Fields Too Large")},
		{503, SPAN("503 Service Unavailable")},
		{505, SPAN("505 HTTP Version Not Supported")},
	};
	unsigned i;

	for (i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return SPAN("500 Internal Server Error");
}

static void put(struct desk *desk, const char *data, size_t size)
{
	memcpy(desk->out + desk->out_end, data, size);
	desk->out_end += size;
}

static void put_span(struct desk *desk, struct span span)
{
	put(desk, span.at, span.size);
}

static void put_number(struct desk *desk, uint64_t value)
{
	char digits[20];
	size_t at = sizeof digits;

	do
		digits[--at] = (char)('0' + value % 10);
	while (value /= 10);
	put(desk, digits + at, sizeof digits - at);
}

/* Sends what was answered before if there is no room for so many bytes behind it. */
static int make_room(struct client *c, size_t size)
{
	return OUT_SIZE - c->desk->out_end < size ? stream_flush(c) : 0;
}

static void head_begin(struct desk *desk, int status)
{
	desk_look_at_clock(desk);
	put_span(desk, SPAN("HTTP/1.1 "));
	put_span(desk, reason_of(status));
	put_span(desk, SPAN("\r\nServer: scope-httpd\r\nDate: "));
	put(desk, desk->date, DATE_SIZE - 1);
	put_span(desk, SPAN("\r\n"));
}

/* Says how long the body is, and whether the connection goes on. */
static void head_end(struct client *c, int64_t size)
{
	struct desk *desk = c->desk;

	if (size >= 0) {
		put_span(desk, SPAN("Content-Length: "));
		put_number(desk, (uint64_t)size);
		put_span(desk, SPAN("\r\n"));
	}
	if (c->last)
		put_span(desk, SPAN("Connection: close\r\n"));
	else if (desk->request.parser.http_minor == 0)
		put_span(desk, SPAN("Connection: keep-alive\r\n"));
	put_span(desk, SPAN("\r\n"));
}

static void note(struct client *c, int status, int64_t bytes)
{
	desk_count(c->desk, (enum count)(COUNT_1XX + status / 100 - 1), 1);
	desk_count(c->desk, COUNT_BYTES, (uint64_t)bytes);
	log_request(&c->server->log, c, status, bytes);
}

static int cut_off(struct client *c, int rc)
{
	desk_count(c->desk, COUNT_CUT, rc < 0);
	return rc;
}

/* ---- texts ----------------------------------------------------------------------------------- */

int answer_text(struct client *c, int status, const char *type, const char *text, size_t size)
{
	bool has_body = !request_is_head(&c->desk->request);
	int rc = make_room(c, HEAD_ROOM);

	if (rc < 0)
		return rc;
	head_begin(c->desk, status);
	if (status == 405)
		put_span(c->desk, SPAN("Allow: GET, HEAD, OPTIONS\r\n"));
	if (status == 503)
		put_span(c->desk, SPAN("Retry-After: 1\r\n"));
	put_span(c->desk, SPAN("Cache-Control: no-store\r\nContent-Type: "));
	put(c->desk, type, strlen(type));
	put_span(c->desk, SPAN("\r\n"));
	head_end(c, (int64_t)size);
	if (has_body && size > BODY_SMALL) {
		rc = stream_flush(c);
		if (rc == 0)
			rc = stream_write(c, text, size);
		note(c, status, rc == 0 ? (int64_t)size : 0);
		return cut_off(c, rc);
	}
	note(c, status, has_body ? (int64_t)size : 0);
	rc = has_body ? make_room(c, size) : 0;
	if (has_body && rc == 0)
		put(c->desk, text, size);
	return rc;
}

int answer_status(struct client *c, int status)
{
	struct span reason = reason_of(status);
	char text[64];

	memcpy(text, reason.at, reason.size);
	text[reason.size] = '\n';
	return answer_text(c, status, "text/plain; charset=utf-8", text, reason.size + 1);
}

static int answer_options(struct client *c)
{
	int rc = make_room(c, HEAD_ROOM);

	if (rc < 0)
		return rc;
	head_begin(c->desk, 204);
	put_span(c->desk, SPAN("Allow: GET, HEAD, OPTIONS\r\n"));
	head_end(c, -1);
	note(c, 204, 0);
	return 0;
}

/* ---- files ----------------------------------------------------------------------------------- */

static void put_range(struct desk *desk, const struct part *part, const struct file *file)
{
	put_span(desk, SPAN("Content-Range: bytes "));
	if (part->status == 206) {
		put_number(desk, (uint64_t)part->from);
		put_span(desk, SPAN("-"));
		put_number(desk, (uint64_t)(part->from + part->size - 1));
	} else {
		put_span(desk, SPAN("*"));
	}
	put_span(desk, SPAN("/"));
	put_number(desk, (uint64_t)file->stat.st_size);
	put_span(desk, SPAN("\r\n"));
}

static int answer_file(struct client *c, const struct file *file)
{
	struct desk *desk = c->desk;
	struct part part = part_of(&desk->request, file);
	bool has_body = part.size > 0 && !request_is_head(&desk->request);
	int64_t sent;
	int rc;

	if (part.status == 412)
		return answer_status(c, 412);
	rc = make_room(c, HEAD_ROOM + (has_body && file->body ? (size_t)part.size : 0));
	if (rc < 0)
		return rc;
	head_begin(desk, part.status);
	put(desk, file->head, file->head_size);
	if (part.status == 206 || part.status == 416)
		put_range(desk, &part, file);
	head_end(c, part.status == 304 ? -1 : part.size);
	if (has_body && !file->body) {
		rc = stream_file(c, file->fd, part.from, part.size, &sent);
		note(c, part.status, sent);
		return cut_off(c, rc);
	}
	note(c, part.status, has_body ? part.size : 0);
	if (has_body)
		put(desk, file->body + part.from, (size_t)part.size);
	return 0;
}

static int status_of(int rc)
{
	switch (rc) {
	case -ENOENT: case -ENOTDIR: case -ELOOP: case -EXDEV: case -ENAMETOOLONG: return 404;
	case -EACCES: case -EPERM: return 403;
	case -EMFILE: case -ENFILE: case -ENOMEM: case -EAGAIN: return 503;
	default: return 500;
	}
}

/* ---- directories ----------------------------------------------------------------------------- */

/* To the same place with a slash behind it, or what is named in it would be looked for beside. */
static int answer_redirect(struct client *c)
{
	struct desk *desk = c->desk;
	const struct path *path = &desk->path;
	int rc = make_room(c, HEAD_ROOM + 3 * path->size + path->query.size);

	if (rc < 0)
		return rc;
	head_begin(desk, 301);
	put_span(desk, SPAN("Location: "));
	desk->out_end += path_write(path->text, desk->out + desk->out_end);
	put_span(desk, SPAN("/"));
	if (path->query.size) {
		put_span(desk, SPAN("?"));
		put_span(desk, path->query);
	}
	put_span(desk, SPAN("\r\n"));
	head_end(c, 0);
	note(c, 301, 0);
	return 0;
}

static int answer_listing(struct client *c, const char *path)
{
	struct page *page;
	int rc;

	if (!c->server->set.list)
		return answer_status(c, 403);
	rc = page_get(&c->server->listings, &c->server->cache, path, &page);
	if (rc < 0)
		return answer_status(c, status_of(rc));
	rc = answer_text(c, 200, "text/html; charset=utf-8", page->text, page->size);
	page_put(page);
	return rc;
}

/* index.html of the directory, else what is in it. */
static int answer_directory(struct client *c)
{
	struct path *path = &c->desk->path;
	struct file *file;
	int rc;

	if (path->size + sizeof "/index.html" > sizeof path->text)
		return answer_status(c, 404);
	strcpy(path->text + path->size, path->size ? "/index.html" : "index.html");
	rc = cache_get(&c->server->cache, path->text, &file);
	path->text[path->size] = '\0';
	if (rc == -ENOENT || rc == -EISDIR) {
		rc = cache_get(&c->server->cache, path->text, &file);
		if (rc == -EISDIR)
			return answer_listing(c, path->text);
	}
	if (rc < 0)
		return answer_status(c, status_of(rc));
	rc = answer_file(c, file);
	cache_put(file);
	return rc;
}

/* ---- a request ------------------------------------------------------------------------------- */

static int answer_path(struct client *c)
{
	struct path *path = &c->desk->path;
	struct file *file;
	int rc = status_answer(c);

	if (rc)
		return rc < 0 ? rc : 0;
	if (path->directory)
		return answer_directory(c);
	rc = cache_get(&c->server->cache, path->text, &file);
	if (rc == -EISDIR)
		return answer_redirect(c);
	if (rc < 0)
		return answer_status(c, status_of(rc));
	rc = answer_file(c, file);
	cache_put(file);
	return rc;
}

int answer(struct client *c)
{
	struct request *r = &c->desk->request;
	int status = r->status;

	if (status)
		return answer_status(c, status);
	if (r->parser.method == HTTP_OPTIONS)
		return answer_options(c);
	if (r->parser.method != HTTP_GET && r->parser.method != HTTP_HEAD)
		return answer_status(c, 405);
	status = path_parse(&c->desk->path, r->target);
	if (status == 0)
		return answer_path(c);
	if (status == 400) {
		/* Nobody asks so by mistake. */
		r->status = 400;
		c->last = true;
	}
	return answer_status(c, status);
}
