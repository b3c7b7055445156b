#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "flow/state_private.h"

#define MANIFEST_MAX (256u << 20) /* bytes of text: 500,000 entries */

/* --- cuts --- */

#define CUT_COLUMNS                                                                           \
	"sha256, epoch, number, name, source, profile, reason, bytes, entries, status, seen," \
	" published"

static void read_cut(sqlite3_stmt *q, struct dif_cut *cut)
{
	*cut = (struct dif_cut){.order = {.epoch = sqlite3_column_int64(q, 1),
	                                  .number = sqlite3_column_int64(q, 2)},
	                        .name = dif_state_text(q, 3),
	                        .source = dif_state_text(q, 4),
	                        .profile = dif_state_text(q, 5),
	                        .reason = dif_state_text(q, 6),
	                        .bytes = (uint64_t)sqlite3_column_int64(q, 7),
	                        .entries = (uint32_t)sqlite3_column_int64(q, 8),
	                        .status = (uint32_t)sqlite3_column_int64(q, 9),
	                        .seen = sqlite3_column_int64(q, 10),
	                        .published = sqlite3_column_int64(q, 11)};
	(void)snprintf(cut->order.sha256, sizeof cut->order.sha256, "%s", dif_state_text(q, 0));
}

void dif_state_cuts(struct dif_state *s, uint32_t max,
                    void (*row)(void *data, const struct dif_cut *cut), void *data)
{
	sqlite3_stmt *q = dif_state_read(s, "SELECT " CUT_COLUMNS " FROM cut ORDER BY epoch DESC,"
	                                    " number DESC, sha256 DESC LIMIT ?");
	if (q == NULL) {
		return;
	}
	sqlite3_bind_int64(q, 1, max);
	while (dif_state_row(s, q)) {
		struct dif_cut cut;
		read_cut(q, &cut);
		row(data, &cut);
	}
	sqlite3_finalize(q);
}

bool dif_state_cut(struct dif_state *s, const char *sha256, struct dif_cut *cut,
                   struct dif_arena *a)
{
	sqlite3_stmt *q = dif_state_read(s, "SELECT " CUT_COLUMNS " FROM cut WHERE sha256 = ?");
	if (q == NULL) {
		return false;
	}
	sqlite3_bind_text(q, 1, sha256, -1, SQLITE_STATIC);
	bool found = dif_state_row(s, q);
	if (found) {
		read_cut(q, cut);
		cut->name = dif_arena_str(a, cut->name);
		cut->source = dif_arena_str(a, cut->source);
		cut->profile = dif_arena_str(a, cut->profile);
		cut->reason = dif_arena_str(a, cut->reason);
	}
	sqlite3_finalize(q);
	return found;
}

int64_t dif_state_highest_number(struct dif_state *s, int64_t epoch)
{
	sqlite3_stmt *q = dif_state_read(s, "SELECT max(number) FROM cut WHERE epoch = ?");
	if (q == NULL) {
		return 0;
	}
	sqlite3_bind_int64(q, 1, epoch);
	int64_t highest = dif_state_row(s, q) ? sqlite3_column_int64(q, 0) : 0;
	sqlite3_finalize(q);
	return highest;
}

bool dif_state_put_cut(struct dif_state *s, const struct dif_cut *cut)
{
	const struct dif_state_value v[] = {
		dif_state_str(cut->order.sha256), dif_state_int(cut->order.epoch),
		dif_state_int(cut->order.number), dif_state_str(cut->name),
		dif_state_str(cut->source),       dif_state_str(cut->profile),
		dif_state_str(cut->reason),       dif_state_int((int64_t)cut->bytes),
		dif_state_int(cut->entries),      dif_state_int(cut->status),
		dif_state_int(cut->seen),         dif_state_int(cut->published),
	};
	return dif_state_queue(s, DIF_SQL_PUT_CUT, v, DIF_LEN(v));
}

/* --- manifests --- */

bool dif_state_put_manifest(struct dif_state *s, const struct dif_manifest *m)
{
	struct dif_buf text;
	dif_buf_init(&text, MANIFEST_MAX);
	bool ok = dif_manifest_write(m, &text);
	const struct dif_state_value v[] = {dif_state_str(m->order.sha256),
	                                    dif_state_blob(dif_buf_str(&text), text.n)};
	ok = ok && dif_state_queue(s, DIF_SQL_PUT_MANIFEST, v, DIF_LEN(v)) &&
	     dif_state_queue(s, DIF_SQL_TRIM_MANIFESTS, NULL, 0);
	dif_buf_fini(&text);
	return ok;
}

struct dif_manifest *dif_state_manifest(struct dif_state *s, const char *sha256,
                                        struct dif_error *err)
{
	struct dif_manifest *m = NULL;
	dif_error_clear(err);
	sqlite3_stmt *q = dif_state_read(s, "SELECT text FROM manifest WHERE sha256 = ?");
	if (q == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not read manifest '%s': %s", sha256,
		              sqlite3_errmsg(s->reader));
		return NULL;
	}
	sqlite3_bind_text(q, 1, sha256, -1, SQLITE_STATIC);
	if (dif_state_row(s, q)) {
		const void *p = sqlite3_column_blob(q, 0);
		struct dif_bytes text = {p, (uint64_t)sqlite3_column_bytes(q, 0)};
		m = dif_manifest_read(text, err);
	}
	sqlite3_finalize(q);
	return m;
}

/* --- deliveries --- */

bool dif_state_put_delivery(struct dif_state *s, const struct dif_delivery_record *d)
{
	const struct dif_state_value v[] = {
		dif_state_str(d->destination),
		dif_state_str(d->sha256),
		dif_state_str(d->state),
		dif_state_str(d->reason),
		dif_state_int(d->started),
		dif_state_int(d->ended),
		dif_state_int((int64_t)d->puts),
		dif_state_int((int64_t)d->put_bytes),
		dif_state_int((int64_t)d->removed),
		dif_state_int((int64_t)d->skipped),
		dif_state_int(d->complete),
	};
	return dif_state_queue(s, DIF_SQL_PUT_DELIVERY, v, DIF_LEN(v));
}

bool dif_state_delivery(struct dif_state *s, const char *destination, const char *sha256,
                        struct dif_delivery_record *d, struct dif_arena *a)
{
	sqlite3_stmt *q = dif_state_read(
		s, "SELECT destination, sha256, state, reason, started, ended, puts, put_bytes,"
		   " removed, skipped, complete FROM delivery WHERE destination = ?1 AND"
		   " (?2 IS NULL OR sha256 = ?2) ORDER BY started DESC, rowid DESC LIMIT 1");
	if (q == NULL) {
		return false;
	}
	sqlite3_bind_text(q, 1, destination, -1, SQLITE_STATIC);
	sqlite3_bind_text(q, 2, sha256, -1, SQLITE_STATIC);
	bool found = dif_state_row(s, q);
	if (found) {
		*d = (struct dif_delivery_record){
			.destination = dif_arena_str(a, dif_state_text(q, 0)),
			.state = dif_arena_str(a, dif_state_text(q, 2)),
			.reason = dif_arena_str(a, dif_state_text(q, 3)),
			.started = sqlite3_column_int64(q, 4),
			.ended = sqlite3_column_int64(q, 5),
			.puts = (uint64_t)sqlite3_column_int64(q, 6),
			.put_bytes = (uint64_t)sqlite3_column_int64(q, 7),
			.removed = (uint64_t)sqlite3_column_int64(q, 8),
			.skipped = (uint64_t)sqlite3_column_int64(q, 9),
			.complete = sqlite3_column_int(q, 10) != 0,
		};
		(void)snprintf(d->sha256, sizeof d->sha256, "%s", dif_state_text(q, 1));
	}
	sqlite3_finalize(q);
	return found;
}

/* --- facts --- */

bool dif_state_put_fact(struct dif_state *s, const char *scope, const char *name, const char *value)
{
	const struct dif_state_value v[] = {dif_state_str(scope), dif_state_str(name),
	                                    dif_state_str(value), dif_state_int(dif_wall_ms())};
	return value == NULL ? dif_state_queue(s, DIF_SQL_DROP_FACT, v, 2)
	                     : dif_state_queue(s, DIF_SQL_PUT_FACT, v, 4);
}

const char *dif_state_fact(struct dif_state *s, const char *scope, const char *name,
                           int64_t max_age_ms, struct dif_arena *a)
{
	sqlite3_stmt *q =
		dif_state_read(s, "SELECT value, at FROM fact WHERE scope = ? AND name = ?");
	if (q == NULL) {
		return NULL;
	}
	sqlite3_bind_text(q, 1, scope, -1, SQLITE_STATIC);
	sqlite3_bind_text(q, 2, name, -1, SQLITE_STATIC);
	const char *value = NULL;
	if (dif_state_row(s, q)) {
		int64_t age = dif_wall_ms() - sqlite3_column_int64(q, 1);
		/* A negative age is a clock that was set back: such a fact is of no known age. */
		if (max_age_ms == 0 || max_age_ms == INT64_MAX || (age >= 0 && age <= max_age_ms)) {
			value = dif_arena_str(a, dif_state_text(q, 0));
		}
	}
	sqlite3_finalize(q);
	return value;
}

void dif_state_facts(struct dif_state *s, const char *scope,
                     void (*row)(void *data, const char *name, const char *value), void *data)
{
	sqlite3_stmt *q =
		dif_state_read(s, "SELECT name, value FROM fact WHERE scope = ? ORDER BY name");
	if (q == NULL) {
		return;
	}
	sqlite3_bind_text(q, 1, scope, -1, SQLITE_STATIC);
	while (dif_state_row(s, q)) {
		row(data, dif_state_text(q, 0), dif_state_text(q, 1));
	}
	sqlite3_finalize(q);
}
