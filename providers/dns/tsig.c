#include "dns/tsig.h"

bool tsig_algorithm(struct tsig_key *k, const char *name)
{
	static const struct {
		const char *name;
		uint32_t digest;
	} known[] = {
		{"hmac-sha256", DIF_SHA256},
		{"hmac-sha384", DIF_SHA384},
		{"hmac-sha512", DIF_SHA512},
	};
	for (size_t i = 0; i < DIF_LEN(known); i++) {
		if (strcmp(known[i].name, name) == 0) {
			k->digest = known[i].digest;
			return dns_name_of(name, &k->algorithm);
		}
	}
	return false;
}

/* The variables of RFC 8945 4.3.3. other: 6 bytes at most. */
static void add_variables(struct dif_text *t, const struct tsig_key *k, uint64_t at, uint32_t fudge,
                          uint32_t error, struct dif_bytes other)
{
	uint8_t b[2 * DNS_NAME_MAX + 32];
	struct dns_out o = {.p = b, .max = sizeof b};
	dns_name(&o, &k->name);
	dns_u16(&o, DNS_ANY);
	dns_u32(&o, 0);
	dns_name(&o, &k->algorithm);
	dns_u48(&o, at);
	dns_u16(&o, fudge);
	dns_u16(&o, error);
	dns_u16(&o, (uint32_t)other.n);
	dns_bytes(&o, other.p, (size_t)other.n);
	host->add_bytes(t, b, o.n);
}

void tsig_sign(struct dif_op *op, const struct tsig_key *k, struct dns_out *o, int64_t now,
               struct tsig_sent *sent)
{
	struct dif_text *t = host->text(op);
	host->add_bytes(t, o->p, o->n);
	add_variables(t, k, (uint64_t)now, TSIG_FUDGE, 0, (struct dif_bytes){"", 0});
	struct dif_bytes mac = host->hmac(op, k->digest, k->secret, host->end(t));
	uint8_t b[DNS_NAME_MAX + TSIG_MAC_MAX + 32];
	struct dns_out rdata = {.p = b, .max = sizeof b};
	sent->id = (uint16_t)dns_get16(o->p);
	sent->nmac = (uint8_t)(mac.n <= TSIG_MAC_MAX ? mac.n : 0);
	memcpy(sent->mac, mac.p, sent->nmac);
	dns_name(&rdata, &k->algorithm);
	dns_u48(&rdata, (uint64_t)now);
	dns_u16(&rdata, TSIG_FUDGE);
	dns_u16(&rdata, sent->nmac);
	dns_bytes(&rdata, sent->mac, sent->nmac);
	dns_u16(&rdata, sent->id);
	dns_u16(&rdata, 0);
	dns_u16(&rdata, 0);
	dns_record(o, DNS_ADDITIONALS, &k->name, DNS_TSIG, DNS_ANY, 0,
	           (struct dif_bytes){b, rdata.n});
}

/* The data of a signature as it was received. */
struct signature {
	struct dns_name algorithm;
	uint64_t at;
	uint32_t fudge, id, error;
	struct dif_bytes mac, other;
};

static bool take_signature(const struct dns_in *in, const struct dns_rr *rr, struct signature *s)
{
	size_t at = rr->rdata, end = rr->rdata + rr->nrdata;
	if (!dns_take_name(in, &at, &s->algorithm) || at > end || end - at < 10) {
		return false;
	}
	const uint8_t *p = in->p + at;
	s->at = dns_get48(p);
	s->fudge = dns_get16(p + 6);
	s->mac = (struct dif_bytes){p + 10, dns_get16(p + 8)};
	at += 10;
	if (s->mac.n > end - at || end - at - s->mac.n < 6) {
		return false;
	}
	at += (size_t)s->mac.n;
	p = in->p + at;
	s->id = dns_get16(p);
	s->error = dns_get16(p + 2);
	s->other = (struct dif_bytes){p + 6, dns_get16(p + 4)};
	return s->other.n == end - at - 6;
}

/* Finds the last record, walking over all; false: the message is malformed, or there is none, or
 * bytes follow it. */
static bool find_last(const struct dns_in *in, struct dns_rr *last)
{
	struct dns_name name;
	uint32_t type;
	size_t at = DNS_HEADER;
	uint32_t questions = dns_get16(in->p + DNS_QUESTIONS);
	uint32_t records = dns_get16(in->p + DNS_ANSWERS) + dns_get16(in->p + DNS_AUTHORITIES) +
	                   dns_get16(in->p + DNS_ADDITIONALS);
	for (uint32_t i = 0; i < questions; i++) {
		if (!dns_take_question(in, &at, &name, &type)) {
			return false;
		}
	}
	for (uint32_t i = 0; i < records; i++) {
		if (!dns_take_rr(in, &at, last)) {
			return false;
		}
		if (last->type == DNS_TSIG && i + 1 < records) {
			return false; /* it must be the last, and so the only one */
		}
	}
	return records > 0 && dns_get16(in->p + DNS_ADDITIONALS) > 0 && at == in->n;
}

/* The MAC that the answer must have. */
static struct dif_bytes expected(struct dif_op *op, const struct tsig_key *k,
                                 const struct dns_in *in, size_t end, const struct signature *s,
                                 const struct tsig_sent *sent)
{
	struct dif_text *t = host->text(op);
	uint8_t head[DNS_HEADER];
	uint32_t additionals = dns_get16(in->p + DNS_ADDITIONALS) - 1;
	const uint8_t length[] = {0, sent->nmac};
	memcpy(head, in->p, sizeof head);
	head[DNS_ADDITIONALS] = (uint8_t)(additionals >> 8);
	head[DNS_ADDITIONALS + 1] = (uint8_t)additionals;
	host->add_bytes(t, length, sizeof length);
	host->add_bytes(t, sent->mac, sent->nmac);
	host->add_bytes(t, head, sizeof head);
	host->add_bytes(t, in->p + DNS_HEADER, end - DNS_HEADER);
	add_variables(t, k, s->at, s->fudge, s->error, s->other);
	return host->hmac(op, k->digest, k->secret, host->end(t));
}

bool tsig_verify(struct dif_op *op, const struct tsig_key *k, struct dif_bytes answer,
                 const struct tsig_sent *sent, int64_t now, struct tsig_told *told)
{
	const struct dns_in in = {answer.p, (size_t)answer.n};
	struct dns_rr rr;
	struct signature s;
	*told = (struct tsig_told){.server_time = -1};
	if (in.n < DNS_HEADER || dns_get16(in.p) != sent->id || !find_last(&in, &rr) ||
	    rr.type != DNS_TSIG || !take_signature(&in, &rr, &s)) {
		return false;
	}
	told->is_signed = s.mac.n > 0;
	told->error = s.error;
	if (rr.cls != DNS_ANY || rr.ttl != 0 || !dns_name_equal(&rr.name, &k->name) ||
	    !dns_name_equal(&s.algorithm, &k->algorithm) || s.id != sent->id || s.other.n > 6) {
		return false;
	}
	struct dif_bytes want = expected(op, k, &in, rr.at, &s, sent);
	int64_t off = (int64_t)s.at - now;
	if (want.n == 0 || sent->nmac == 0 || !host->equal(s.mac, want) ||
	    off > (int64_t)TSIG_FUDGE || off < -(int64_t)TSIG_FUDGE) {
		return false;
	}
	if (s.error == TSIG_BADTIME && s.other.n == 6) {
		told->server_time = (int64_t)dns_get48(s.other.p);
	}
	told->end = rr.at;
	return true;
}
