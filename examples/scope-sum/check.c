/* examples/scope-sum/check.c: reads a manifest, has its files hashed, reports on each. */
#include "sum.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned char digest[DIGEST_SIZE];

/* Written by the root task, before and after the hashing. */
static struct {
	digest *expected; /* in the manifest's order, as the files in their slices are */
	size_t count, room;
	size_t malformed;
} check;

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hex(const char *hex, size_t length, digest out)
{
	if (length < (size_t)2 * DIGEST_SIZE)
		return false;
	for (size_t i = 0; i < DIGEST_SIZE; i++) {
		int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

/* Undoes the escapes in place.  False: an escape that sha256sum does not write. */
static bool unescape(char *name, size_t *length)
{
	size_t to = 0;

	for (size_t i = 0; i < *length; i++) {
		char c = name[i];

		if (c == '\\') {
			if (++i == *length || !strchr("nr\\", name[i]))
				return false;
			c = name[i] == 'n' ? '\n' : name[i] == 'r' ? '\r' : '\\';
		}
		name[to++] = c;
	}
	*length = to;
	return true;
}

/* "SHA256 (name) = hex", as sha256sum --tag writes it. */
static bool split_tagged(char *line, size_t length, digest out, char **out_name, size_t *out_length)
{
	static const char start[] = "SHA256 (", middle[] = ") = ";
	size_t head = sizeof(start) - 1, tail = sizeof(middle) - 1 + (size_t)2 * DIGEST_SIZE;

	if (length < head + tail || memcmp(line, start, head) ||
	    memcmp(line + length - tail, middle, sizeof(middle) - 1))
		return false;
	*out_name = line + head;
	*out_length = length - head - tail;
	return parse_hex(line + length - (size_t)2 * DIGEST_SIZE, (size_t)2 * DIGEST_SIZE, out);
}

/* "hex  name", "hex *name", "hex name". */
static bool split_plain(char *line, size_t length, digest out, char **out_name, size_t *out_length)
{
	size_t at = (size_t)2 * DIGEST_SIZE;

	if (!parse_hex(line, length, out) || length < at + 2 ||
	    (line[at] != ' ' && line[at] != '\t'))
		return false;
	at++;
	if (length > at + 1 && (line[at] == ' ' || line[at] == '*'))
		at++;
	*out_name = line + at;
	*out_length = length - at;
	return true;
}

static bool split(char *line, size_t length, digest out, char **out_name, size_t *out_length)
{
	bool escaped;

	while (length && (*line == ' ' || *line == '\t')) {
		line++;
		length--;
	}
	escaped = length && *line == '\\';
	line += escaped;
	length -= escaped;
	if (!split_tagged(line, length, out, out_name, out_length) &&
	    !split_plain(line, length, out, out_name, out_length))
		return false;
	return (!escaped || unescape(*out_name, out_length)) && *out_length &&
	       !memchr(*out_name, '\0', *out_length);
}

static bool reserve_digest(void)
{
	if (check.count < check.room)
		return true;
	size_t room = check.room ? 2 * check.room : 256;
	digest *expected = realloc(check.expected, room * sizeof(*expected));
	if (!expected)
		return false;
	check.expected = expected;
	check.room = room;
	return true;
}

static int add_line(struct batch *batch, char *line, size_t length)
{
	struct stat st;
	char *name;
	size_t name_length;

	if (length && line[length - 1] == '\r')
		length--;
	if (!length || *line == '#')
		return 0;
	if (!reserve_digest())
		return -ENOMEM;
	if (!split(line, length, check.expected[check.count], &name, &name_length)) {
		check.malformed++;
		return 0;
	}
	if (!batch_add(batch, name, name_length))
		return -ENOMEM;
	check.count++;
	if (sum.progress) {
		name[name_length] = '\0';
		if (!stat(name, &st))
			atomic_fetch_add(&sum.bytes_seen, (uint64_t)st.st_size);
	}
	return 0;
}

/* The whole manifest: it is smaller than what is kept of it.  0, -ECANCELED or -errno. */
static int read_whole(const char *name, char **out_data, size_t *out_length)
{
	bool standard = !strcmp(name, "-");
	int fd = standard ? STDIN_FILENO : open_at(AT_FDCWD, name, strlen(name), O_RDONLY);
	struct stat st;
	size_t room = 0, length = 0;
	char *data = NULL;
	int rc = fd < 0 ? fd : 0;

	bool regular = !rc && !fstat(fd, &st) && S_ISREG(st.st_mode);
	while (!rc) {
		if (room - length < READ_SIZE) {
			room = room ? 2 * room : 2 * READ_SIZE;
			char *grown = realloc(data, room + 1);
			if (!grown) {
				rc = -ENOMEM;
				break;
			}
			data = grown;
		}
		if (scope_cancelled() || (!regular && wait_ready(fd, POLLIN))) {
			rc = -ECANCELED;
			break;
		}
		ssize_t n = read(fd, data + length, room - length);
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			rc = -errno;
		if (n > 0)
			length += (size_t)n;
	}
	if (fd >= 0 && !standard)
		close(fd);
	if (rc)
		free(data);
	else {
		*out_data = data;
		*out_length = length;
	}
	return rc;
}

/* Sends every file of the manifest to sum.hash.  0, -ECANCELED, or an error that was
 * reported. */
int check_read(const char *manifest)
{
	struct batch batch;
	char *data;
	size_t length;
	int rc = read_whole(manifest, &data, &length);

	if (rc) {
		if (rc != -ECANCELED)
			note_errno("", manifest, -rc);
		return rc;
	}
	batch_start(&batch, &as_given);
	for (char *line = data, *end = data + length; line < end && !rc;) {
		char *stop = memchr(line, '\n', (size_t)(end - line));

		if (!stop)
			stop = end;
		rc = scope_cancelled() ? -ECANCELED : add_line(&batch, line, (size_t)(stop - line));
		line = stop + 1;
	}
	batch_send(&batch);
	free(data);
	if (rc == -ENOMEM)
		note_errno("", manifest, ENOMEM);
	if (!rc && !check.count) {
		note_error("", manifest, "no properly formatted checksum lines found");
		rc = -EINVAL;
	}
	return rc;
}

/* sha256sum escapes names here only if they would break the line. */
static void format_line(struct text *t, const struct file *f, const char *verdict)
{
	t->length = 0;
	if (memchr(f->name, '\n', f->length)) {
		text_put(t, "\\", 1);
		text_escaped(t, f->name, f->length);
	} else {
		text_put(t, f->name, f->length);
	}
	text_string(t, verdict);
}

static void warn(size_t count, const char *one, const char *many)
{
	struct text t = {0};

	if (!count)
		return;
	text_format(&t, "WARNING: %zu %s", count, count == 1 ? one : many);
	text_put(&t, "", 1);
	if (!t.bad)
		note_plain(NULL, NULL, t.data);
	text_free(&t);
}

int check_report(void)
{
	struct out out;
	struct text line = {0};
	size_t at = 0, unreadable = 0, wrong = 0;
	int rc = out_open(&out, NULL);

	if (rc)
		return rc;
	for (struct slice *s = slices_in_order(); s && !rc; s = s->next) {
		struct file *f = slice_first(s);

		for (uint32_t i = 0; i < s->count && !rc; i++, at++, f = file_next(f)) {
			bool read = f->state == FILE_DONE;
			bool same = read && !memcmp(f->digest, check.expected[at], DIGEST_SIZE);

			unreadable += !read;
			wrong += read && !same;
			format_line(&line, f, same ? ": OK\n" :
					      read ? ": FAILED\n" :
						     ": FAILED open or read\n");
			rc = line.bad ? -ENOMEM : out_write(&out, line.data, line.length);
		}
	}
	text_free(&line);
	rc = out_finish(&out, rc);
	if (rc == -ECANCELED)
		return rc;
	warn(check.malformed, "line is improperly formatted", "lines are improperly formatted");
	warn(unreadable, "listed file could not be read", "listed files could not be read");
	warn(wrong, "computed checksum did NOT match", "computed checksums did NOT match");
	if (unreadable || wrong)
		atomic_store(&sum.failed, true);
	return rc;
}
