/* store - an instance of a plug-in for tests, its verbs as plain calls.
 *
 *   struct store *st = store_open("[store t]\nplugin = s3\nbucket = ...\n", NULL);
 *   struct script *s = script_new(st->engine); // or a real server
 *   script_expect(s, ...);
 *   const struct store_out *out = store_get(st, &(struct dif_get){.key = "a"});
 *   assert_string_equal(out->object.tag, "\"1\"");
 *   script_free(s);
 *   store_close(st);
 *
 * The first word of the section tells the kind: [cdn t], [steering t] and [lease t] are run by
 * store_verb.
 */
#ifndef DIF_TESTS_STORE_H
#define DIF_TESTS_STORE_H

#include "base/buf.h"
#include "host/body.h"
#include "host/op.h"
#include "tests/support.h"

struct store_out {
	struct dif_error err;
	struct dif_object object;
	bool not_modified, unknown;
	const char *cursor, *upload, *token;
	const char *ticket, *tag, *lease, *holder; /* NULL: none */
	bool settled;
	uint32_t wait_ms, ttl_s;
	uint64_t total, accepted, fence;
	const struct dif_target *targets;
	uint32_t ntargets;
	const struct dif_object *rows;
	uint32_t nrows;
	const struct dif_item *items;
	uint32_t nitems, attempts;
	struct dif_buf body; /* store_get: what went into the sink */
};

struct store {
	struct dif_engine *engine;
	struct dif_instance *instance;
	struct dif_arena arena; /* configuration and everything that outcomes point to */
	struct store_out out;   /* of the last call */
	int64_t deadline_ms;    /* of each call; 30 s */
	bool ended;
	struct dif_op_run *run; /* of the last call, while it runs */
};

/* Loads PLUGINS_D/PLUGIN.so, PLUGIN being the section's `plugin`, and opens the first section of
 * the text, whose secrets may stand in it. Refused: NULL and *err; with err NULL that fails the
 * test. */
struct store *store_open(const char *ini, struct dif_error *err);
/* Runs the loop dry; fails the test where the engine does not end. */
void store_close(struct store *st);

/* Each runs one op to its end. The outcome is valid until the next call. */
const struct store_out *store_probe(struct store *st);
const struct store_out *store_list(struct store *st, const struct dif_list *in);
const struct store_out *store_head(struct store *st, const struct dif_get *in);
const struct store_out *store_get(struct store *st, const struct dif_get *in); /* sink NULL: body */
const struct store_out *store_put(struct store *st, const struct dif_put *in);
const struct store_out *store_remove(struct store *st, const struct dif_remove *in);
/* verb: DIF_PART_... */
const struct store_out *store_part(struct store *st, enum dif_verb_id verb,
                                   const struct dif_part *in);
/* Any verb, of any kind. */
const struct store_out *store_verb(struct store *st, enum dif_verb_id verb, const void *in);

/* Bytes as a blob, with every digest that a store may ask for. The bytes stay the caller's. */
struct store_blob {
	struct dif_blob blob;
	struct dif_body_bytes body;
	uint8_t digest[DIF_DIGESTS][64];
};
const struct dif_blob *store_blob(struct store_blob *b, const void *p, size_t n);

/* The value of a metadata item, NULL: not there. */
const char *store_meta(const struct dif_object *o, const char *name);

#endif
