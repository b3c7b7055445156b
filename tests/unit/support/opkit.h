/* opkit - a plug-in made for the tests of host/op, an instance of it behind a scripted transport,
 * and outcomes that stay to be looked at.
 *
 * Its objects are https://b.example/KEY: GET, HEAD and PUT by key, POST /?list and /?remove. The
 * tag is the ETag, metadata travel as x-meta-NAME, a failure's code as x-code. With a login,
 * requests carry "authorization: TOKEN" from POST https://login.example/, a JSON {token, lives}. */
#ifndef DIF_TESTS_OPKIT_H
#define DIF_TESTS_OPKIT_H

#include "host/op.h"
#include "unit/support/script.h"

struct opkit {
	struct dif_engine *e;
	struct script *s;
	struct dif_instance *i;
	bool is_closed;
};

/* What an op's callback was given; copied, because the outcome goes. */
struct seen {
	unsigned calls;
	struct dif_error err;
	char tag[64], key[64];
	uint32_t attempts, nrows, nitems;
	uint32_t item_cls[8];
	char item_what[8][64];
	uint64_t size, total;
	bool unknown, not_modified;
	void (*then)(struct seen *); /* called from the callback */
	void *data;
};

/* login: of the plug-in with a login; else of the one without. */
struct opkit *opkit_new(bool login);
/* Another plug-in: the caller's verbs. */
struct opkit *opkit_new_with(const struct dif_offer *offer);
/* Closes, runs the loop dry, checks the script. */
void opkit_free(struct opkit *k);
void opkit_close(struct opkit *k); /* only begins to */
/* Runs the loop until *seen has been called back n times in all; fails the test after 20 s. */
void opkit_until(struct opkit *k, const unsigned *calls, unsigned n);
/* Runs the loop until the script has seen n requests. */
void opkit_until_asked(struct opkit *k, size_t n);
void opkit_turn(struct opkit *k); /* a few turns, for what must not happen */

void on_seen(void *data, const struct dif_outcome *out); /* data: struct seen */
struct dif_op_run *opkit_get(struct opkit *k, const char *key, struct seen *s);

/* A put of five bytes with order 7 and sha256 "aa", and its condition. */
struct putting {
	struct dif_put in;
	struct dif_blob blob;
	struct dif_body_bytes body;
	struct dif_field meta[3];
};
void putting_init(struct putting *p, const char *key, const char *if_tag, bool if_absent);

/* The store verbs of the plug-in, for offers that change one of them. */
extern const struct dif_store opkit_store;
extern const struct dif_option opkit_options[];
extern const uint32_t opkit_noptions;

#endif
