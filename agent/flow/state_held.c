#include <string.h>

#include "flow/state_private.h"

void dif_state_held(struct dif_state *s, const char *destination,
                    void (*row)(void *data, const struct dif_held *h), void *data)
{
	sqlite3_stmt *q = dif_state_read(
		s, "SELECT key, tag, epoch, number, sha256, form, headers, unknown, orphan_since"
		   " FROM held WHERE destination = ?");
	if (q == NULL) {
		return;
	}
	sqlite3_bind_text(q, 1, destination, -1, SQLITE_STATIC);
	while (dif_state_row(s, q)) {
		struct dif_held h = {.key = dif_state_text(q, 0),
		                     .tag = dif_state_text(q, 1),
		                     .epoch = sqlite3_column_int64(q, 2),
		                     .number = sqlite3_column_int64(q, 3),
		                     .form = (uint32_t)sqlite3_column_int64(q, 5),
		                     .headers = (uint32_t)sqlite3_column_int64(q, 6),
		                     .unknown = sqlite3_column_int(q, 7) != 0,
		                     .orphan_since = sqlite3_column_int64(q, 8)};
		if (sqlite3_column_bytes(q, 4) == (int)sizeof h.sha256) {
			memcpy(h.sha256, sqlite3_column_blob(q, 4), sizeof h.sha256);
			row(data, &h);
		}
	}
	sqlite3_finalize(q);
}

bool dif_state_put_held(struct dif_state *s, const char *destination, const struct dif_held *h)
{
	const struct dif_state_value v[] = {
		dif_state_str(destination), dif_state_str(h->key),
		dif_state_str(h->tag),      dif_state_int(h->epoch),
		dif_state_int(h->number),   dif_state_blob(h->sha256, sizeof h->sha256),
		dif_state_int(h->form),     dif_state_int(h->headers),
		dif_state_int(h->unknown),  dif_state_int(h->orphan_since),
	};
	return dif_state_queue(s, DIF_SQL_PUT_HELD, v, DIF_LEN(v));
}

bool dif_state_drop_held(struct dif_state *s, const char *destination, const char *key)
{
	const struct dif_state_value v[] = {dif_state_str(destination), dif_state_str(key)};
	return key == NULL ? dif_state_queue(s, DIF_SQL_DROP_ALL_HELD, v, 1)
	                   : dif_state_queue(s, DIF_SQL_DROP_HELD, v, 2);
}
