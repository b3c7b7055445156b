/* simulate - a deterministic generator of rehearsal packages with the real shape: same seed and
 * cut, same bytes, on every machine with the same libdeflate. Cut N+1 follows from cut N as
 * counting does.
 *
 * Every package carries SIMULACRO.json at its root, which makes it a rehearsal (rule 12). What the
 * shape copies from real packages, and what is assumed: docs/notes/rehearsal.md.
 */
#ifndef DIF_REHEARSAL_SIMULATE_H
#define DIF_REHEARSAL_SIMULATE_H

#include "base/err.h"

enum dif_scale { DIF_TINY, DIF_TENTH, DIF_FULL }; /* about 70, 1,500 and 14,600 entries */

struct dif_simulate {
	uint32_t cut; /* 0 is the empty first one; 100 about two thirds of the night; at most 288 */
	uint64_t seed;
	uint32_t scale; /* enum dif_scale */
	bool sidecar;   /* FILE.sha256 beside it */
};

struct dif_simulated {
	uint32_t entries;
	uint64_t bytes, unpacked; /* of the file, of its entries */
};

/* Writes the package to a temporary name beside path and renames it. Synchronous; about 10 s for
 * FULL. progress may be NULL. */
bool dif_simulate(const struct dif_simulate *s, const char *path,
                  void (*progress)(void *data, uint64_t entries, uint64_t of), void *data,
                  struct dif_simulated *out, struct dif_error *err);

#endif
