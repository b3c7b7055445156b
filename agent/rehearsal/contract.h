/* contract - one suite for every plug-in, in a scripted host: no network, no account.
 *
 * The plug-in is the real library, run by host/op as the agent runs it; only the transport is
 * another (rehearsal/wire). A case is a verb with its input, what the plug-in must ask, what it is
 * answered, and what must come out. It opens an instance of its own, so that no case leans on
 * another's breaker or credential. Three sources of cases:
 *
 *   scripted   a family of exchanges of the provider's folder is one case: probe, a page of a list
 *              and the last one, head of what is there and what is not, get and a part of it, put
 *              that creates, replaces, loses its condition, is throttled, forbidden, broken before
 *              and after its effect; remove of what is there, of what is not, of several.
 *   derived    the same exchanges with another reply: the connection cut, garbage, a reply without
 *              an end, 503 with and without Retry-After, 429, 403 and the login behind it, any
 *              status at all. Names from `!` to an emoji and of 1,024 bytes, 0 bytes, 5 GB: the
 *              same exchanges with other values, and bodies that are made while they are read.
 *   files      a store or steering that asks file calls is run on a temporary folder instead, where
 *              one case finds what the one before it left.
 *
 * A family without a script, and what follows from it, is not proved: that is told, and is no
 * failure. Without a folder only what needs none is run: options, opening with made-up values, and
 * that no reply whatsoever makes a verb break the contract.
 *
 * What is asked of an outcome is what flow relies on, not how the provider says it: the class of a
 * failure, tag, size, metadata, digests of the right length, every key of a removal answered, rows
 * of the asked prefix, a cursor where there is more, and never an answer made of garbage. Of CDNs,
 * steering and leases: settled or a ticket, the targets, who holds the lease and the fence.
 *
 * Files: wire (transport), exchange (scripts, values, matching), contract_run (one op, its checks),
 * contract_content (bytes and sink), contract_cases (the tables of stores), contract_parts,
 * contract_files (stores of files), contract_input and contract_kinds (CDNs, steering, leases:
 * input and checks, tables), contract (folder, options, order).
 * Everything is on the calling thread, on an engine of its own.
 */
#ifndef DIF_REHEARSAL_CONTRACT_H
#define DIF_REHEARSAL_CONTRACT_H

#include "host/loader.h"

enum dif_verdict { DIF_PASSED, DIF_FAILED, DIF_UNPROVED };

struct dif_contract_case {
	const char *name; /* "put: created" */
	enum dif_verdict verdict;
	const char *why; /* one sentence; "" where it passed */
};
typedef void dif_contract_cb(void *data, const struct dif_contract_case *c);

struct dif_contract_counts {
	uint32_t passed, failed, unproved;
};

/* Runs the suite on one offer of a loaded library. scripts: the provider's folder, NULL: none. cb
 * is called for each case as it ends. False: the suite could not run at all (a script that cannot
 * be read, no temporary folder). */
bool dif_contract_run(const struct dif_offer *offer, const char *scripts, dif_contract_cb *cb,
                      void *data, struct dif_contract_counts *counts, struct dif_error *err);

#endif
