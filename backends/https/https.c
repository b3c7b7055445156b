/* https - a web server as a read-only source of packages.
 *
 * One address, `url`, is the package; or an index page that names it (`pattern`), or a template of
 * addresses by time (`step`): both in https_list.c. Keys are relative to it:
 *
 *   ""                         the url itself
 *   "latest.zip.sha256"        a neighbour: in the url's folder, percent-encoded here
 *   "https://same.host/sums"   another address of the same scheme, host and port, sent as it is
 *
 * head and list tell the url's last part as its key, so that a side-car is that key and a suffix.
 *
 * The url, and an address used as a key, may be a template: %Y %y %m %d %j %H %M %S are replaced
 * by the time asked for (UTC), %% is a percent sign. Every other percent sign stays, so %20 is
 * what it is in any URL.
 *
 * The tag is the strong ETag. A weak one promises meaning, not bytes, so without a strong one the
 * tag is made of Last-Modified and size, "lm:Sun, 06 Nov 1994 08:49:37 GMT+81234"; only where that
 * header is missing the weak one has to do. A tag goes back as If-Match and If-Range, so that the
 * bytes of two packages never mix. Where the server ignores them the reply's own tag is compared
 * and the get fails as CONFLICT: the caller drops what it got.
 *
 * Redirects: one, to the same scheme, host and port; credentials go nowhere else.
 */
#include "https.h"

#define FIELDS_MAX 8
#define LAST_MODIFIED_TAG "lm:"
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
#define TRIES_MAX 120 /* heads of one poll */

const struct dif_host *host;

static const struct dif_fault faults[] = {
	{.status = 300, .cls = DIF_PERMANENT},     {.status = 301, .cls = DIF_PERMANENT},
	{.status = 302, .cls = DIF_PERMANENT},     {.status = 303, .cls = DIF_PERMANENT},
	{.status = 307, .cls = DIF_PERMANENT},     {.status = 308, .cls = DIF_PERMANENT},
	{.status = 410, .cls = DIF_NOT_FOUND},     {.status = 412, .cls = DIF_CONFLICT},
	{.status = 416, .cls = DIF_CONFLICT},      {.code = "NoRange", .cls = DIF_CONFLICT},
	{.code = "Encoded", .cls = DIF_PERMANENT}, {.cls = DIF_OK},
};

/* --- addresses --- */

size_t https_authority_end(const char *url)
{
	const char *p = strstr(url, "://");
	return p == NULL ? 0 : (size_t)(p - url) + 3 + strcspn(p + 3, "/?#");
}

bool https_is_same_place(const char *a, const char *b)
{
	size_t n = https_authority_end(a);
	return n > 0 && n == https_authority_end(b) && strncmp(a, b, n) == 0;
}

/* Replaces the times of a template. */
const char *https_expanded(struct dif_op *op, const char *template, int64_t utc)
{
	int64_t at = utc + ((const struct self *)op->self)->utc_offset * 60;
	struct dif_text *t = host->text(op);
	for (const char *p = template; *p != '\0';) {
		size_t plain = strcspn(p, "%");
		host->add_bytes(t, p, plain);
		p += plain;
		if (*p == '%' && p[1] != '\0' && strchr("YymdjHMS%", p[1]) != NULL) {
			const char one[] = {'%', p[1], '\0'};
			host->add(t, "%s", host->strftime(op, one, at));
			p += 2;
		} else if (*p == '%') {
			host->add_bytes(t, p++, 1);
		}
	}
	return host->end(t).p;
}

/* Where the path's last part begins. */
size_t https_folder_end(const char *url)
{
	size_t from = https_authority_end(url), end = from + strcspn(url + from, "?#");
	while (end > from && url[end - 1] != '/') {
		end--;
	}
	return end;
}

static const char *last_part(struct dif_op *op, const char *url)
{
	const char *part = url + https_folder_end(url);
	const char *plain = host->fmt(op, "%.*s", (int)strcspn(part, "?#"), part);
	struct dif_bytes name = host->dec(op, DIF_PATH, plain);
	return name.p != NULL ? name.p : plain;
}

bool https_climbs(const char *key)
{
	for (const char *p = key; p != NULL; p = strchr(p, '/')) {
		p += *p == '/';
		size_t n = strcspn(p, "/");
		if ((n == 1 && *p == '.') || (n == 2 && strncmp(p, "..", 2) == 0)) {
			return true;
		}
	}
	return *key == '/';
}

/* Finds the address of a key and sets s->url and s->key; false: the op has failed. */
static bool resolve(struct dif_op *op, struct asking *s)
{
	const struct self *self = op->self;
	const char *key = s->in->key;
	int64_t at = s->in->at != 0 ? s->in->at : host->now(op);
	const char *base = https_expanded(op, self->url, at);
	s->key = last_part(op, base);
	if (*key == '\0' || strcmp(key, s->key) == 0) {
		s->url = base;
		return true;
	}
	s->key = key;
	if (strstr(key, "://") != NULL) {
		s->url = https_expanded(op, key, at);
		if (https_is_same_place(base, s->url)) {
			return true;
		}
		host->fail(op, DIF_PERMANENT, "", "'%s' is not on the source's own host", key);
		return false;
	}
	if (https_climbs(key)) {
		host->fail(op, DIF_PERMANENT, "", "'%s' leaves the folder of the source", key);
		return false;
	}
	size_t folder = https_folder_end(base);
	s->url = host->fmt(op, "%.*s%s%s", (int)folder, base,
	                   folder > 0 && base[folder - 1] == '/' ? "" : "/",
	                   host->enc(op, DIF_PATH, key, strlen(key)));
	return true;
}

/* --- what a reply tells --- */

static bool number(const char *s, uint64_t *out)
{
	uint64_t n = 0;
	if (s == NULL || *s < '0' || *s > '9') {
		return false;
	}
	for (; *s >= '0' && *s <= '9'; s++) {
		if (n > (UINT64_MAX - 9) / 10) {
			return false;
		}
		n = n * 10 + (uint64_t)(*s - '0');
	}
	*out = n;
	return *s == '\0';
}

/* Size of the whole object; false: not told. */
static bool total_of(const struct dif_reply *r, uint64_t *total)
{
	const char *range = host->field(r, "content-range", 0);
	if (r->status == 206) {
		const char *slash = range == NULL ? NULL : strchr(range, '/');
		return slash != NULL && number(slash + 1, total);
	}
	return number(host->field(r, "content-length", 0), total);
}

static bool is_strong(const char *tag)
{
	return tag != NULL && *tag == '"';
}

static const char *tag_of(struct dif_op *op, const struct dif_reply *r)
{
	const char *etag = host->field(r, "etag", 0);
	const char *modified = host->field(r, "last-modified", 0);
	uint64_t total = 0;
	if (is_strong(etag)) {
		return host->fmt(op, "%s", etag);
	}
	if (modified != NULL && total_of(r, &total)) {
		return host->fmt(op, LAST_MODIFIED_TAG "%s+%llu", modified,
		                 (unsigned long long)total);
	}
	return etag == NULL ? "" : host->fmt(op, "%s", etag);
}

/* The date inside a tag made of one; NULL: it is not. */
static const char *date_in(struct dif_op *op, const char *tag)
{
	size_t n = strlen(LAST_MODIFIED_TAG);
	if (tag == NULL || strncmp(tag, LAST_MODIFIED_TAG, n) != 0) {
		return NULL;
	}
	return host->fmt(op, "%.*s", (int)strcspn(tag + n, "+"), tag + n);
}

static bool is_encoded(const struct dif_reply *r)
{
	const char *encoding = host->field(r, "content-encoding", 0);
	return encoding != NULL && *encoding != '\0' && strcmp(encoding, "identity") != 0;
}

/* --- asking --- */

/* Follows one redirect to the same place. */
static bool follow(struct dif_op *op, const struct dif_reply *r)
{
	struct asking *s = op->scratch;
	const char *to = host->field(r, "location", 0);
	if (r->status / 100 != 3 || s->hops > 0 || to == NULL) {
		return false;
	}
	if (to[0] == '/' && to[1] != '/') {
		to = host->fmt(op, "%.*s%s", (int)https_authority_end(s->url), s->url, to);
	}
	if (!https_is_same_place(s->url, to)) {
		return false;
	}
	s->hops++;
	s->url = host->fmt(op, "%s", to);
	https_ask(op);
	return true;
}

/* Looks for what makes a good reply useless; true: the op has failed. */
static bool refused(struct dif_op *op, const struct dif_reply *r, const char *tag)
{
	const struct asking *s = op->scratch;
	const struct dif_get *in = s->in;
	if (is_encoded(r)) {
		host->refuse(op, r, "Encoded",
		             "the server sends it with a content encoding that nobody asked for");
		return true;
	}
	if (in->if_tag != NULL && strcmp(in->if_tag, tag) != 0) {
		host->fail(op, DIF_CONFLICT, "", "it has been replaced meanwhile");
		return true;
	}
	if (in->sink == NULL) {
		return false;
	}
	if (r->status == 200 && (in->offset > 0 || (in->length > 0 && r->sunk > in->length))) {
		host->refuse(op, r, "NoRange", "the server does not serve ranges of it");
		return true;
	}
	if (r->body.n > 0) { /* it did not go into the sink */
		host->refuse(op, r, "WrongRange", "the server sends another range of it");
		return true;
	}
	return false;
}

static void on_reply(struct dif_op *op, const struct dif_reply *r)
{
	struct asking *s = op->scratch;
	struct dif_result res = {.object = {.key = s->key}};
	if (r->status == 304 && s->in->unless_tag != NULL) {
		res.not_modified = 1;
		res.object.tag = s->in->unless_tag;
		host->done(op, &res);
		return;
	}
	if (follow(op, r)) {
		return;
	}
	if (s->absent != NULL && (r->status == 404 || r->status == 410)) {
		s->absent(op);
		return;
	}
	if (!host->good(op, r)) {
		return;
	}
	if (s->page != NULL) {
		s->page(op, r);
		return;
	}
	res.object.tag = tag_of(op, r);
	if (refused(op, r, res.object.tag)) {
		return;
	}
	const char *modified = host->field(r, "last-modified", 0);
	int64_t when = modified == NULL ? 0 : host->undate(modified);
	res.object.modified = when > 0 ? when : 0;
	res.object.type = host->field(r, "content-type", 0);
	if (!total_of(r, &res.total) && s->in->sink != NULL) {
		res.total = s->in->offset + r->sunk;
	}
	res.object.size = res.total;
	if (s->then != NULL) {
		s->then(op, &res.object);
		return;
	}
	res.not_modified = s->in->sink == NULL && s->in->unless_tag != NULL &&
	                   strcmp(s->in->unless_tag, res.object.tag) == 0;
	host->done(op, &res);
}

static uint32_t credentials(struct dif_op *op, struct dif_field *f)
{
	const struct self *self = op->self;
	uint32_t n = 0;
	if (self->user != NULL) {
		const char *both = host->fmt(op, "%s:%s", self->user, self->password);
		const char *basic = host->enc(op, DIF_BASE64, both, strlen(both));
		host->hide(op, basic);
		f[n++] = (struct dif_field){"authorization", host->fmt(op, "Basic %s", basic)};
	} else if (self->bearer != NULL) {
		f[n++] = (struct dif_field){"authorization",
		                            host->fmt(op, "Bearer %s", self->bearer)};
	}
	if (self->header != NULL) {
		size_t name = strcspn(self->header, ":");
		const char *value = self->header + name + 1;
		f[n++] = (struct dif_field){host->fmt(op, "%.*s", (int)name, self->header),
		                            value + strspn(value, " ")};
	}
	return n;
}

/* Conditions. A date is no condition for a head: asking costs the same, and a package replaced
 * within the second, or by an older one, would not be seen. */
static uint32_t conditions(struct dif_op *op, const struct dif_get *in, struct dif_field *f)
{
	const char *unless_date = date_in(op, in->unless_tag), *if_date = date_in(op, in->if_tag);
	uint32_t n = 0;
	if (in->unless_tag != NULL && *in->unless_tag != '\0' && unless_date == NULL) {
		f[n++] = (struct dif_field){"if-none-match", in->unless_tag};
	} else if (unless_date != NULL && in->sink != NULL) {
		f[n++] = (struct dif_field){"if-modified-since", unless_date};
	}
	if (is_strong(in->if_tag)) {
		f[n++] = (struct dif_field){"if-match", in->if_tag};
	} else if (if_date != NULL) {
		f[n++] = (struct dif_field){"if-unmodified-since", if_date};
	}
	if (in->offset == 0 && in->length == 0) {
		return n;
	}
	unsigned long long from = in->offset, to = in->offset + in->length - 1;
	f[n++] = (struct dif_field){"range", in->length > 0
	                                             ? host->fmt(op, "bytes=%llu-%llu", from, to)
	                                             : host->fmt(op, "bytes=%llu-", from)};
	if (is_strong(in->if_tag) || if_date != NULL) {
		f[n++] = (struct dif_field){"if-range", if_date != NULL ? if_date : in->if_tag};
	}
	return n;
}

void https_ask(struct dif_op *op)
{
	const struct asking *s = op->scratch;
	struct dif_field f[FIELDS_MAX];
	uint32_t n = credentials(op, f);
	n += conditions(op, s->in, f + n);
	host->http(op,
	           &(struct dif_http){.method = s->in->sink != NULL || s->page != NULL ? "GET"
	                                                                               : "HEAD",
	                              .url = s->url,
	                              .fields = f,
	                              .nfields = n,
	                              .sink = s->in->sink,
	                              .sink_offset = s->in->offset,
	                              .sink_tag = is_strong(s->in->if_tag) ? s->in->if_tag : NULL},
	           on_reply);
}

static void read_it(struct dif_op *op)
{
	struct asking *s = op->scratch;
	s->in = op->in;
	if (resolve(op, s)) {
		https_ask(op);
	}
}

bool https_begin(struct dif_op *op)
{
	struct asking *s = op->scratch;
	s->probe.key = "";
	s->in = &s->probe;
	return resolve(op, s);
}

static void probe(struct dif_op *op)
{
	if (https_begin(op)) {
		https_ask(op);
	}
}

static void on_only(struct dif_op *op, const struct dif_object *o)
{
	host->object(op, o);
	host->done(op, &(struct dif_result){0});
}

/* One row: what the url is now. */
static void list(struct dif_op *op)
{
	struct asking *s = op->scratch;
	const struct self *self = op->self;
	if (self->pattern != NULL) {
		https_list_page(op);
		return;
	}
	if (self->step != 0) {
		https_list_times(op);
		return;
	}
	s->then = on_only;
	probe(op);
}

/* --- open --- */

static const struct dif_option options[] = {
	{.name = "url",
         .help = "address of the package or page; %Y %m %d %H %M %S in it stand for the time (UTC)",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 8,
         .max = KEY_MAX,
         .offset = offsetof(struct self, url)},
	{.name = "pattern",
         .help = "url is an index page (HTML, text, JSON): what this glob fits is a package",
         .type = DIF_STRING,
         .min = 1,
         .max = 256,
         .offset = offsetof(struct self, pattern)},
	{.name = "newest",
         .def = "name",
         .help = "what tells which name is newer; modified asks for 16 Last-Modified",
         .type = DIF_ENUM,
         .choices = "name modified",
         .offset = offsetof(struct self, newest)},
	{.name = "step",
         .help = "url is a template of times: the latest of these steps that is there counts",
         .type = DIF_DURATION,
         .min = 1000,
         .max = 86400000,
         .offset = offsetof(struct self, step)},
	{.name = "look_back",
         .def = "1h",
         .help = "how far back to look, with step",
         .type = DIF_DURATION,
         .min = 1000,
         .max = 604800000,
         .offset = offsetof(struct self, look_back)},
	{.name = "utc_offset",
         .def = "0",
         .help = "minutes that the times in url are ahead of UTC; -360 is Mexico City",
         .type = DIF_INT,
         .min = -840,
         .max = 840,
         .offset = offsetof(struct self, utc_offset)},
	{.name = "user",
         .help = "user name (Basic)",
         .type = DIF_STRING,
         .min = 1,
         .max = 256,
         .offset = offsetof(struct self, user)},
	{.name = "password",
         .help = "password of user",
         .type = DIF_STRING,
         .flags = DIF_SECRET,
         .max = 1024,
         .offset = offsetof(struct self, password)},
	{.name = "bearer",
         .help = "token, sent as Authorization: Bearer",
         .type = DIF_STRING,
         .flags = DIF_SECRET,
         .min = 1,
         .max = 4096,
         .offset = offsetof(struct self, bearer)},
	{.name = "header",
         .help = "one more header of every request, 'Name: value'",
         .type = DIF_STRING,
         .flags = DIF_SECRET,
         .min = 3,
         .max = 4096,
         .offset = offsetof(struct self, header)},
};

bool https_is_plain_text(const char *s)
{
	for (; s != NULL && *s != '\0'; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f) {
			return false;
		}
	}
	return true;
}

/* Refuses what cannot be sent, with the remedy. */
static bool check(const struct self *s, struct dif_opening *o)
{
	if ((s->user == NULL) != (s->password == NULL)) {
		o->refuse(o, "user and password go together; give both or none");
		return false;
	}
	if (s->user != NULL && (s->bearer != NULL || strchr(s->user, ':') != NULL)) {
		o->refuse(o, "give either user (without a colon) and password, or bearer");
		return false;
	}
	if (!https_is_plain_text(s->user) || !https_is_plain_text(s->password) ||
	    !https_is_plain_text(s->bearer) || !https_is_plain_text(s->header)) {
		o->refuse(o, "user, password, bearer and header cannot hold control characters");
		return false;
	}
	if (s->step != 0 && (strchr(s->url, '%') == NULL || s->pattern != NULL ||
	                     s->look_back / s->step >= TRIES_MAX)) {
		o->refuse(
			o,
			"step needs times in url, no pattern, and look_back of 120 steps at most");
		return false;
	}
	size_t name = s->header == NULL ? 0 : strspn(s->header, NAME_CHARACTERS);
	if (s->header != NULL && (name == 0 || s->header[name] != ':')) {
		o->refuse(o, "header must be written 'Name: value'");
		return false;
	}
	return true;
}

static bool open_https(void *instance, struct dif_opening *o, struct dif_caps *c)
{
	struct self *s = instance;
	const char *scheme, *authority, *path;
	if (!check(s, o)) {
		return false;
	}
	if (!o->url(o, s->url, &scheme, &authority, &path) || strchr(authority, '%') != NULL ||
	    !https_is_plain_text(s->url) || strchr(s->url, ' ') != NULL ||
	    strchr(s->url, '#') != NULL) {
		o->refuse(o, "url '%s' is not an address; write https://HOST/PATH, blanks as %%20",
		          s->url);
		return false;
	}
	s->hosts[0] = authority;
	c->size = sizeof *c;
	c->flags = DIF_CAP_READ_ONLY;
	c->hosts = s->hosts;
	c->list_max = s->pattern != NULL || s->step != 0 ? ROWS_MAX : 1;
	c->key_max = KEY_MAX;
	return true;
}

static const struct dif_store store = {
	.c = {.size = sizeof store,
              .self_size = sizeof(struct self),
              .scratch_size = sizeof(struct asking),
              .faults = faults,
              .open = open_https,
              .probe = probe},
	.list = list,
	.head = read_it,
	.get = read_it,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_STORE,
         .flags = DIF_OFFER_HTTP,
         .name = "https",
         .what = "a web server, to read packages from",
         .options = options,
         .noptions = DIF_LEN(options),
         .verbs = &store.c},
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
