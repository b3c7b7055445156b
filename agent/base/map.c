/* map - open addressing with linear probing and removal by shifting back, so no tombstones.
 *
 * Names come from packages and replies, so the hash is keyed once per process (SipHash-1-3):
 * nobody can prepare names that all fall into one place.
 */
#include "base/map.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define FIRST 16u /* slots; a power of two, as every later size */

struct dif_map_slot {
	const char *key; /* NULL: free */
	void *value;
	uint64_t hash;
};

static uint64_t seed[2];

static void make_seed(void)
{
	if (getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed) {
		/* Early in the life of a machine without entropy: better than a constant. */
		struct timespec t = {0};
		clock_gettime(CLOCK_REALTIME, &t);
		seed[0] ^= (uint64_t)t.tv_nsec * 0x9e3779b97f4a7c15u;
		seed[1] ^= (uint64_t)(uintptr_t)&t;
	}
}

static inline uint64_t rotl(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

static uint64_t hash_of(const char *key)
{
	size_t n = strlen(key), left = n;
	uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du,
	                 seed[0] ^ 0x6c7967656e657261u, seed[1] ^ 0x7465646279746573u};
	uint64_t m;
	for (; left >= 8; left -= 8, key += 8) {
		memcpy(&m, key, 8);
		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
	}
	m = 0;
	memcpy(&m, key, left);
	m |= (uint64_t)n << 56;
	v[3] ^= m;
	sip_round(v);
	v[0] ^= m;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void dif_map_init(struct dif_map *m)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, make_seed);
	*m = (struct dif_map){0};
}

void dif_map_fini(struct dif_map *m)
{
	free(m->slots);
	*m = (struct dif_map){0};
}

/* The slot of the key, or the free one where it belongs. There is always a free one. */
static struct dif_map_slot *find(const struct dif_map *m, const char *key, uint64_t hash)
{
	size_t mask = m->cap - 1;
	for (size_t i = hash & mask;; i = (i + 1) & mask) {
		struct dif_map_slot *s = &m->slots[i];
		if (s->key == NULL || (s->hash == hash && strcmp(s->key, key) == 0)) {
			return s;
		}
	}
}

static bool grow(struct dif_map *m)
{
	struct dif_map bigger = {.n = m->n, .cap = m->cap > 0 ? m->cap * 2 : FIRST};
	bigger.slots = calloc(bigger.cap, sizeof *bigger.slots);
	if (bigger.slots == NULL) {
		return false;
	}
	size_t mask = bigger.cap - 1;
	for (size_t i = 0; i < m->cap; i++) {
		if (m->slots[i].key != NULL) {
			size_t at = m->slots[i].hash & mask;
			while (bigger.slots[at].key != NULL) {
				at = (at + 1) & mask;
			}
			bigger.slots[at] = m->slots[i];
		}
	}
	free(m->slots);
	*m = bigger;
	return true;
}

bool dif_map_put(struct dif_map *m, const char *key, void *value)
{
	uint64_t hash = hash_of(key);
	struct dif_map_slot *s = m->cap > 0 ? find(m, key, hash) : NULL;
	if (s == NULL || s->key == NULL) {
		if ((m->n + 1) * 4 > m->cap * 3) {
			if (!grow(m)) {
				return false;
			}
			s = find(m, key, hash);
		}
		m->n++;
	}
	*s = (struct dif_map_slot){.key = key, .value = value, .hash = hash};
	return true;
}

void *dif_map_get(const struct dif_map *m, const char *key)
{
	if (m->n == 0) {
		return NULL;
	}
	return find(m, key, hash_of(key))->value; /* a free slot holds NULL */
}

void *dif_map_remove(struct dif_map *m, const char *key)
{
	if (m->n == 0) {
		return NULL;
	}
	struct dif_map_slot *s = find(m, key, hash_of(key));
	if (s->key == NULL) {
		return NULL;
	}
	void *value = s->value;
	size_t mask = m->cap - 1, hole = (size_t)(s - m->slots);
	for (size_t i = (hole + 1) & mask; m->slots[i].key != NULL; i = (i + 1) & mask) {
		size_t home = m->slots[i].hash & mask;
		/* It may move back only if the hole lies between its home and itself. */
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole] = (struct dif_map_slot){0};
	m->n--;
	return value;
}

bool dif_map_next(const struct dif_map *m, size_t *at, const char **key, void **value)
{
	for (; *at < m->cap; (*at)++) {
		const struct dif_map_slot *s = &m->slots[*at];
		if (s->key != NULL) {
			if (key != NULL) {
				*key = s->key;
			}
			if (value != NULL) {
				*value = s->value;
			}
			(*at)++;
			return true;
		}
	}
	return false;
}
