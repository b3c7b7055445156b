/* exchange - a provider's scripts: what a plug-in must ask, and what it is answered.
 *
 * A folder holds instance.ini and one text file per family of exchanges (docs/PLUGINS.md has the
 * manual):
 *
 *   # the object is there
 *   > HEAD {origin}/{key:path}
 *   > authorization: Bearer *
 *   > !if-match
 *   < 200
 *   < etag: {tag}
 *
 * `>` says what the request must be: method and address, then headers that must be there with such
 * a value, `!name` for one that must not, `>|` its body. `<` is the reply: status, headers, `|` a
 * line of its body. `*` stands for anything in a request, `\*` for itself. {name} is a value of the
 * case, {name:enc} the same encoded: path, query, xml, json, base64, hex. {each:SEPARATOR|TEMPLATE}
 * is the template once for every item of the case; braces in it are balanced.
 */
#ifndef DIF_REHEARSAL_EXCHANGE_H
#define DIF_REHEARSAL_EXCHANGE_H

#include "base/arena.h"
#include "rehearsal/wire.h"

#define DIF_EXCHANGES_MAX 8 /* of one file: a verb that asks more often is none */
#define DIF_VALUES_MAX 64
#define DIF_COLUMNS_MAX 3

struct dif_exchange {
	const char *method, *url, *body;     /* patterns; body NULL: any */
	const char *fields[DIF_WIRE_FIELDS]; /* "name: pattern", "!name" */
	int status;
	const char *reply[DIF_WIRE_FIELDS]; /* "name: value" */
	const char *content;                /* "" where there is none */
};

struct dif_script {
	const char *name; /* "put_created" */
	struct dif_exchange exchanges[DIF_EXCHANGES_MAX];
	uint32_t n;
};

/* What {name} stands for. A later value of a name hides an earlier one. The items are a table:
 * inside {each} the names of columns are values, cell[column][item]. */
struct dif_values {
	const char *name[DIF_VALUES_MAX];
	struct dif_bytes value[DIF_VALUES_MAX];
	uint32_t n;
	const char *column[DIF_COLUMNS_MAX];
	const char *const *cell[DIF_COLUMNS_MAX];
	uint32_t ncolumns, nitems;
};
void dif_values_set(struct dif_values *v, const char *name, struct dif_bytes value);
void dif_values_text(struct dif_values *v, const char *name, const char *text);
const char *dif_values_get(const struct dif_values *v, const char *name); /* NULL: not there */

/* Puts values into a text. What is no {name} of v stays as it is: JSON has braces too. */
const char *dif_exchange_fill(struct dif_arena *a, const char *text, const struct dif_values *v);

/* Parses one file; file is the name that errors show. All text is the arena's. */
bool dif_script_parse(struct dif_arena *a, const char *file, const char *text,
                      struct dif_script *to, struct dif_error *err);
/* Reads FOLDER/NAME.txt. Not there: to->n is 0. */
bool dif_script_read(struct dif_arena *a, const char *folder, const char *name,
                     struct dif_script *to, struct dif_error *err);

/* Is this the method and the address of the exchange? */
bool dif_exchange_is(struct dif_arena *a, const struct dif_exchange *x, const struct dif_values *v,
                     const struct dif_wire_seen *seen);
/* What else of the request is not as the script says; NULL: all is. */
const char *dif_exchange_differs(struct dif_arena *a, const struct dif_exchange *x,
                                 const struct dif_values *v, const struct dif_wire_seen *seen);
/* The given reply, filled in. */
void dif_exchange_reply(struct dif_arena *a, const struct dif_exchange *x,
                        const struct dif_values *v, struct dif_wire_reply *reply);

#endif
