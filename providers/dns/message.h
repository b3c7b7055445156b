/* message - DNS messages as bytes: writing what we ask, reading what somebody answers.
 *
 * A reader trusts nothing: every offset is checked against the message, a pointer of a compressed
 * name leads strictly backwards, and a name is 255 bytes at most. A writer that runs out of room
 * says so once, at the end.
 *
 * Source: RFC 1035, RFC 2136.
 */
#ifndef DIF_PROVIDERS_DNS_MESSAGE_H
#define DIF_PROVIDERS_DNS_MESSAGE_H

#include <difusor/plugin.h>

extern const struct dif_host *host; /* the plug-in defines it */

#define DNS_NAME_MAX 255
#define DNS_LABEL_MAX 63
#define DNS_HEADER 12

enum { DNS_A = 1, DNS_CNAME = 5, DNS_SOA = 6, DNS_AAAA = 28, DNS_TSIG = 250, DNS_ANY_TYPE = 255 };
enum { DNS_IN = 1, DNS_NONE = 254, DNS_ANY = 255 };
enum { DNS_QUERY = 0, DNS_UPDATE = 5 };
/* Offsets of the counts in the header: of the four sections, by either's names. */
enum { DNS_QUESTIONS = 4, DNS_ANSWERS = 6, DNS_AUTHORITIES = 8, DNS_ADDITIONALS = 10 };
enum { DNS_ZONE = 4, DNS_PREREQUISITES = 6, DNS_UPDATES = 8 };

/* A name as it travels: lower case, not compressed, with the root's zero. */
struct dns_name {
	uint8_t b[DNS_NAME_MAX];
	uint8_t n;
};

/* False: the text is no name. A dot at its end makes no difference. */
bool dns_name_of(const char *text, struct dns_name *to);
/* Without a dot at its end; what is no letter, digit, '-' or '_' becomes \DDD. */
const char *dns_name_text(struct dif_op *op, const struct dns_name *n);
bool dns_name_equal(const struct dns_name *a, const struct dns_name *b);
bool dns_name_within(const struct dns_name *n, const struct dns_name *zone); /* or equal */

/* 4 or 16 bytes; false: the text is no address. */
bool dns_ipv4_of(const char *text, uint8_t to[4]);
bool dns_ipv6_of(const char *text, uint8_t to[16]);
const char *dns_ipv6_text(struct dif_op *op, const uint8_t b[16]); /* RFC 5952 */

/* --- writing --- */

struct dns_out {
	uint8_t *p;
	size_t n, max;
	bool failed; /* there was no room */
};

void dns_bytes(struct dns_out *o, const void *p, size_t n);
void dns_u16(struct dns_out *o, uint32_t v);
void dns_u32(struct dns_out *o, uint32_t v);
void dns_u48(struct dns_out *o, uint64_t v);
void dns_name(struct dns_out *o, const struct dns_name *n);
/* The header, all counts 0. */
void dns_begin(struct dns_out *o, uint16_t id, uint32_t opcode);
/* A question, or the zone of an update. */
void dns_question(struct dns_out *o, const struct dns_name *n, uint32_t type);
/* A record of the section whose count is at that offset. */
void dns_record(struct dns_out *o, uint32_t section, const struct dns_name *n, uint32_t type,
                uint32_t cls, uint32_t ttl, struct dif_bytes rdata);
void dns_count(struct dns_out *o, uint32_t section); /* one more */

/* --- reading --- */

static inline uint32_t dns_get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static inline uint64_t dns_get48(const uint8_t *p)
{
	return (uint64_t)dns_get16(p) << 32 | (uint64_t)dns_get16(p + 2) << 16 | dns_get16(p + 4);
}

struct dns_in {
	const uint8_t *p;
	size_t n;
};

struct dns_rr {
	struct dns_name name;
	uint32_t type, cls, ttl;
	size_t at;    /* where it begins */
	size_t rdata; /* where its data begin; nrdata of them lie inside the message */
	size_t nrdata;
};

/* Each moves *at behind what it took; false: the message is malformed. */
bool dns_take_name(const struct dns_in *in, size_t *at, struct dns_name *to);
bool dns_take_question(const struct dns_in *in, size_t *at, struct dns_name *to, uint32_t *type);
bool dns_take_rr(const struct dns_in *in, size_t *at, struct dns_rr *rr);

#endif
