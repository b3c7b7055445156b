/* bench - a host small enough to see through, for code that only signs: time stands still, and http
 * keeps what it was asked. Everything else of the table is NULL. */
#ifndef DIF_TESTS_BENCH_H
#define DIF_TESTS_BENCH_H

#include "tests/support.h"

#include <difusor/plugin.h>

struct bench {
	struct dif_op op; /* its host member points back here */
	int64_t now;
	const char *url, *method;
	const struct dif_field *fields;
	uint32_t nfields, asked, failed; /* asked: number of requests; failed: enum dif_class */
};

extern const struct dif_host bench_host;
/* At that time, in ISO_BASIC: "20130524T000000Z". */
void bench_init(struct bench *b, const char *now);
void bench_fini(struct bench *b);
/* Of the last request; NULL: not there. */
const char *bench_field(const struct bench *b, const char *name);

#endif
