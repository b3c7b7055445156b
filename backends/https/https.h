/* https - what the files of the plug-in share. */
#ifndef DIF_BACKENDS_HTTPS_H
#define DIF_BACKENDS_HTTPS_H

#include <difusor/plugin.h>

#define KEY_MAX 2048
#define ROWS_MAX 1000 /* of an index page, the greatest names */

extern const struct dif_host *host;

struct self {
	const char *url, *user, *password, *bearer, *header, *pattern, *newest;
	int64_t step, look_back; /* ms; step 0: url is one address */
	int64_t utc_offset;      /* minutes */
	const char *hosts[2];
};

struct asking {
	const struct dif_get *in;
	struct dif_get probe; /* the input of a probe, which has none of its own */
	const char *url;
	const char *key; /* as the object is called in the answer */
	uint32_t hops;
	/* What a list does with an answer; NULL: it is the outcome. */
	void (*then)(struct dif_op *op, const struct dif_object *o);
	void (*absent)(struct dif_op *op);                          /* 404 */
	void (*page)(struct dif_op *op, const struct dif_reply *r); /* of a GET without a sink */
	/* of an index page */
	const char **names; /* in byte order, ROWS_MAX */
	uint32_t nnames, at;
	/* of a template */
	int64_t time, until;
};

/* https.c */
size_t https_authority_end(const char *url);
bool https_is_same_place(const char *a, const char *b);
const char *https_expanded(struct dif_op *op, const char *template, int64_t utc);
size_t https_folder_end(const char *url); /* where the path's last part begins */
bool https_climbs(const char *key);
bool https_is_plain_text(const char *s);
bool https_begin(struct dif_op *op); /* the address is the url; false: the op has failed */
void https_ask(struct dif_op *op);   /* asks for scratch->url */

/* https_list.c */
void https_list_page(struct dif_op *op);
void https_list_times(struct dif_op *op);

#endif
