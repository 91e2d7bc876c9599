/* examples/scope-sum/text.c: growing text, with the escapes of sha256sum and of messages. */
#include "sum.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static bool text_reserve(struct text *t, size_t more)
{
	if (t->bad)
		return false;
	if (t->room - t->length >= more)
		return true;
	size_t room = t->room ? t->room : 128;
	while (room - t->length < more)
		room *= 2;
	char *data = realloc(t->data, room);
	if (!data) {
		t->bad = true;
		return false;
	}
	t->data = data;
	t->room = room;
	return true;
}

void text_put(struct text *t, const char *data, size_t length)
{
	if (length && text_reserve(t, length)) {
		memcpy(t->data + t->length, data, length);
		t->length += length;
	}
}

void text_string(struct text *t, const char *string)
{
	text_put(t, string, strlen(string));
}

/* For numbers and short words: cut at 255 bytes. */
void text_format(struct text *t, const char *format, ...)
{
	char piece[256];
	va_list list;

	va_start(list, format);
	int length = vsnprintf(piece, sizeof(piece), format, list);
	va_end(list);
	if (length > 0)
		text_put(t, piece, (size_t)length < sizeof(piece) ? (size_t)length :
								    sizeof(piece) - 1);
}

/* A message is one line and must not steer the terminal: control bytes become \n, \r or
 * three octal digits, all else stays as it is. */
void text_quoted(struct text *t, const char *data, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)data[i];

		if (c == '\n')
			text_put(t, "\\n", 2);
		else if (c == '\r')
			text_put(t, "\\r", 2);
		else if (c < ' ' || c == 0x7f)
			text_format(t, "\\%03o", c);
		else
			text_put(t, &data[i], 1);
	}
}

bool needs_escape(const char *data, size_t length)
{
	return memchr(data, '\\', length) || memchr(data, '\n', length) ||
	       memchr(data, '\r', length);
}

void text_escaped(struct text *t, const char *data, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (data[i] == '\\')
			text_put(t, "\\\\", 2);
		else if (data[i] == '\n')
			text_put(t, "\\n", 2);
		else if (data[i] == '\r')
			text_put(t, "\\r", 2);
		else
			text_put(t, &data[i], 1);
	}
}

void text_free(struct text *t)
{
	free(t->data);
	*t = (struct text){0};
}
