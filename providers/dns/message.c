#include "dns/message.h"

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* --- names --- */

/* Appends a label; false: the name would be too long. */
static bool add_label(struct dns_name *to, const uint8_t *p, size_t n)
{
	if (n > DNS_LABEL_MAX || to->n + 1u + n > DNS_NAME_MAX) {
		return false;
	}
	to->b[to->n++] = (uint8_t)n;
	for (size_t i = 0; i < n; i++) {
		to->b[to->n++] = lower(p[i]);
	}
	return true;
}

bool dns_name_of(const char *text, struct dns_name *to)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_*";
	to->n = 0;
	while (*text != '\0') {
		size_t n = strcspn(text, ".");
		if (n == 0 || strspn(text, allowed) != n ||
		    !add_label(to, (const uint8_t *)text, n)) {
			return false;
		}
		text += n + (text[n] == '.');
	}
	return to->n > 0 && add_label(to, (const uint8_t *)"", 0);
}

static bool is_plain(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

const char *dns_name_text(struct dif_op *op, const struct dns_name *n)
{
	struct dif_text *t = host->text(op);
	for (size_t at = 0; at < n->n && n->b[at] != 0; at += 1u + n->b[at]) {
		host->add(t, "%s", at > 0 ? "." : "");
		for (size_t i = at + 1; i <= at + n->b[at]; i++) {
			if (is_plain(n->b[i])) {
				host->add_bytes(t, &n->b[i], 1);
			} else {
				host->add(t, "\\%03u", n->b[i]);
			}
		}
	}
	return host->end(t).p;
}

bool dns_name_equal(const struct dns_name *a, const struct dns_name *b)
{
	return a->n == b->n && memcmp(a->b, b->b, a->n) == 0;
}

bool dns_name_within(const struct dns_name *n, const struct dns_name *zone)
{
	for (size_t at = 0; at < n->n; at += 1u + n->b[at]) {
		if ((size_t)(n->n - at) == zone->n && memcmp(n->b + at, zone->b, zone->n) == 0) {
			return true;
		}
	}
	return false;
}

/* --- addresses --- */

bool dns_ipv4_of(const char *text, uint8_t to[4])
{
	for (uint32_t k = 0; k < 4; k++) {
		uint32_t v = 0, digits = 0;
		for (; *text >= '0' && *text <= '9' && digits < 3; digits++) {
			v = v * 10 + (uint32_t)(*text++ - '0');
		}
		if (digits == 0 || v > 255 || *text != (k < 3 ? '.' : '\0')) {
			return false;
		}
		to[k] = (uint8_t)v;
		text += k < 3;
	}
	return true;
}

static int hex_of(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	char l = (char)lower((uint8_t)c);
	return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/* One group of up to four hex digits at *text, which moves behind it; -1: there is none. */
static int32_t take_group(const char **text)
{
	int32_t v = 0;
	uint32_t digits = 0;
	for (; digits < 4 && hex_of(**text) >= 0; digits++) {
		v = v << 4 | hex_of(*(*text)++);
	}
	return digits > 0 ? v : -1;
}

bool dns_ipv6_of(const char *text, uint8_t to[16])
{
	size_t n = 0, gap = SIZE_MAX;
	memset(to, 0, 16);
	if (*text == ':' && *++text != ':') {
		return false;
	}
	while (*text != '\0') {
		if (*text == ':') { /* the second of two: the zeros that are left out */
			if (gap != SIZE_MAX) {
				return false;
			}
			gap = n;
			text++;
			continue;
		}
		const char *group = text;
		int32_t v = take_group(&text);
		if (*text == '.' && n <= 12 && dns_ipv4_of(group, to + n)) {
			n += 4;
			break;
		}
		if (v < 0 || n == 16 || (*text != ':' && *text != '\0')) {
			return false;
		}
		to[n++] = (uint8_t)(v >> 8);
		to[n++] = (uint8_t)v;
		if (*text == ':' && *++text == '\0') {
			return false; /* a single one at the end */
		}
	}
	if (gap == SIZE_MAX) {
		return n == 16;
	}
	memmove(to + 16 - (n - gap), to + gap, n - gap);
	memset(to + gap, 0, 16 - n);
	return n < 16;
}

/* The longest run of two or more zero groups, the first of equals; its length, 0: none. */
static uint32_t longest_gap(const uint8_t b[16], uint32_t *from)
{
	uint32_t best = 1, run = 0;
	for (uint32_t g = 0; g < 8; g++) {
		run = b[2 * g] == 0 && b[2 * g + 1] == 0 ? run + 1 : 0;
		if (run > best) {
			best = run;
			*from = g + 1 - run;
		}
	}
	return best > 1 ? best : 0;
}

const char *dns_ipv6_text(struct dif_op *op, const uint8_t b[16])
{
	struct dif_text *t = host->text(op);
	uint32_t from = 8, n = longest_gap(b, &from);
	for (uint32_t g = 0; g < 8; g++) {
		if (n > 0 && g == from) {
			host->add(t, "::");
			g += n - 1;
			continue;
		}
		bool first = g == 0 || (n > 0 && g == from + n);
		host->add(t, "%s%x", first ? "" : ":", dns_get16(b + (size_t)2 * g));
	}
	return host->end(t).p;
}

/* --- writing --- */

void dns_bytes(struct dns_out *o, const void *p, size_t n)
{
	if (n > o->max - o->n) {
		o->failed = true;
		return;
	}
	if (n > 0) {
		memcpy(o->p + o->n, p, n);
		o->n += n;
	}
}

void dns_u16(struct dns_out *o, uint32_t v)
{
	const uint8_t b[] = {(uint8_t)(v >> 8), (uint8_t)v};
	dns_bytes(o, b, sizeof b);
}

void dns_u32(struct dns_out *o, uint32_t v)
{
	dns_u16(o, v >> 16);
	dns_u16(o, v & 0xffff);
}

void dns_u48(struct dns_out *o, uint64_t v)
{
	dns_u16(o, (uint32_t)(v >> 32) & 0xffff);
	dns_u32(o, (uint32_t)v);
}

void dns_name(struct dns_out *o, const struct dns_name *n)
{
	dns_bytes(o, n->b, n->n);
}

void dns_begin(struct dns_out *o, uint16_t id, uint32_t opcode)
{
	static const uint8_t counts[8];
	dns_u16(o, id);
	dns_u16(o, opcode << 11);
	dns_bytes(o, counts, sizeof counts);
}

void dns_count(struct dns_out *o, uint32_t section)
{
	if (!o->failed) {
		uint32_t n = dns_get16(o->p + section) + 1;
		o->p[section] = (uint8_t)(n >> 8);
		o->p[section + 1] = (uint8_t)n;
	}
}

void dns_question(struct dns_out *o, const struct dns_name *n, uint32_t type)
{
	dns_name(o, n);
	dns_u16(o, type);
	dns_u16(o, DNS_IN);
	dns_count(o, DNS_QUESTIONS);
}

void dns_record(struct dns_out *o, uint32_t section, const struct dns_name *n, uint32_t type,
                uint32_t cls, uint32_t ttl, struct dif_bytes rdata)
{
	dns_name(o, n);
	dns_u16(o, type);
	dns_u16(o, cls);
	dns_u32(o, ttl);
	dns_u16(o, (uint32_t)rdata.n);
	dns_bytes(o, rdata.p, (size_t)rdata.n);
	dns_count(o, section);
}

/* --- reading --- */

bool dns_take_name(const struct dns_in *in, size_t *at, struct dns_name *to)
{
	size_t p = *at, before = *at; /* a pointer must lead before all that was read so far */
	bool jumped = false;
	to->n = 0;
	for (;;) {
		if (p >= in->n) {
			return false;
		}
		uint8_t len = in->p[p];
		if ((len & 0xc0) == 0xc0) {
			if (p + 2 > in->n) {
				return false;
			}
			size_t target = dns_get16(in->p + p) & 0x3fff;
			*at = jumped ? *at : p + 2;
			jumped = true;
			if (target >= before || target < DNS_HEADER) {
				return false;
			}
			p = before = target;
			continue;
		}
		if (len > DNS_LABEL_MAX || len >= in->n - p || !add_label(to, in->p + p + 1, len)) {
			return false;
		}
		p += 1u + len;
		if (len == 0) {
			*at = jumped ? *at : p;
			return true;
		}
	}
}

bool dns_take_question(const struct dns_in *in, size_t *at, struct dns_name *to, uint32_t *type)
{
	if (!dns_take_name(in, at, to) || in->n - *at < 4) {
		return false;
	}
	*type = dns_get16(in->p + *at);
	*at += 4;
	return true;
}

bool dns_take_rr(const struct dns_in *in, size_t *at, struct dns_rr *rr)
{
	rr->at = *at;
	if (!dns_take_name(in, at, &rr->name) || in->n - *at < 10) {
		return false;
	}
	const uint8_t *p = in->p + *at;
	rr->type = dns_get16(p);
	rr->cls = dns_get16(p + 2);
	rr->ttl = dns_get16(p + 4) << 16 | dns_get16(p + 6);
	rr->nrdata = dns_get16(p + 8);
	rr->rdata = *at + 10;
	if (rr->nrdata > in->n - rr->rdata) {
		return false;
	}
	*at = rr->rdata + rr->nrdata;
	return true;
}
