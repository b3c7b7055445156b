/* rfc2136 - a name server that takes signed dynamic updates: BIND, Knot, PowerDNS, Windows DNS with
 * a TSIG key.
 *
 *   get   a signed query of the record set, at the primary itself
 *   set   one update: what must stand there (if_tag), remove the set, add the wanted records
 *
 * The tag is the record set itself, its data in hex, sorted, with commas between; "absent" where
 * there is none. So a set can say what it replaces without asking again: the server compares, in
 * the same step as it changes. The TTL is no part of it, as RFC 2136 compares without.
 *
 * A CNAME suffers no other data beside it, and an update that would bring both together is taken
 * and ignored in silence. So every update also demands that nothing of the other kind is there, and
 * get tells it where it is.
 *
 * Only an answer that our key has signed over our own message is believed (tsig.h). Whatever else
 * comes is worth another try, never more: anybody can send it. A clock that is off is told in a
 * signed answer; then we sign once more by the server's clock.
 */
#include "dns/tsig.h"

#define PORT "53"
#define MESSAGE_MAX 16384u
#define DATAGRAM_MAX 512u /* beyond it a stream is asked at once */
#define RECORDS_MAX 64u
#define TARGETS_MAX 32u
#define TTL_MAX_S 86400u
#define ABSENT "absent"

enum { QR = 0x80, AUTHORITATIVE = 0x04, TRUNCATED = 0x02, OPCODE = 0x78, RCODE = 0x0f };

struct self {
	const char *server, *zone_name, *key_name, *key_secret, *algorithm, *type;
	int64_t timeout;
	const char *hosts[2];
	struct dns_name zone;
	struct tsig_key key;
};

struct asking {
	struct tsig_sent sent;
	struct dns_name name;
	uint32_t opcode, type; /* of a query: what is asked for */
	int64_t offset;        /* seconds that the server is ahead of us */
	bool is_stream, has_set_clock;
	void (*answered)(struct dif_op *op, const struct dns_in *in);
};

/* The records of one name and type, sorted, none twice. */
struct records {
	uint32_t n, ttl;
	struct dns_name data[RECORDS_MAX]; /* their data; room for a name is room for an address */
};

const struct dif_host *host;

/* --- words --- */

static const struct type {
	const char *name;
	uint32_t number;
} types[] = {{"A", DNS_A}, {"AAAA", DNS_AAAA}, {"CNAME", DNS_CNAME}};

/* 0: the type is none of ours. */
static uint32_t type_of(const char *name)
{
	for (size_t i = 0; i < DIF_LEN(types); i++) {
		if (strcmp(types[i].name, name) == 0) {
			return types[i].number;
		}
	}
	return 0;
}

static const struct rcode {
	const char *name, *what;
	uint32_t cls;
} rcodes[] = {
	[1] = {"FORMERR", "it cannot read the message", DIF_PERMANENT},
	[2] = {"SERVFAIL", "it fails at the moment", DIF_TRANSIENT},
	[3] = {"NXDOMAIN", "there is no such name", DIF_PERMANENT},
	[4] = {"NOTIMP", "it takes no updates", DIF_PERMANENT},
	[5] = {"REFUSED", "the key may not do this; see allow-update or update-policy", DIF_AUTH},
	[6] = {"YXDOMAIN", "the name has other records", DIF_CONFLICT},
	[7] = {"YXRRSET", "there are records where none should be", DIF_CONFLICT},
	[8] = {"NXRRSET", "the records have changed", DIF_CONFLICT},
	[9] = {"NOTAUTH", "it does not serve the zone; see server and zone", DIF_PERMANENT},
	[10] = {"NOTZONE", "the name is outside the zone", DIF_PERMANENT},
};

static void fail_by_rcode(struct dif_op *op, uint32_t rcode)
{
	const struct self *s = op->self;
	const struct rcode *r = rcode < DIF_LEN(rcodes) ? &rcodes[rcode] : NULL;
	if (r == NULL || r->name == NULL) {
		host->fail(op, DIF_PERMANENT, host->fmt(op, "RCODE%u", rcode),
		           "server '%s' says RCODE %u", s->hosts[0], rcode);
		return;
	}
	host->fail(op, r->cls, r->name, "server '%s' says %s: %s (zone '%s')", s->hosts[0], r->name,
	           r->what, s->zone_name);
}

/* --- an update --- */

static void add_absence(struct dns_out *o, const struct dns_name *n, uint32_t type)
{
	dns_record(o, DNS_PREREQUISITES, n, type, DNS_NONE, 0, (struct dif_bytes){"", 0});
}

static bool is_data(uint32_t type, struct dif_bytes b)
{
	struct dns_name name;
	size_t at = 0;
	if (type != DNS_CNAME) {
		return b.p != NULL && b.n == (type == DNS_A ? 4 : 16);
	}
	const struct dns_in in = {b.p, (size_t)b.n};
	return b.p != NULL && dns_take_name(&in, &at, &name) && at == b.n && name.n == b.n;
}

/* What must stand there: the records that the tag holds. False: it is no tag of ours. */
static bool add_expected(struct dif_op *op, struct dns_out *o, uint32_t type, const char *tag)
{
	const struct asking *a = op->scratch;
	for (const char *p = tag;; p++) {
		size_t n = strcspn(p, ",");
		struct dif_bytes data = host->dec(op, DIF_HEX, host->fmt(op, "%.*s", (int)n, p));
		if (!is_data(type, data)) {
			return false;
		}
		dns_record(o, DNS_PREREQUISITES, &a->name, type, DNS_IN, 0, data);
		p += n;
		if (*p == '\0') {
			return true;
		}
	}
}

static bool add_prerequisites(struct dif_op *op, struct dns_out *o, uint32_t type)
{
	const struct asking *a = op->scratch;
	const struct dif_route *in = op->in;
	bool is_absent = in->if_tag != NULL && strcmp(in->if_tag, ABSENT) == 0;
	if (in->if_tag != NULL && !is_absent) {
		return add_expected(op, o, type, in->if_tag);
	}
	if (type == DNS_CNAME && is_absent) {
		add_absence(o, &a->name, DNS_ANY_TYPE); /* the name has nothing at all */
	} else if (type == DNS_CNAME) {
		add_absence(o, &a->name, DNS_A);
		add_absence(o, &a->name, DNS_AAAA);
	} else {
		add_absence(o, &a->name, DNS_CNAME);
		if (is_absent) {
			add_absence(o, &a->name, type);
		}
	}
	return true;
}

/* The data of a target; false: the op has failed. */
static bool data_of(struct dif_op *op, uint32_t type, const char *value, struct dns_name *to)
{
	bool good = type == DNS_A      ? dns_ipv4_of(value, to->b)
	            : type == DNS_AAAA ? dns_ipv6_of(value, to->b)
	                               : dns_name_of(value, to);
	to->n = type == DNS_A ? 4 : type == DNS_AAAA ? 16 : to->n;
	if (!good) {
		host->fail(op, DIF_PERMANENT, "", "target '%s' cannot be the value of %s record",
		           value,
		           type == DNS_A      ? "an A"
		           : type == DNS_AAAA ? "an AAAA"
		                              : "a CNAME");
	}
	return good;
}

/* False: the op has failed. */
static bool build_update(struct dif_op *op, struct dns_out *o)
{
	const struct self *s = op->self;
	const struct asking *a = op->scratch;
	const struct dif_route *in = op->in;
	uint32_t type = type_of(in->type);
	dns_question(o, &s->zone, DNS_SOA);
	if (!add_prerequisites(op, o, type)) {
		host->fail(op, DIF_PERMANENT, "", "'%.64s' is no tag of these records", in->if_tag);
		return false;
	}
	dns_record(o, DNS_UPDATES, &a->name, type, DNS_ANY, 0, (struct dif_bytes){"", 0});
	for (uint32_t i = 0; i < in->n; i++) {
		struct dns_name data;
		if (!data_of(op, type, in->targets[i].value, &data)) {
			return false;
		}
		dns_record(o, DNS_UPDATES, &a->name, type, DNS_IN, in->ttl_s,
		           (struct dif_bytes){data.b, data.n});
	}
	return true;
}

/* --- asking --- */

static void on_answer(struct dif_op *op, const struct dif_reply *r);

static void ask(struct dif_op *op)
{
	const struct self *s = op->self;
	struct asking *a = op->scratch;
	struct dns_out o = {.p = host->alloc(op, MESSAGE_MAX), .max = MESSAGE_MAX};
	uint8_t id[2];
	if (o.p == NULL) {
		host->fail(op, DIF_TRANSIENT, "", "out of memory");
		return;
	}
	host->random(op, id, sizeof id);
	dns_begin(&o, (uint16_t)dns_get16(id), a->opcode);
	if (a->opcode == DNS_QUERY) {
		dns_question(&o, &a->name, a->type);
	} else if (!build_update(op, &o)) {
		return;
	}
	tsig_sign(op, &s->key, &o, host->now(op) + a->offset, &a->sent);
	if (o.failed) {
		host->fail(op, DIF_PERMANENT, "", "the update is longer than %u bytes",
		           MESSAGE_MAX);
		return;
	}
	a->is_stream = a->is_stream || o.n > DATAGRAM_MAX;
	host->exchange(op,
	               &(struct dif_exchange_call){.peer = s->hosts[0],
	                                           .send = {o.p, o.n},
	                                           .form = a->is_stream ? DIF_EXCHANGE_STREAM
	                                                                : DIF_EXCHANGE_DATAGRAM,
	                                           .match = sizeof id,
	                                           .timeout_ms = (uint32_t)s->timeout},
	               on_answer);
}

/* Nobody's word but a signed one counts; the sentence tells what it might mean. */
static void fail_unverified(struct dif_op *op, const struct tsig_told *told)
{
	const struct self *s = op->self;
	if (told->error == TSIG_BADKEY || told->error == TSIG_BADSIG) {
		host->fail(op, DIF_TRANSIENT, told->error == TSIG_BADKEY ? "BADKEY" : "BADSIG",
		           "an answer that is not signed says that server '%s' %s; see key_name, "
		           "key_secret and algorithm",
		           s->hosts[0],
		           told->error == TSIG_BADKEY ? "does not know the key"
		                                      : "finds our signature wrong");
		return;
	}
	host->fail(op, DIF_TRANSIENT, "UNSIGNED",
	           "the answer of server '%s' %s; see key_name and key_secret", s->hosts[0],
	           told->is_signed ? "is not signed as our key would" : "is not signed");
}

/* The answer says that our clock is off. */
static void follow_clock(struct dif_op *op, int64_t server_time)
{
	const struct self *s = op->self;
	struct asking *a = op->scratch;
	long long off = (long long)(server_time - host->now(op));
	if (a->has_set_clock || server_time < 0) {
		host->fail(op, DIF_AUTH, "BADTIME",
		           "server '%s' finds our clock %lld s off; set it by NTP", s->hosts[0],
		           -off);
		return;
	}
	host->log(op, 2, "the clock of server '%s' is %lld s ahead of ours", s->hosts[0], off);
	a->has_set_clock = true;
	a->offset = off;
	ask(op);
}

static void on_answer(struct dif_op *op, const struct dif_reply *r)
{
	const struct self *s = op->self;
	struct asking *a = op->scratch;
	const uint8_t *p = r->body.p;
	struct tsig_told told;
	if (r->body.n >= DNS_HEADER && (p[2] & TRUNCATED) != 0 && !a->is_stream) {
		a->is_stream = true; /* whoever says so: a stream costs little */
		ask(op);
		return;
	}
	if (!tsig_verify(op, &s->key, r->body, &a->sent, host->now(op) + a->offset, &told)) {
		fail_unverified(op, &told);
		return;
	}
	if ((p[2] & (QR | OPCODE)) != (QR | a->opcode << 3) || (p[2] & TRUNCATED) != 0) {
		host->fail(op, DIF_TRANSIENT, "", "server '%s' answers another question",
		           s->hosts[0]);
		return;
	}
	if (told.error == TSIG_BADTIME) {
		follow_clock(op, told.server_time);
		return;
	}
	a->answered(op, &(struct dns_in){p, told.end});
}

/* The name that the verb is about; false: the op has failed. */
static bool begin(struct dif_op *op, uint32_t opcode,
                  void (*answered)(struct dif_op *op, const struct dns_in *in))
{
	const struct self *s = op->self;
	const struct dif_route *in = op->in;
	struct asking *a = op->scratch;
	a->opcode = opcode;
	a->answered = answered;
	a->type = type_of(in->type);
	if (a->type == 0) {
		host->fail(op, DIF_PERMANENT, "", "records of type '%s' cannot be set here",
		           in->type);
		return false;
	}
	if (!dns_name_of(in->name, &a->name) || !dns_name_within(&a->name, &s->zone)) {
		host->fail(op, DIF_PERMANENT, "", "the name is not inside zone '%s'", s->zone_name);
		return false;
	}
	return true;
}

/* --- get --- */

static int order(const struct dns_name *a, const struct dns_name *b)
{
	size_t n = a->n < b->n ? a->n : b->n;
	int c = memcmp(a->b, b->b, n);
	return c != 0 ? c : (int)a->n - (int)b->n;
}

/* Puts one into its place; false: there are too many. */
static bool insert(struct records *to, const struct dns_name *data)
{
	uint32_t at = 0;
	while (at < to->n && order(&to->data[at], data) < 0) {
		at++;
	}
	if (at < to->n && dns_name_equal(&to->data[at], data)) {
		return true;
	}
	if (to->n == RECORDS_MAX) {
		return false;
	}
	memmove(&to->data[at + 1], &to->data[at], (to->n - at) * sizeof to->data[0]);
	to->data[at] = *data;
	to->n++;
	return true;
}

static bool take_data(const struct dns_in *in, const struct dns_rr *rr, struct dns_name *to)
{
	size_t at = rr->rdata;
	if (rr->type == DNS_CNAME) {
		return dns_take_name(in, &at, to) && at == rr->rdata + rr->nrdata;
	}
	if (rr->nrdata != (rr->type == DNS_A ? 4 : 16)) {
		return false;
	}
	to->n = (uint8_t)rr->nrdata;
	memcpy(to->b, in->p + rr->rdata, rr->nrdata);
	return true;
}

/* Collects the records of the name that was asked for: those of its type, and a CNAME that stands
 * in for it. False: the answer is malformed. */
static bool collect(const struct asking *a, const struct dns_in *in, struct records *to,
                    struct records *alias)
{
	struct dns_name name, data;
	struct dns_rr rr;
	size_t at = DNS_HEADER;
	uint32_t type = 0, n = dns_get16(in->p + DNS_ANSWERS);
	if (dns_get16(in->p + DNS_QUESTIONS) != 1 || !dns_take_question(in, &at, &name, &type) ||
	    !dns_name_equal(&name, &a->name) || type != a->type) {
		return false;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (!dns_take_rr(in, &at, &rr)) {
			return false;
		}
		bool is_asked = rr.type == a->type;
		if (rr.cls != DNS_IN || !dns_name_equal(&rr.name, &a->name) ||
		    (!is_asked && rr.type != DNS_CNAME)) {
			continue;
		}
		struct records *list = is_asked ? to : alias;
		if (!take_data(in, &rr, &data) || !insert(list, &data)) {
			return false;
		}
		list->ttl = rr.ttl;
	}
	return true;
}

static const char *value_of(struct dif_op *op, uint32_t type, const struct dns_name *data)
{
	const uint8_t *b = data->b;
	if (type == DNS_A) {
		return host->fmt(op, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
	}
	return type == DNS_AAAA ? dns_ipv6_text(op, b) : dns_name_text(op, data);
}

/* What get or probe was told. False: the op has failed, or asks on. */
static bool read_answer(struct dif_op *op, const struct dns_in *in, struct records **to,
                        struct records **alias)
{
	const struct self *s = op->self;
	const struct asking *a = op->scratch;
	uint32_t rcode = in->p[3] & RCODE;
	struct records *both = host->alloc(op, 2 * sizeof *both);
	if (rcode != 0 && rcode != 3) {
		fail_by_rcode(op, rcode);
	} else if ((in->p[2] & AUTHORITATIVE) == 0) {
		host->fail(op, DIF_PERMANENT, "",
		           "server '%s' is not the primary of zone '%s'; see server and zone",
		           s->hosts[0], s->zone_name);
	} else if (both == NULL || !collect(a, in, &both[0], &both[1])) {
		host->fail(op, DIF_TRANSIENT, "", "server '%s' gives a malformed answer",
		           s->hosts[0]);
	} else {
		*to = &both[0];
		*alias = &both[1];
		return true;
	}
	return false;
}

static void on_got(struct dif_op *op, const struct dns_in *in);

/* A CNAME is wanted and there is none: is there what would keep it out? */
static void look_for_addresses(struct dif_op *op, uint32_t n, bool is_name_there)
{
	const struct dif_route *in = op->in;
	struct asking *a = op->scratch;
	if (n > 0) {
		host->fail(op, DIF_PERMANENT, "",
		           "it has %s records, which no CNAME can join; set type, or remove them",
		           a->type == DNS_A ? "A" : "AAAA");
	} else if (is_name_there && a->type != DNS_AAAA && type_of(in->type) == DNS_CNAME) {
		a->type = a->type == DNS_CNAME ? DNS_A : DNS_AAAA;
		ask(op);
	} else {
		host->done(op, &(struct dif_result){.tag = ABSENT});
	}
}

static void on_got(struct dif_op *op, const struct dns_in *in)
{
	const struct dif_route *route = op->in;
	const struct asking *a = op->scratch;
	struct records *found, *alias;
	if (!read_answer(op, in, &found, &alias)) {
		return;
	}
	uint32_t type = type_of(route->type);
	if (a->type != type || found->n == 0) {
		if (alias->n > 0 && type != DNS_CNAME) {
			host->fail(op, DIF_PERMANENT, "",
			           "it is a CNAME to '%s' there; set type = CNAME, or remove it",
			           dns_name_text(op, &alias->data[0]));
			return;
		}
		look_for_addresses(op, a->type != type ? found->n : 0, (in->p[3] & RCODE) == 0);
		return;
	}
	struct dif_text *tag = host->text(op);
	for (uint32_t i = 0; i < found->n; i++) {
		const struct dns_name *data = &found->data[i];
		const char *value = value_of(op, type, data);
		host->add(tag, "%s%s", i > 0 ? "," : "", host->enc(op, DIF_HEX, data->b, data->n));
		host->target(op, &(struct dif_target){.name = value, .value = value, .weight = 1});
	}
	host->done(op, &(struct dif_result){.tag = host->end(tag).p, .ttl_s = found->ttl});
}

static void get(struct dif_op *op)
{
	if (begin(op, DNS_QUERY, on_got)) {
		ask(op);
	}
}

static void on_probed(struct dif_op *op, const struct dns_in *in)
{
	const struct self *s = op->self;
	uint32_t rcode = in->p[3] & RCODE;
	if (rcode != 0) {
		fail_by_rcode(op, rcode);
	} else if ((in->p[2] & AUTHORITATIVE) == 0 || dns_get16(in->p + DNS_ANSWERS) == 0) {
		host->fail(op, DIF_PERMANENT, "",
		           "server '%s' is not the primary of zone '%s'; see server and zone",
		           s->hosts[0], s->zone_name);
	} else {
		host->done(op, &(struct dif_result){0});
	}
}

static void probe(struct dif_op *op)
{
	const struct self *s = op->self;
	struct asking *a = op->scratch;
	a->name = s->zone;
	a->type = DNS_SOA;
	a->answered = on_probed;
	ask(op);
}

/* --- set --- */

static void on_set(struct dif_op *op, const struct dns_in *in)
{
	uint32_t rcode = in->p[3] & RCODE;
	if (rcode != 0) {
		fail_by_rcode(op, rcode);
		return;
	}
	host->done(op, &(struct dif_result){.settled = 1});
}

static void set(struct dif_op *op)
{
	const struct dif_route *in = op->in;
	uint32_t max = strcmp(in->type, "CNAME") == 0 ? 1 : TARGETS_MAX;
	if (in->n > max) {
		host->fail(op, DIF_PERMANENT, "", "it cannot lead to %u targets, %u at most", in->n,
		           max);
		return;
	}
	if (begin(op, DNS_UPDATE, on_set)) {
		ask(op);
	}
}

/* --- open --- */

static const struct dif_option options[] = {
	{.name = "server",
         .help = "the zone's primary, HOST or HOST:PORT; written as an address where it is a "
                 "private one",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 1,
         .max = 253,
         .offset = offsetof(struct self, server)},
	{.name = "zone",
         .help = "the zone that the record lies in",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 1,
         .max = 253,
         .offset = offsetof(struct self, zone_name)},
	{.name = "key_name",
         .help = "name of the TSIG key",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 1,
         .max = 253,
         .offset = offsetof(struct self, key_name)},
	{.name = "key_secret",
         .help = "the key itself, base64 as in the server's configuration",
         .type = DIF_STRING,
         .flags = DIF_SECRET | DIF_NEEDED,
         .min = 4,
         .max = 512,
         .offset = offsetof(struct self, key_secret)},
	{.name = "algorithm",
         .def = "hmac-sha256",
         .help = "the key's algorithm",
         .type = DIF_ENUM,
         .choices = "hmac-sha256 hmac-sha384 hmac-sha512",
         .offset = offsetof(struct self, algorithm)},
	{.name = "type",
         .def = "CNAME",
         .help = "the section's own: a CNAME leads to one target, A and AAAA to several",
         .type = DIF_ENUM,
         .choices = "A AAAA CNAME",
         .offset = offsetof(struct self, type)},
	{.name = "timeout",
         .def = "15s",
         .help = "how long the server is given; after 7 s without an answer it is asked by TCP",
         .type = DIF_DURATION,
         .min = 100,
         .max = 60000,
         .offset = offsetof(struct self, timeout)},
};

static bool open_key(struct self *s, struct dif_opening *o)
{
	s->key.secret = o->dec(o, DIF_BASE64, s->key_secret);
	if (s->key.secret.p == NULL || s->key.secret.n == 0) {
		o->refuse(o, "key_secret is no base64; copy it from the server's configuration");
		return false;
	}
	if (!dns_name_of(s->key_name, &s->key.name) || !dns_name_of(s->zone_name, &s->zone)) {
		o->refuse(o, "key_name '%s' or zone '%s' is no name", s->key_name, s->zone_name);
		return false;
	}
	return tsig_algorithm(&s->key, s->algorithm);
}

static bool open_rfc2136(void *instance, struct dif_opening *o, struct dif_caps *c)
{
	struct self *s = instance;
	const char *scheme, *authority, *path;
	const char *end = s->server[0] == '[' ? strchr(s->server, ']') : s->server;
	bool has_port = end != NULL && strchr(end, ':') != NULL;
	const char *url = o->fmt(o, "https://%s%s", s->server, has_port ? "" : ":" PORT);
	if (end == NULL || !o->url(o, url, &scheme, &authority, &path) || *path != '\0') {
		o->refuse(o, "server '%s' must be HOST, HOST:PORT, [IPV6] or [IPV6]:PORT",
		          s->server);
		return false;
	}
	if (!open_key(s, o)) {
		return false;
	}
	s->hosts[0] = authority;
	c->size = sizeof *c;
	c->hosts = s->hosts;
	c->ttl_min_s = 1;
	c->ttl_max_s = TTL_MAX_S;
	c->targets_max = type_of(s->type) == DNS_CNAME ? 1 : TARGETS_MAX;
	return true;
}

static const struct dif_steer steer = {
	.c = {.size = sizeof steer,
              .self_size = sizeof(struct self),
              .scratch_size = sizeof(struct asking),
              .open = open_rfc2136,
              .probe = probe},
	.get = get,
	.set = set,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_STEER,
         .name = "rfc2136",
         .what = "a name server that takes signed dynamic updates",
         .options = options,
         .noptions = DIF_LEN(options),
         .verbs = &steer.c},
};

static const struct dif_plugin plugin = {
	DIF_PLUGIN_SIZES,
	.version = DIFUSOR_VERSION,
	.offers = offers,
	.noffers = DIF_LEN(offers),
};

const struct dif_plugin *dif_plugin_main(const struct dif_host *h)
{
	if (h->abi_major != DIF_ABI_MAJOR || h->size < sizeof *h) {
		return NULL;
	}
	host = h;
	return &plugin;
}
