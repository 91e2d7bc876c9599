/* examples/scope-httpd/request.c: a request, parsed by llhttp, and stricter than that.
 *
 * Where two programs on the way of a request disagree on where it ends, one of them can be made
 * to take a part of it for another request.  So whatever can be read in two ways is refused, and
 * a connection with a refused request, or with a body, has no further one.
 */
#include "httpd.h"

#include <string.h>
#include <strings.h>

bool span_is_word(struct span span, struct span word)
{
	return span.size == word.size && strncasecmp(span.at, word.at, word.size) == 0;
}

static struct request *request_of(llhttp_t *parser)
{
	return (struct request *)((char *)parser - offsetof(struct request, parser));
}

static void refuse(struct request *r, int status)
{
	if (r->status == 0)
		r->status = status;
}

/* ---- headers --------------------------------------------------------------------------------- */

static const struct span names[HEADERS] = {
	[HEADER_HOST] = SPAN("host"),
	[HEADER_RANGE] = SPAN("range"),
	[HEADER_IF_RANGE] = SPAN("if-range"),
	[HEADER_IF_MATCH] = SPAN("if-match"),
	[HEADER_IF_NONE_MATCH] = SPAN("if-none-match"),
	[HEADER_IF_MODIFIED_SINCE] = SPAN("if-modified-since"),
	[HEADER_IF_UNMODIFIED_SINCE] = SPAN("if-unmodified-since"),
	[HEADER_EXPECT] = SPAN("expect"),
	[HEADER_REFERER] = SPAN("referer"),
	[HEADER_USER_AGENT] = SPAN("user-agent"),
	[HEADER_CONTENT_LENGTH] = SPAN("content-length"),
	[HEADER_TRANSFER_ENCODING] = SPAN("transfer-encoding"),
};

static enum header header_of(struct span name)
{
	int i;

	for (i = HEADER_HOST; i < HEADERS; i++)
		if (span_is_word(name, names[i]))
			return (enum header)i;
	return HEADER_OTHER;
}

static bool is_token(struct span name)
{
	static const char others[] = "!#$%&'*+-.^_`|~";
	size_t i;

	for (i = 0; i < name.size; i++) {
		unsigned char c = (unsigned char)name.at[i], letter = c | 0x20;

		if ((letter < 'a' || letter > 'z') && (c < '0' || c > '9') &&
		    (c == '\0' || !strchr(others, c)))
			return false;
	}
	return name.size > 0;
}

static void trim(struct span *span)
{
	while (span->size > 0 && strchr(" \t", span->at[span->size - 1]))
		span->size--;
}

/* A name or digits, and a port: letters, digits, -._~ and what IPv6 and escapes need. */
static bool is_host(struct span host)
{
	size_t i;

	for (i = 0; i < host.size; i++) {
		unsigned char c = (unsigned char)host.at[i];

		if (c <= ' ' || c >= 0x7f || strchr("/@?#\\,\"<>^`{|}", c))
			return false;
	}
	return true;
}

static bool is_length(struct span length)
{
	size_t i;

	for (i = 0; i < length.size; i++)
		if (length.at[i] < '0' || length.at[i] > '9')
			return false;
	return length.size > 0 && length.size < 19;
}

static void header_check(struct request *r)
{
	struct span value = r->value[r->current];

	switch (r->current) {
	case HEADER_HOST:
		if (!is_host(value))
			refuse(r, 400);
		break;
	case HEADER_CONTENT_LENGTH:
		if (!is_length(value))
			refuse(r, 400);
		break;
	case HEADER_TRANSFER_ENCODING:
		if (!span_is_word(value, SPAN("chunked")) || r->parser.http_minor == 0)
			refuse(r, 400);
		break;
	case HEADER_EXPECT:
		if (!span_is_word(value, SPAN("100-continue")))
			refuse(r, 417);
		break;
	default:
		break;
	}
}

/* ---- what the parser calls ------------------------------------------------------------------- */

/* Pieces of one thing lie behind each other, but for a value that goes on in another line, which
 * request_check refuses. */
static void extend(struct span *span, const char *at, size_t size)
{
	if (span->size == 0)
		span->at = at;
	span->size += size;
}

static int on_target(llhttp_t *parser, const char *at, size_t size)
{
	struct request *r = request_of(parser);

	extend(&r->target, at, size);
	return r->target.size > TARGET_MOST ? HPE_USER : 0;
}

static int on_name(llhttp_t *parser, const char *at, size_t size)
{
	struct request *r = request_of(parser);

	if (!r->complete)
		extend(&r->name, at, size);
	return 0;
}

static int on_name_end(llhttp_t *parser)
{
	struct request *r = request_of(parser);

	if (r->complete)
		return 0;
	if (!is_token(r->name))
		refuse(r, 400);
	r->current = header_of(r->name);
	r->name.size = 0;
	/* Of those that may be there once only.  What does not matter is overwritten. */
	if (r->current != HEADER_OTHER && r->value[r->current].at)
		refuse(r, 400);
	r->value[r->current] = (struct span){"", 0};
	return ++r->count > HEADERS_MOST ? -1 : 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t size)
{
	struct request *r = request_of(parser);

	if (!r->complete)
		extend(&r->value[r->current], at, size);
	return 0;
}

static int on_value_end(llhttp_t *parser)
{
	struct request *r = request_of(parser);

	if (!r->complete) {
		trim(&r->value[r->current]);
		header_check(r);
	}
	return 0;
}

static int on_head_end(llhttp_t *parser)
{
	struct request *r = request_of(parser);

	r->complete = true;
	r->keep = llhttp_should_keep_alive(parser);
	r->ended = !r->value[HEADER_TRANSFER_ENCODING].at && parser->content_length == 0;
	return HPE_PAUSED;
}

static int on_end(llhttp_t *parser)
{
	request_of(parser)->ended = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t calls = {
	.on_url = on_target,
	.on_header_field = on_name,
	.on_header_field_complete = on_name_end,
	.on_header_value = on_value,
	.on_header_value_complete = on_value_end,
	.on_headers_complete = on_head_end,
	.on_message_complete = on_end,
};

/* ---- parsing --------------------------------------------------------------------------------- */

void request_begin(struct request *r)
{
	memset(r, 0, sizeof *r);
	llhttp_init(&r->parser, HTTP_REQUEST, &calls);
}

size_t request_head(struct request *r, const char *data, size_t size)
{
	enum llhttp_errno error = llhttp_execute(&r->parser, data, size);

	if (error == HPE_OK)
		return size;
	if (error == HPE_PAUSED && r->complete)
		return (size_t)(llhttp_get_error_pos(&r->parser) - data);
	if (r->target.size > TARGET_MOST)
		refuse(r, 414);
	else if (r->count > HEADERS_MOST)
		refuse(r, 431);
	refuse(r, 400);
	return size;
}

void request_body(struct request *r, const char *data, size_t size)
{
	enum llhttp_errno error;

	llhttp_resume(&r->parser);
	error = llhttp_execute(&r->parser, data, size);
	/* What is behind its end is no part of it. */
	r->body += error == HPE_OK ? size : (size_t)(llhttp_get_error_pos(&r->parser) - data);
	if (error != HPE_OK && !r->ended)
		refuse(r, 400);
}

/* Line ends are two characters, together; there is no other control character but the tab; no line
 * goes on in the next one, a form that was given up and that not every program knows. */
static bool has_clean_lines(const char *head, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		unsigned char c = (unsigned char)head[i];

		if (c >= ' ' && c != 0x7f)
			continue;
		if (c == '\t')
			continue;
		if (c != '\r' || i + 1 == size || head[++i] != '\n')
			return false;
		if (i + 1 < size && (head[i + 1] == ' ' || head[i + 1] == '\t'))
			return false;
	}
	return true;
}

/* One space on each side of the target, and nothing behind the version.  The head ends with an
 * empty line, so there are bytes enough behind the target to be looked at. */
static bool has_clean_first_line(const struct request *r, const char *head)
{
	const char *method = llhttp_method_name((llhttp_method_t)r->parser.method);
	const char *behind = r->target.at + r->target.size;
	size_t size = strlen(method);

	while (*head == '\r' || *head == '\n')
		head++;
	return memcmp(head, method, size) == 0 && head[size] == ' ' &&
	       head + size + 1 == r->target.at && memcmp(behind, " HTTP/", 6) == 0 &&
	       behind[7] == '.' && memcmp(behind + 9, "\r\n", 2) == 0;
}

void request_check(struct request *r, const char *head, size_t size)
{
	const llhttp_t *parser = &r->parser;

	if (!has_clean_lines(head, size) || !has_clean_first_line(r, head))
		refuse(r, 400);
	if (parser->http_major != 1)
		refuse(r, parser->http_major ? 505 : 400); /* 0.9 has no headers */
	if (parser->http_minor == 1 && !r->value[HEADER_HOST].at)
		refuse(r, 400);
	if (r->value[HEADER_CONTENT_LENGTH].at && r->value[HEADER_TRANSFER_ENCODING].at)
		refuse(r, 400);
	if (!r->ended || r->status)
		r->keep = false;
}
