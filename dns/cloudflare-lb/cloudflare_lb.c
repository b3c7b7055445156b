/* cloudflare-lb - the origins of a pool of Cloudflare's load balancing.
 *
 *   get  GET   /accounts/ACCOUNT/load_balancers/pools/POOL
 *   set  the same, then PATCH {"origins":[..]}, which replaces all of them
 *
 * Pool and origins are made by people; here origins get weights and are switched on and off. An
 * origin is a target's by its address; one that is not among the targets is switched off, as weight
 * 0 is.
 *
 * Because the whole list is replaced, an origin goes back as it came, byte for byte, with members
 * that nobody here knows; only enabled and weight are ours, and disabled_at is not taken. So the
 * list is cut out of the text of the reply, which was parsed before and so is well-formed.
 *
 * There are no conditions. The tag is a digest of the list; set reads it again and compares, so
 * only a change that falls in between is not seen.
 *
 * Source: developers.cloudflare.com/api/resources/load_balancers/subresources/pools.
 */
#include "cloudflare/cloudflare.h"

#define ORIGINS_MAX 64u
#define WEIGHT_MAX 100u /* 0 to 1 in hundredths */

struct self {
	struct cloudflare_self api;
	const char *account, *pool;
};

/* A piece of the reply's text. */
struct span {
	const char *p;
	size_t n;
};

struct origin {
	const char *name, *address;
	uint32_t weight;        /* 0: it is switched off, or has none */
	struct span text, told; /* all of it; its weight as told, n 0: none */
	bool is_enabled;
};

struct pool {
	struct origin all[ORIGINS_MAX];
	uint32_t n;
	struct span text; /* of the list */
};

const struct dif_host *host;

const struct cloudflare_self *cloudflare_of(const struct dif_op *op)
{
	return &((const struct self *)op->self)->api;
}

static const struct dif_fault faults[] = {
	CLOUDFLARE_FAULTS,
	{.code = "1001", .cls = DIF_PERMANENT}, /* no such pool */
	{.status = 404, .cls = DIF_PERMANENT},
	{.cls = DIF_OK},
};

/* --- cutting well-formed JSON --- */

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

static const char *skip_string(const char *p)
{
	for (p++; *p != '\0' && *p != '"'; p++) {
		p += *p == '\\' && p[1] != '\0';
	}
	return p + (*p == '"');
}

/* Behind the value at p. */
static const char *skip_value(const char *p)
{
	uint32_t depth = 0;
	do {
		p = skip_blanks(p);
		if (*p == '"') {
			p = skip_string(p);
		} else if (*p == '{' || *p == '[') {
			depth++;
			p++;
		} else if (*p == '}' || *p == ']') {
			depth--;
			p++;
		} else if (*p == ',' || *p == ':') {
			p++;
		} else {
			p += strcspn(p, ",:{}[]\" \t\r\n");
		}
	} while (depth > 0 && *p != '\0');
	return p;
}

/* The next member of an object or item of a list; *p stands behind the bracket, or behind the one
 * before. key: NULL in lists. False: that was the last. */
static bool next_piece(const char **p, struct span *key, struct span *value)
{
	const char *at = skip_blanks(*p);
	at = skip_blanks(at + (*at == ','));
	if (*at == '}' || *at == ']' || *at == '\0') {
		return false;
	}
	if (key != NULL) {
		const char *end = skip_string(at);
		*key = (struct span){at, (size_t)(end - at)};
		at = skip_blanks(end);
		at = skip_blanks(at + (*at == ':'));
	}
	const char *end = skip_value(at);
	*value = (struct span){at, (size_t)(end - at)};
	*p = end;
	return end > at;
}

static bool is_key(const struct span *key, const char *name)
{
	size_t n = strlen(name);
	return key->n == n + 2 && memcmp(key->p + 1, name, n) == 0;
}

/* The value of a member of the object; n 0: it has none. */
static struct span member(struct span object, const char *name)
{
	const char *p = object.p + 1;
	struct span key, value;
	while (object.n > 0 && *object.p == '{' && next_piece(&p, &key, &value)) {
		if (is_key(&key, name)) {
			return value;
		}
	}
	return (struct span){"", 0};
}

/* --- reading --- */

/* Hundredths of "1", "0.5" or "0.333"; any other spelling counts as 1, as a weight that is not told
 * does. */
static uint32_t hundredths(struct span s)
{
	uint32_t v = s.n > 0 && *s.p == '0' ? 0 : WEIGHT_MAX, unit = WEIGHT_MAX / 10;
	if (s.n < 2 || s.p[0] != '0' || s.p[1] != '.') {
		return v;
	}
	for (size_t i = 2; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++) {
		v += unit * (uint32_t)(s.p[i] - '0');
		unit /= 10;
	}
	return v;
}

/* Pairs the parsed list with its text. False: they do not fit. */
static bool take_origins(const struct dif_node *list, struct pool *to)
{
	const char *p = to->text.p + 1;
	const struct dif_node *n = NULL;
	struct span text;
	while ((n = host->next(list, "", n)) != NULL) {
		if (to->n == ORIGINS_MAX || !next_piece(&p, NULL, &text) || *text.p != '{') {
			return false;
		}
		struct origin *o = &to->all[to->n++];
		o->name = host->str(host->get(n, "name"));
		o->address = host->str(host->get(n, "address"));
		o->text = text;
		o->told = member(text, "weight");
		o->is_enabled = strcmp(host->str(host->get(n, "enabled")), "false") != 0;
		o->weight = o->is_enabled ? hundredths(o->told) : 0;
		if (*o->name == '\0' || *o->address == '\0') {
			return false;
		}
	}
	return !next_piece(&p, NULL, &text);
}

/* The pool that a reply tells. NULL: the op has failed. */
static struct pool *read_pool(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *j = cloudflare_good(op, r);
	struct pool *to = host->alloc(op, sizeof *to);
	if (j == NULL) {
		return NULL;
	}
	/* the text lives as long as the step, the tree as long as the attempt */
	const char *body = host->fmt(op, "%s", (const char *)r->body.p);
	const struct span root = {skip_blanks(body), strlen(body)};
	const struct span text = member(member(root, "result"), "origins");
	const struct dif_node *list = host->get(j, "result.origins");
	if (strcmp(host->str(host->get(j, "result.enabled")), "false") == 0) {
		host->log(op, 2, "the pool is disabled: nobody is sent to its origins");
	}
	if (to != NULL) {
		to->text = text;
	}
	if (to == NULL || list == NULL || text.n == 0 || *text.p != '[' ||
	    !take_origins(list, to)) {
		host->refuse(op, r, "", "the reply holds no list of origins, or one too long");
		return NULL;
	}
	return to;
}

static const char *tag_of(struct dif_op *op, const struct pool *p)
{
	struct dif_bytes h = host->hash(op, DIF_SHA256, (struct dif_bytes){p->text.p, p->text.n});
	return host->enc(op, DIF_HEX, h.p, h.n);
}

static const char *path_of(struct dif_op *op)
{
	const struct self *s = op->self;
	return host->fmt(op, "/accounts/%s/load_balancers/pools/%s", s->account, s->pool);
}

static void ask_for_pool(struct dif_op *op, dif_step *next)
{
	cloudflare_send(op, "GET", path_of(op), (struct dif_bytes){"", 0}, next);
}

/* --- get --- */

static void on_got(struct dif_op *op, const struct dif_reply *r)
{
	const struct pool *p = read_pool(op, r);
	for (uint32_t i = 0; p != NULL && i < p->n; i++) {
		const struct origin *o = &p->all[i];
		host->target(op, &(struct dif_target){.name = o->name,
		                                      .value = o->address,
		                                      .weight = o->weight});
	}
	if (p != NULL) {
		host->done(op, &(struct dif_result){.tag = tag_of(op, p)});
	}
}

static void get(struct dif_op *op)
{
	ask_for_pool(op, on_got);
}

/* --- set --- */

/* The weight that the targets give the origin; 0: none. */
static uint32_t wanted(const struct dif_route *in, const struct origin *o)
{
	for (uint32_t i = 0; i < in->n; i++) {
		if (strcasecmp(in->targets[i].value, o->address) == 0) {
			uint32_t weight = in->targets[i].weight;
			return weight < WEIGHT_MAX ? weight : WEIGHT_MAX;
		}
	}
	return 0;
}

/* False: a target is no origin of the pool, and the op has failed. */
static bool knows_all(struct dif_op *op, const struct pool *p)
{
	const struct dif_route *in = op->in;
	for (uint32_t i = 0; i < in->n; i++) {
		bool found = in->targets[i].weight == 0;
		for (uint32_t k = 0; k < p->n && !found; k++) {
			found = strcasecmp(in->targets[i].value, p->all[k].address) == 0;
		}
		if (!found) {
			host->fail(op, DIF_PERMANENT, "",
			           "the pool has no origin with the address '%s'; add it",
			           in->targets[i].value);
			return false;
		}
	}
	return true;
}

/* The origin as it came, but for what is ours. */
static void add_origin(struct dif_text *t, const struct origin *o, uint32_t weight)
{
	const char *p = o->text.p + 1;
	struct span key, value;
	host->add(t, "{");
	while (next_piece(&p, &key, &value)) {
		if (!is_key(&key, "enabled") && !is_key(&key, "weight") &&
		    !is_key(&key, "disabled_at")) {
			host->add_bytes(t, key.p, key.n);
			host->add(t, ":");
			host->add_bytes(t, value.p, value.n);
			host->add(t, ",");
		}
	}
	host->add(t, "\"enabled\":%s,\"weight\":", weight > 0 ? "true" : "false");
	if (weight == 0 && o->told.n > 0) {
		host->add_bytes(t, o->told.p, o->told.n); /* for when it comes back */
	} else if (weight == 0 || weight == WEIGHT_MAX) {
		host->add(t, "1");
	} else {
		host->add(t, "0.%02u", weight);
	}
	host->add(t, "}");
}

static void on_set(struct dif_op *op, const struct dif_reply *r)
{
	if (cloudflare_good(op, r) != NULL) {
		host->done(op, &(struct dif_result){.settled = 1});
	}
}

static void on_read(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_route *in = op->in;
	const struct pool *p = read_pool(op, r);
	struct dif_text *t = host->text(op);
	bool differs = false;
	if (p == NULL) {
		return;
	}
	if (in->if_tag != NULL && strcmp(in->if_tag, tag_of(op, p)) != 0) {
		host->fail(op, DIF_CONFLICT, "", "the pool has changed meanwhile");
		return;
	}
	if (!knows_all(op, p)) {
		return;
	}
	host->add(t, "{\"origins\":[");
	for (uint32_t i = 0; i < p->n; i++) {
		uint32_t weight = wanted(in, &p->all[i]);
		differs = differs || weight != p->all[i].weight;
		host->add(t, "%s", i > 0 ? "," : "");
		add_origin(t, &p->all[i], weight);
	}
	host->add(t, "]}");
	if (!differs) {
		host->done(op, &(struct dif_result){.settled = 1});
		return;
	}
	cloudflare_send(op, "PATCH", path_of(op), host->end(t), on_set);
}

static void set(struct dif_op *op)
{
	ask_for_pool(op, on_read);
}

/* --- probe, open --- */

static void on_probed(struct dif_op *op, const struct dif_reply *r)
{
	if (read_pool(op, r) != NULL) {
		host->done(op, &(struct dif_result){0});
	}
}

static void probe(struct dif_op *op)
{
	ask_for_pool(op, on_probed);
}

static const struct dif_option options[] = {
	CLOUDFLARE_OPTIONS(struct self, api),
	{.name = "account",
         .help = "the account's id",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .offset = offsetof(struct self, account)},
	{.name = "pool",
         .help = "the pool's id; its origins are the destinations' targets, by their addresses",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .offset = offsetof(struct self, pool)},
};

static bool open_lb(void *instance, struct dif_opening *o, struct dif_caps *c)
{
	struct self *s = instance;
	if (!cloudflare_open(&s->api, o) || !cloudflare_check_id(s->account, "account", o) ||
	    !cloudflare_check_id(s->pool, "pool", o)) {
		return false;
	}
	c->size = sizeof *c;
	c->flags = DIF_CAP_WEIGHTS;
	c->hosts = s->api.hosts;
	c->weight_max = WEIGHT_MAX;
	c->targets_max = ORIGINS_MAX;
	return true;
}

static const struct dif_steer steer = {
	.c = {.size = sizeof steer,
              .self_size = sizeof(struct self),
              .faults = faults,
              .explain = cloudflare_explain,
              .open = open_lb,
              .probe = probe},
	.get = get,
	.set = set,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_STEER,
         .flags = DIF_OFFER_HTTP,
         .name = "cloudflare-lb",
         .what = "a pool of Cloudflare's load balancing",
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
