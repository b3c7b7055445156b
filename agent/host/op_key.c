/* op_key - some stores take a key only so often (Google: once a second). A second write within that
 * time waits here, which costs less than to be refused there and to back off.
 *
 * What was refused (a lost condition) was no write. Of two writes at once nothing is said: nobody
 * here writes a key again before he knows what became of the first.
 */
#include "host/op_private.h"

static uint64_t hash_of(const char *key) /* FNV-1a */
{
	uint64_t h = 0xcbf29ce484222325u;
	for (const char *p = key; *p != '\0'; p++) {
		h = (h ^ (uint8_t)*p) * 0x100000001b3u;
	}
	return h;
}

/* NULL: r writes no key, or the store does not care. */
static struct dif_key_time *place_of(const struct dif_op_run *r, uint64_t *hash)
{
	if (r->i->key_times == NULL || r->must_read_back ||
	    (r->verb != DIF_PUT && r->verb != DIF_PART_FINISH)) {
		return NULL;
	}
	*hash = hash_of(dif_run_subject(r));
	return &r->i->key_times[*hash % DIF_KEY_TIMES];
}

int64_t dif_key_wait(const struct dif_op_run *r, int64_t now)
{
	uint64_t hash = 0;
	const struct dif_key_time *t = place_of(r, &hash);
	if (t == NULL || t->at == 0 || t->hash != hash) {
		return 0;
	}
	int64_t due = t->at + (int64_t)(1000 / r->i->caps.key_writes_per_s);
	return due > now ? due - now : 0;
}

void dif_key_note(struct dif_op_run *r, int64_t now)
{
	uint64_t hash = 0;
	struct dif_key_time *t = place_of(r, &hash);
	if (t != NULL) {
		*t = (struct dif_key_time){hash, now};
	}
}
