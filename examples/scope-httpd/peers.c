/* examples/scope-httpd/peers.c: how many connections each address has. */
#include "httpd.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* Of IPv6 the network of 64 bits, all of whose addresses are one customer's. */
struct peer {
	struct peer *next;
	unsigned char key[16];
	unsigned count;
};

static void key_of(const char *address, unsigned char key[16])
{
	memset(key, 0, 16);
	if (inet_pton(AF_INET, address, key + 12) == 1) {
		key[10] = key[11] = 0xff;
	} else if (inet_pton(AF_INET6, address, key) == 1) {
		static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

		if (memcmp(key, mapped, sizeof mapped) != 0)
			memset(key + 8, 0, 8);
	}
}

static struct peer **bucket_of(struct peers *peers, const unsigned char key[16])
{
	uint64_t halves[2];

	memcpy(halves, key, 16);
	return &peers->bucket[((halves[0] ^ halves[1]) * 0x9e3779b97f4a7c15) >> 54];
}

struct peer *peer_enter(struct peers *peers, const char *address, unsigned most)
{
	unsigned char key[16];
	struct peer **bucket, *peer;

	key_of(address, key);
	bucket = bucket_of(peers, key);
	pthread_mutex_lock(&peers->lock);
	for (peer = *bucket; peer; peer = peer->next)
		if (memcmp(peer->key, key, sizeof key) == 0)
			break;
	if (!peer && (peer = calloc(1, sizeof *peer))) {
		memcpy(peer->key, key, sizeof key);
		peer->next = *bucket;
		*bucket = peer;
	}
	if (peer && most && peer->count >= most)
		peer = NULL;
	if (peer)
		peer->count++;
	pthread_mutex_unlock(&peers->lock);
	return peer;
}

void peer_leave(struct peers *peers, struct peer *peer)
{
	struct peer **at;

	pthread_mutex_lock(&peers->lock);
	if (--peer->count == 0) {
		for (at = bucket_of(peers, peer->key); *at != peer; at = &(*at)->next)
			;
		*at = peer->next;
		free(peer);
	}
	pthread_mutex_unlock(&peers->lock);
}
