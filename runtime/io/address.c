/* runtime/io/address.c: addresses of the internet, and the look-up of names: rule N2. */
#include "io/engine.h"
#include "io/net.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
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

/* From the heap: a look-up may be abandoned. */
struct question {
	struct sc_op op;
	const char *host;
	uint16_t port;
};

static void drop(struct sc_op *op)
{
	uv_freeaddrinfo(op->uv.names.addrinfo);
	sc_os.free(SC_CONTAINER(op, struct question, op));
}

static void on_end(uv_getaddrinfo_t *names, int status, struct addrinfo *found)
{
	(void)status; /* names->retcode */
	(void)found;  /* names->addrinfo */
	sc_op_ended(SC_CONTAINER(names, struct sc_op, uv.names));
}

static int start(uv_loop_t *loop, struct sc_op *op)
{
	const struct question *question = SC_CONTAINER(op, struct question, op);
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	char service[8];

	snprintf(service, sizeof service, "%u", question->port);
	return uv_getaddrinfo(loop, &op->uv.names, on_end, question->host, service, &hints);
}

/* Those of look-ups have numbers of libuv's own, below all others. */
static int reason(int uv)
{
	switch (uv) {
	case UV_EAI_NONAME:
	case UV_EAI_NODATA:
	case UV_EAI_ADDRFAMILY:
	case UV_EINVAL: /* it can't be the name of a host */
	case UV_ENAMETOOLONG:
		return -ENOENT;
	case UV_EAI_AGAIN:
		return -EAGAIN;
	case UV_EAI_MEMORY:
		return -ENOMEM;
	default:
		return uv <= UV_EAI_ADDRFAMILY ? -EIO : uv;
	}
}

static int copy(const struct addrinfo *list, struct sc_address *out)
{
	int count = 0;

	for (; list && count < SC_ADDRESSES; list = list->ai_next)
		count += sc_os_address_copy(list->ai_addr, list->ai_addrlen, &out[count]) == 0;
	return count ? count : -ENOENT;
}

static int look_up(const char *host, uint16_t port, struct sc_address *out)
{
	struct question *question = sc_os.alloc(sizeof *question);
	int rc;

	if (!question)
		return -ENOMEM;
	*question = (struct question){.op = {.what = (const void *)scope_resolve, .drop = drop},
				      .host = host, .port = port};
	rc = sc_op_run(&question->op, start);
	if (rc < 0)
		return reason(rc);
	rc = question->op.uv.names.retcode;
	rc = rc < 0 ? reason(rc) : copy(question->op.uv.names.addrinfo, out);
	drop(&question->op);
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
	struct sc_address found[SC_ADDRESSES];
	int count;

	if (sc_os_address_parse(host, port, out) == 0)
		return 1;
	count = look_up(host, port, found);
	if (count > 0)
		take_turns(found, count, out);
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
