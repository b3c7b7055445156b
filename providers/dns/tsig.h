/* tsig - the signature of a DNS message and of its answer, by a key that both sides know.
 *
 * Only an answer that carries our key's signature over our own signature counts; all else anybody
 * could have sent. Source: RFC 8945.
 */
#ifndef DIF_PROVIDERS_DNS_TSIG_H
#define DIF_PROVIDERS_DNS_TSIG_H

#include "dns/message.h"

#define TSIG_FUDGE 300u /* seconds that clocks may be apart */
#define TSIG_MAC_MAX 64

enum { TSIG_BADSIG = 16, TSIG_BADKEY = 17, TSIG_BADTIME = 18 };

struct tsig_key {
	struct dns_name name, algorithm;
	uint32_t digest; /* enum dif_digest */
	struct dif_bytes secret;
};

/* What was sent, for judging the answer. */
struct tsig_sent {
	uint16_t id;
	uint8_t mac[TSIG_MAC_MAX];
	uint8_t nmac;
};

/* False: there is no such algorithm. */
bool tsig_algorithm(struct tsig_key *k, const char *name);

/* Signs the message, which gets one record more. */
void tsig_sign(struct dif_op *op, const struct tsig_key *k, struct dns_out *o, int64_t now,
               struct tsig_sent *sent);

struct tsig_told {
	bool is_signed;      /* there was a signature, good or not */
	uint32_t error;      /* TSIG_BAD..., whether the answer is verified or not */
	int64_t server_time; /* with BADTIME in a verified answer; else -1 */
	size_t end;          /* of a verified message, without its signature */
};
/* True: the answer to what was sent, whole and unaltered, signed within the time window. */
bool tsig_verify(struct dif_op *op, const struct tsig_key *k, struct dif_bytes answer,
                 const struct tsig_sent *sent, int64_t now, struct tsig_told *told);

#endif
