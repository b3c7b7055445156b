/* http_policy - which URL and which address a request may touch.
 *
 *   URL       its host is in the policy's list; plain HTTP only as design rule 10 has it
 *   address   judged when a socket is made and again when a kept connection is used, so that
 *             neither a name that resolves to 127.0.0.1 nor another section's connection helps
 *
 * An address counts by where packets go: IPv4 inside IPv6 (mapped, NAT64, 6to4) counts as IPv4.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "base/parse.h"
#include "host/http_private.h"

enum kind { PUBLIC, PRIVATE, LOOPBACK, LINK_LOCAL, METADATA, NEVER };

struct range {
	unsigned char net[16];
	unsigned char bits;
	unsigned char kind;
};

/* The first that fits decides. RFC 6890 and its registry, and where clouds keep credentials. */
static const struct range ranges4[] = {
	{{169, 254, 169, 254}, 32, METADATA},
	{{169, 254, 170, 2}, 32, METADATA},
	{{169, 254, 170, 23}, 32, METADATA},
	{{100, 100, 100, 200}, 32, METADATA},
	{{192, 0, 0, 192}, 32, METADATA},
	{{168, 63, 129, 16}, 32, METADATA},
	{{169, 254, 0, 0}, 16, LINK_LOCAL},
	{{127, 0, 0, 0}, 8, LOOPBACK},
	{{10, 0, 0, 0}, 8, PRIVATE},
	{{172, 16, 0, 0}, 12, PRIVATE},
	{{192, 168, 0, 0}, 16, PRIVATE},
	{{100, 64, 0, 0}, 10, PRIVATE},
	{{192, 0, 0, 0}, 24, PRIVATE},
	{{198, 18, 0, 0}, 15, PRIVATE},
	{{0, 0, 0, 0}, 8, NEVER},
	{{224, 0, 0, 0}, 4, NEVER},
	{{240, 0, 0, 0}, 4, NEVER},
};
static const struct range ranges6[] = {
	{{0xfd, 0, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}, 128, METADATA},
	{{0xfd, 0, 0x0e, 0xc2, [15] = 0x23}, 128, METADATA},
	{{[15] = 1}, 128, LOOPBACK},
	{{0}, 128, NEVER},
	{{0xfe, 0x80}, 10, LINK_LOCAL},
	{{0xfe, 0xc0}, 10, PRIVATE},
	{{0xfc}, 7, PRIVATE},
	{{0xff}, 8, NEVER},
};
/* Where an IPv4 address hides in IPv6, and at which byte. */
static const struct {
	unsigned char net[16];
	unsigned char bits, at;
} inner4[] = {
	{{[10] = 0xff, [11] = 0xff}, 96, 12}, /* mapped */
	{{0, 0x64, 0xff, 0x9b}, 96, 12},      /* NAT64 */
	{{0x20, 0x02}, 16, 2},                /* 6to4 */
	{{0}, 96, 12},                        /* compatible, long gone; after :: and ::1 */
};
static const char *const kind_names[] = {"public",     "private",  "loopback",
                                         "link-local", "metadata", "unusable"};

static bool inside(const unsigned char *a, const unsigned char *net, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	return memcmp(a, net, whole) == 0 &&
	       (rest == 0 || ((a[whole] ^ net[whole]) >> (8 - rest)) == 0);
}

static enum kind kind_in(const struct range *r, size_t n, const unsigned char *a)
{
	for (size_t i = 0; i < n; i++) {
		if (inside(a, r[i].net, r[i].bits)) {
			return r[i].kind;
		}
	}
	return PUBLIC;
}

static enum kind kind_of(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
		return kind_in(ranges4, DIF_LEN(ranges4), (const void *)&in->sin_addr);
	}
	if (sa->sa_family != AF_INET6) {
		return NEVER;
	}
	const unsigned char *a = ((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr.s6_addr;
	enum kind kind = kind_in(ranges6, DIF_LEN(ranges6), a);
	for (size_t i = 0; kind == PUBLIC && i < DIF_LEN(inner4); i++) {
		if (inside(a, inner4[i].net, inner4[i].bits)) {
			return kind_in(ranges4, DIF_LEN(ranges4), a + inner4[i].at);
		}
	}
	return kind;
}

/* What an address, not a name, stands for; false: it is a name. */
static bool address_of(const char *host, struct sockaddr_storage *to)
{
	*to = (struct sockaddr_storage){0};
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)to;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)to;
	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		to->ss_family = AF_INET;
		return true;
	}
	if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
		to->ss_family = AF_INET6;
		return true;
	}
	return false;
}

/* --- the URL --- */

static bool take_host(struct target *t, CURLU *u)
{
	char *host = NULL;
	if (curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK) {
		return false;
	}
	const char *p = host;
	size_t n = strlen(p);
	if (n > 1 && p[0] == '[' && p[n - 1] == ']') {
		p++;
		n -= 2;
	}
	bool fits = n > 0 && n < sizeof t->host;
	for (size_t i = 0; fits && i < n; i++) {
		t->host[i] = (char)tolower((unsigned char)p[i]);
	}
	curl_free(host);
	return fits;
}

static bool take_scheme(struct target *t, CURLU *u)
{
	char *scheme = NULL;
	if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK) {
		return false;
	}
	t->https = strcmp(scheme, "https") == 0;
	bool known = t->https || strcmp(scheme, "http") == 0;
	curl_free(scheme);
	return known;
}

static bool take_port(struct target *t, CURLU *u)
{
	char *port = NULL;
	uint64_t n = 0;
	bool good = curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
	            dif_parse_uint(port, 65535, &n) && n > 0;
	curl_free(port);
	t->port = (uint32_t)n;
	return good;
}

static bool lacks(CURLU *u, CURLUPart part)
{
	char *text = NULL;
	CURLUcode rc = curl_url_get(u, part, &text, 0);
	curl_free(text);
	return rc != CURLUE_OK;
}

/* libcurl's own parser reads the URL, with the flag it will use itself: two readers of one URL are
 * a way around a rule. Only printable ASCII, so that nothing needs encoding on the way. */
static bool take(struct target *t, CURLU *u, const char *url)
{
	for (const char *p = url; *p != '\0'; p++) {
		if (*p <= ' ' || *p > '~') {
			return false;
		}
	}
	return curl_url_set(u, CURLUPART_URL, url, CURLU_PATH_AS_IS) == CURLUE_OK &&
	       take_scheme(t, u) && take_host(t, u) && take_port(t, u) &&
	       lacks(u, CURLUPART_USER) && lacks(u, CURLUPART_PASSWORD) &&
	       lacks(u, CURLUPART_FRAGMENT) && lacks(u, CURLUPART_ZONEID);
}

bool dif_http_target(struct target *t, const char *url, const char *method, struct dif_error *err)
{
	*t = (struct target){0};
	CURLU *u = curl_url();
	bool good = u != NULL && take(t, u, url);
	curl_url_cleanup(u);
	if (!good) {
		dif_error_set(err, DIF_PERMANENT,
		              "could not ask (%s): the URL is not of the form "
		              "https://HOST[:PORT]/PATH[?QUERY]",
		              method);
		return false;
	}
	struct sockaddr_storage sa;
	t->literal = address_of(t->host, &sa);
	t->localhost = strcmp(t->host, "localhost") == 0;
	bool six = strchr(t->host, ':') != NULL;
	const char *open = six ? "[" : "", *close = six ? "]" : "";
	if (t->port == (t->https ? 443 : 80)) {
		(void)snprintf(t->shown, sizeof t->shown, "%s%s%s", open, t->host, close);
	} else {
		(void)snprintf(t->shown, sizeof t->shown, "%s%s%s:%u", open, t->host, close,
		               t->port);
	}
	return true;
}

/* --- the rules --- */

/* Is this entry of the list ("host", "host:port", "[v6]:port", "v6") the target? */
static bool names(const char *entry, const struct target *t)
{
	const char *host = entry;
	size_t n = strlen(entry);
	const char *port = NULL;
	const char *end = entry[0] == '[' ? strchr(entry, ']') : NULL;
	if (end != NULL) {
		host++;
		n = (size_t)(end - host);
		port = end[1] == ':' ? end + 2 : NULL;
	} else {
		const char *colon = strchr(entry, ':');
		if (colon != NULL && strchr(colon + 1, ':') == NULL) {
			n = (size_t)(colon - entry);
			port = colon + 1;
		}
	}
	uint64_t number = t->https ? 443 : 80;
	if (port != NULL && !dif_parse_uint(port, 65535, &number)) {
		return false;
	}
	return number == t->port && strlen(t->host) == n && strncasecmp(host, t->host, n) == 0;
}

static bool listed(const struct target *t, const struct dif_http_policy *policy)
{
	for (const char *const *h = policy->hosts; h != NULL && *h != NULL; h++) {
		if (names(*h, t)) {
			return true;
		}
	}
	return false;
}

static bool is_metadata_host(const struct target *t)
{
	struct sockaddr_storage sa;
	return address_of(t->host, &sa) ? kind_of((struct sockaddr *)&sa) == METADATA
	                                : strcmp(t->host, "metadata.google.internal") == 0;
}

bool dif_http_may_ask(const struct target *t, const struct dif_http_policy *policy, uint32_t flags,
                      struct dif_error *err)
{
	/* A login knows these places by heart; no plug-in has to list them. */
	bool known = (flags & DIF_HTTP_LINK_LOCAL) != 0 && is_metadata_host(t);
	if (!known && !listed(t, policy)) {
		dif_error_set(err, DIF_PERMANENT,
		              "could not reach '%s': it is not one of the hosts of this section",
		              t->shown);
		return false;
	}
	struct sockaddr_storage sa;
	if (address_of(t->host, &sa)) {
		return dif_http_may_reach(t, policy, flags, (struct sockaddr *)&sa, err);
	}
	return true;
}

/* NULL: plain HTTP may go there; else why not. */
static const char *objection_to_plain(const struct dif_http_policy *policy, bool link_local,
                                      enum kind kind)
{
	if (kind == LOOPBACK || kind == METADATA || (link_local && kind == LINK_LOCAL)) {
		return NULL;
	}
	if (kind == PUBLIC) {
		return "plain HTTP is not for public addresses; use https://";
	}
	return policy->plain ? NULL : "plain HTTP needs plain = yes";
}

/* NULL: it may be spoken to; else why not. */
static const char *objection(const struct target *t, const struct dif_http_policy *policy,
                             uint32_t flags, enum kind kind)
{
	bool link_local = (flags & DIF_HTTP_LINK_LOCAL) != 0;
	if (kind == NEVER) {
		return "no host can have it";
	}
	if (kind == METADATA && !link_local) {
		return "only a login may ask there";
	}
	bool named = t->literal || (t->localhost && kind == LOOPBACK);
	bool login = link_local && (kind == METADATA || kind == LINK_LOCAL);
	if (kind != PUBLIC && !named && !login && !policy->private_network) {
		return "private_network = yes would permit it";
	}
	return t->https ? NULL : objection_to_plain(policy, link_local, kind);
}

bool dif_http_may_reach(const struct target *t, const struct dif_http_policy *policy,
                        uint32_t flags, const struct sockaddr *address, struct dif_error *err)
{
	if (t->proxied) {
		return true; /* the operator's own words; the proxy decides about the rest */
	}
	enum kind kind = kind_of(address);
	const char *why = objection(t, policy, flags, kind);
	if (why == NULL) {
		return true;
	}
	char ip[INET6_ADDRSTRLEN] = "?";
	if (address->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
		(void)inet_ntop(AF_INET, &in->sin_addr, ip, sizeof ip);
	} else if (address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)address;
		(void)inet_ntop(AF_INET6, &in->sin6_addr, ip, sizeof ip);
	}
	dif_error_set(err, DIF_PERMANENT, "could not reach '%s': %s is a %s address: %s", t->shown,
	              ip, kind_names[kind], why);
	return false;
}

bool dif_http_may_reach_text(const struct target *t, const struct dif_http_policy *policy,
                             uint32_t flags, const char *ip, struct dif_error *err)
{
	struct sockaddr_storage sa;
	if (t->proxied || (ip != NULL && address_of(ip, &sa))) {
		return t->proxied ||
		       dif_http_may_reach(t, policy, flags, (struct sockaddr *)&sa, err);
	}
	dif_error_set(err, DIF_PERMANENT, "could not reach '%s': its address is not known",
	              t->shown);
	return false;
}

bool dif_http_no_proxy(const char *list, const char *host)
{
	size_t n = strlen(host);
	for (const char *p = list; p != NULL && *p != '\0';) {
		p += strspn(p, ", \t");
		size_t len = strcspn(p, ", \t");
		const char *entry = p;
		p += len;
		if (len == 1 && entry[0] == '*') {
			return true;
		}
		while (len > 0 && entry[0] == '.') {
			entry++;
			len--;
		}
		if (len > 0 && len <= n && strncasecmp(host + n - len, entry, len) == 0 &&
		    (len == n || host[n - len - 1] == '.')) {
			return true;
		}
	}
	return false;
}
