/* runtime/io/address.c: addresses of the internet, and the look-up of names: rule N2. */
#include "io/net.h"

#include <errno.h>
#include <scope_offload.h>
#include <string.h>

/* What of a struct sc_address an IPv6 address takes, its size before it. */
_Static_assert(sizeof(struct scope_address) >= 36, "an address fits");

int sc_address_out(const struct sc_address *from, struct scope_address *to)
{
	char digits[48];

	sc_os_address_print(from, digits, sizeof digits);
	if (!digits[0])
		return -EAFNOSUPPORT;
	memset(to, 0, sizeof *to);
	to->opaque[0] = from->size;
	memcpy(&to->opaque[1], from->bytes, sizeof *to - sizeof to->opaque[0]);
	return 0;
}

void sc_address_in(const struct scope_address *from, struct sc_address *to)
{
	memset(to, 0, sizeof *to);
	to->size = (uint32_t)from->opaque[0];
	memcpy(to->bytes, &from->opaque[1], sizeof *from - sizeof from->opaque[0]);
}

int scope_address_set(struct scope_address *address, const char *host, uint16_t port)
{
	struct sc_address parsed;

	if (!address || !host || sc_os_address_parse(host, port, &parsed) < 0)
		return -EINVAL;
	return sc_address_out(&parsed, address);
}

uint16_t scope_address_get(const struct scope_address *address, char *host, size_t size)
{
	struct sc_address inner;

	sc_address_in(address, &inner);
	return sc_os_address_print(&inner, host, size);
}

/* ---- names ---------------------------------------------------------------------------------- */

/* Owned by the look-up: it goes on when its task has given it up. */
struct question {
	char host[256];
	uint16_t port;
	struct sc_address found[SC_ADDRESSES];
};

static int look_up(void *arg)
{
	struct question *question = arg;
	int rc = sc_os.resolve(question->host, question->port, question->found, SC_ADDRESSES);

	/* Of positive results a scope would make errors, but this is none of its tasks. */
	return rc;
}

static int is_v6(const struct sc_address *address)
{
	char digits[48];

	sc_os_address_print(address, digits, sizeof digits);
	return strchr(digits, ':') != NULL;
}

/* The families take turns, beginning with that of the first: where one does not work, the other is
 * tried second (RFC 8305, 4). */
static void take_turns(const struct sc_address *found, int count, struct sc_address *out)
{
	int next[2] = {0, 0}, family = is_v6(&found[0]), i;

	for (i = 0; i < count; i++, family = !family) {
		int *from = &next[family];

		while (*from < count && is_v6(&found[*from]) != family)
			++*from;
		if (*from == count) {
			i--; /* of this one none is left */
			continue;
		}
		out[i] = found[(*from)++];
	}
}

int sc_resolve(const char *host, uint16_t port, struct sc_address *out)
{
	const struct scope_offload_options options = {.mode = SCOPE_OFFLOAD_ABANDON,
						      .copy_size = sizeof(struct question)};
	struct question question = {.port = port};
	int count;

	if (sc_os_address_parse(host, port, out) == 0)
		return 1;
	if (strlen(host) >= sizeof question.host)
		return -ENOENT;
	strcpy(question.host, host);
	count = scope_offload(look_up, &question, &options);
	if (count > 0)
		take_turns(question.found, count, out);
	return count;
}

int scope_resolve(const char *host, uint16_t port, struct scope_address *out_addresses, size_t most)
{
	struct sc_address found[SC_ADDRESSES];
	int count, i;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_resolve");
	if (!host || !out_addresses || most == 0)
		return -EINVAL;
	count = sc_resolve(host, port, found);
	if (count > 0 && (size_t)count > most)
		count = (int)most;
	for (i = 0; i < count; i++)
		sc_address_out(&found[i], &out_addresses[i]);
	return count;
}
