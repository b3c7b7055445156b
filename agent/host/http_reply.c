/* http_reply - what comes back.
 *
 * Headers are collected until the empty line; a status below 200 is forgotten. Then the reply is
 * judged once: does the body go to the sink? If not it is kept in memory up to the request's bound.
 * A longer body fails a good reply, and is cut short (with its connection) where its status says
 * enough: a failure's page, or the whole object where a part was asked for.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/parse.h"
#include "host/http_private.h"

#define RETRY_AFTER_MAX_S 86400
#define MEASURED_MIN (64 * 1024) /* a rate from less says more about the round trip */

/* --- headers --- */

void dif_http_reply_reset(struct reply *r)
{
	r->status = 0;
	r->done = r->engaged = r->enough = false;
	r->sunk = 0;
	r->expect = -1;
	r->nfields = 0;
	r->tls = NULL;
	r->cert_ends = 0;
	r->head.n = r->body.n = 0;
	r->head.failed = r->body.failed = false;
	if (r->body.p != NULL) {
		r->body.p[0] = '\0';
	}
}

/* The first value of a header while the reply is still being read; NULL: not there. */
static const char *value_of(const struct reply *r, const char *name)
{
	for (uint32_t i = 0; i < r->nfields; i++) {
		if (strcmp(r->head.p + r->at[i].name, name) == 0) {
			return r->head.p + r->at[i].value;
		}
	}
	return NULL;
}

/* "bytes 100-199/1000": does it begin at from? *n: how many bytes it promises. */
static bool range_begins(const char *text, uint64_t from, int64_t *n)
{
	if (text == NULL || strncmp(text, "bytes ", 6) != 0) {
		return false;
	}
	char first[24], last[24];
	size_t a = strspn(text + 6, "0123456789");
	const char *second = text + 6 + a + 1;
	if (a == 0 || a >= sizeof first || text[6 + a] != '-') {
		return false;
	}
	size_t b = strspn(second, "0123456789");
	if (b == 0 || b >= sizeof last || second[b] != '/') {
		return false;
	}
	(void)snprintf(first, sizeof first, "%.*s", (int)a, text + 6);
	(void)snprintf(last, sizeof last, "%.*s", (int)b, second);
	uint64_t from_is = 0, to_is = 0;
	if (!dif_parse_uint(first, INT64_MAX, &from_is) ||
	    !dif_parse_uint(last, INT64_MAX - 1, &to_is) || from_is != from || to_is < from_is) {
		return false;
	}
	*n = (int64_t)(to_is - from_is + 1);
	return true;
}

static bool fits_sink(struct dif_http_call *call)
{
	const struct dif_http_request *q = &call->req;
	struct reply *r = &call->reply;
	if (q->sink == NULL) {
		return false;
	}
	if (r->status == 200) {
		return q->sink_offset == 0;
	}
	const char *tag = value_of(r, "etag");
	return r->status == 206 &&
	       range_begins(value_of(r, "content-range"), q->sink_offset, &r->expect) &&
	       (q->sink_tag == NULL || (tag != NULL && strcmp(tag, q->sink_tag) == 0));
}

/* The empty line. False ends the transfer. */
static bool judge(struct dif_http_call *call)
{
	struct reply *r = &call->reply;
	if (r->status < 200) {
		return true;
	}
	r->done = true;
	if (!fits_sink(call)) {
		return true;
	}
	r->engaged = true;
	return call->req.sink->begin(call->req.sink, call->req.sink_offset, &call->err);
}

static int64_t end_of(const X509 *cert)
{
	struct tm tm;
	return ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* When the first certificate of the chain ends. A resumed session keeps the peer's own only. */
static int64_t chain_ends(SSL *ssl)
{
	const STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
	const X509 *peer = SSL_get0_peer_certificate(ssl);
	int64_t first = peer != NULL ? end_of(peer) : 0;
	for (int i = 0; chain != NULL && i < sk_X509_num(chain); i++) {
		int64_t ends = end_of(sk_X509_value(chain, i));
		first = ends != 0 && (first == 0 || ends < first) ? ends : first;
	}
	return first;
}

/* Known only while the connection is in hand. */
static void note_tls(struct reply *r, CURL *easy)
{
	struct curl_tlssessioninfo *info = NULL;
	if (curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || info == NULL ||
	    info->backend != CURLSSLBACKEND_OPENSSL || info->internals == NULL) {
		return;
	}
	r->tls = SSL_get_version(info->internals); /* a constant */
	r->cert_ends = chain_ends(info->internals);
}

/* "HTTP/1.1 200 OK" begins a reply; what came before (100 Continue) is forgotten. */
static void begin(struct dif_http_call *call)
{
	struct reply *r = &call->reply;
	long status = 0;
	(void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	r->status = (int)status;
	r->done = false;
	r->nfields = 0;
	r->head.n = 0;
	if (r->tls == NULL && call->target.https) {
		note_tls(r, call->easy);
	}
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void lower(char *p)
{
	for (; *p != '\0'; p++) {
		*p = *p >= 'A' && *p <= 'Z' ? (char)(*p + ('a' - 'A')) : *p;
	}
}

/* p and a NUL. */
static bool add_text(struct dif_buf *b, const char *p, size_t n)
{
	return dif_buf_add(b, p, n) && dif_buf_add(b, "", 1);
}

static bool add_field(struct reply *r, const char *p, size_t n)
{
	const char *colon = memchr(p, ':', n);
	if (colon == NULL || colon == p) {
		return true; /* a folded line, or none: nobody needs it */
	}
	if (r->nfields == FIELDS_MAX) {
		return false;
	}
	size_t name = (size_t)(colon - p);
	const char *v = colon + 1, *end = p + n;
	while (v < end && is_blank(*v)) {
		v++;
	}
	while (end > v && is_blank(end[-1])) {
		end--;
	}
	uint32_t at = (uint32_t)r->head.n;
	if (!add_text(&r->head, p, name) || !add_text(&r->head, v, (size_t)(end - v))) {
		return false;
	}
	lower(r->head.p + at);
	r->at[r->nfields].name = at;
	r->at[r->nfields].value = at + (uint32_t)name + 1;
	r->nfields++;
	return true;
}

size_t dif_http_on_header(char *p, size_t size, size_t nmemb, void *data)
{
	struct dif_http_call *call = data;
	struct reply *r = &call->reply;
	size_t n = size * nmemb, all = n;
	if (call->state != CALL_RUNNING) {
		return 0; /* canceled; the transfer is taken away soon */
	}
	while (n > 0 && (p[n - 1] == '\r' || p[n - 1] == '\n')) {
		n--;
	}
	if (n >= 5 && memcmp(p, "HTTP/", 5) == 0) {
		begin(call);
		return all;
	}
	if (r->done) {
		return all; /* trailers */
	}
	if (n == 0) {
		return judge(call) ? all : 0;
	}
	if (memchr(p, '\0', n) == NULL && add_field(r, p, n)) {
		return all;
	}
	dif_error_set(&call->err, DIF_PERMANENT,
	              "could not read the reply of '%s': more than %d headers or %d bytes of them, "
	              "or one that is malformed",
	              call->target.shown, FIELDS_MAX, HEAD_MAX);
	return 0;
}

/* --- body --- */

static size_t sink(struct dif_http_call *call, const char *p, size_t n)
{
	struct reply *r = &call->reply;
	if (r->expect >= 0 && n > (uint64_t)r->expect - r->sunk) {
		dif_error_set(&call->err, DIF_INTEGRITY,
		              "could not read the reply of '%s': more bytes than its range",
		              call->target.shown);
		return 0;
	}
	if (!call->req.sink->write(call->req.sink, p, n, &call->err)) {
		return 0;
	}
	r->sunk += n;
	return n;
}

size_t dif_http_on_body(char *p, size_t size, size_t nmemb, void *data)
{
	struct dif_http_call *call = data;
	struct reply *r = &call->reply;
	size_t n = size * nmemb;
	if (call->state != CALL_RUNNING || call->err.cls != DIF_OK) {
		return 0;
	}
	if (r->engaged) {
		return sink(call, p, n);
	}
	size_t room = r->body.max - r->body.n;
	if (dif_buf_add(&r->body, p, n < room ? n : room) && n <= room) {
		return n;
	}
	if (n <= room) {
		dif_error_set(&call->err, DIF_TRANSIENT,
		              "could not read the reply of '%s': out of memory",
		              call->target.shown);
		(void)snprintf(call->err.code, sizeof call->err.code, "local");
	} else if (r->status >= 300 || call->req.sink != NULL) {
		r->enough = true;
	} else {
		dif_error_set(&call->err, DIF_PERMANENT,
		              "could not read the reply of '%s': larger than %zu bytes",
		              call->target.shown, r->body.max);
	}
	return 0;
}

/* --- failures --- */

/* Is any interface but loopback up? Without one no peer is to blame. */
static bool has_network(void)
{
	struct ifaddrs *list = NULL;
	if (getifaddrs(&list) != 0) {
		return true;
	}
	bool found = false;
	for (const struct ifaddrs *i = list; i != NULL && !found; i = i->ifa_next) {
		found = i->ifa_addr != NULL &&
		        (i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6) &&
		        (i->ifa_flags & IFF_LOOPBACK) == 0 && (i->ifa_flags & IFF_RUNNING) != 0;
	}
	freeifaddrs(list);
	return found;
}

enum fault_code { NO_CODE, TIMEOUT, TLS, RESOLVE, CONNECT, TRUNCATED };
static const char *const fault_codes[] = {"", "timeout", "tls", "resolve", "connect", "truncated"};

/* What libcurl's results mean; NULL: libcurl's own words. The rest is TRANSIENT. */
static const struct {
	CURLcode rc;
	enum dif_class cls;
	enum fault_code code;
	const char *what;
} faults[] = {
	{CURLE_COULDNT_RESOLVE_HOST, DIF_TRANSIENT, RESOLVE, "its name is not known"},
	{CURLE_COULDNT_RESOLVE_PROXY, DIF_TRANSIENT, RESOLVE, "the proxy's name is not known"},
	{CURLE_COULDNT_CONNECT, DIF_TRANSIENT, CONNECT, NULL},
	{CURLE_OPERATION_TIMEDOUT, DIF_TRANSIENT, TIMEOUT, "no connection in time"},
	{CURLE_PARTIAL_FILE, DIF_TRANSIENT, TRUNCATED, "the reply ended early"},
	{CURLE_GOT_NOTHING, DIF_TRANSIENT, NO_CODE, "it hung up without a reply"},
	{CURLE_OUT_OF_MEMORY, DIF_TRANSIENT, NO_CODE, "out of memory"},
	{CURLE_SSL_CONNECT_ERROR, DIF_TRANSIENT, TLS, NULL},
	{CURLE_PEER_FAILED_VERIFICATION, DIF_PERMANENT, TLS, NULL},
	{CURLE_SSL_CACERT_BADFILE, DIF_PERMANENT, TLS, NULL},
	{CURLE_SSL_CERTPROBLEM, DIF_PERMANENT, TLS, NULL},
	{CURLE_SSL_CIPHER, DIF_PERMANENT, TLS, NULL},
	{CURLE_SSL_ISSUER_ERROR, DIF_PERMANENT, TLS, NULL},
	{CURLE_URL_MALFORMAT, DIF_PERMANENT, NO_CODE, "the URL is malformed"},
	/* The scheme was checked before: it is HTTP/0.9 that libcurl thinks to see. */
	{CURLE_UNSUPPORTED_PROTOCOL, DIF_TRANSIENT, NO_CODE, "its reply is not HTTP"},
};

/* Ours, whatever the peer does: descriptors, ports or memory are out, or there is no network. */
static bool is_local(const struct dif_http_call *call, CURLcode rc, int error)
{
	switch (error) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EADDRNOTAVAIL:
		return true;
	case ENETUNREACH:
	case ENETDOWN:
	case EHOSTUNREACH:
		return !has_network();
	default:
		return rc == CURLE_OUT_OF_MEMORY ||
		       (rc == CURLE_COULDNT_RESOLVE_HOST && !has_network()) || call->local != 0;
	}
}

/* No version or cipher in common stays so. */
static bool is_final(const char *why)
{
	static const char *const signs[] = {"protocol version",     "unsupported protocol",
	                                    "wrong version number", "handshake failure",
	                                    "certificate required", "unknown ca"};
	for (size_t i = 0; i < DIF_LEN(signs); i++) {
		if (strcasestr(why, signs[i]) != NULL) {
			return true;
		}
	}
	return false;
}

static void explain(struct dif_http_call *call, CURLcode rc)
{
	enum dif_class cls = DIF_TRANSIENT;
	enum fault_code code = NO_CODE;
	const char *what = NULL;
	for (size_t i = 0; i < DIF_LEN(faults); i++) {
		if (faults[i].rc == rc) {
			cls = faults[i].cls;
			code = faults[i].code;
			what = faults[i].what;
		}
	}
	long number = 0;
	(void)curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &number);
	int error = call->local != 0 ? call->local : (int)number;
	char text[64];
	if (code == CONNECT && error != 0) {
		what = strerror_r(error, text, sizeof text);
	} else if (what == NULL) {
		what = call->why[0] != '\0' ? call->why : curl_easy_strerror(rc);
	}
	if (rc == CURLE_SSL_CONNECT_ERROR && is_final(call->why)) {
		cls = DIF_PERMANENT;
	}
	dif_error_set(&call->err, cls, "could not reach '%s': %s", call->target.shown, what);
	const char *name = is_local(call, rc, error) ? "local" : fault_codes[code];
	(void)snprintf(call->err.code, sizeof call->err.code, "%s", name);
}

void dif_http_conclude(struct dif_http_call *call, CURLcode rc)
{
	const struct reply *r = &call->reply;
	if (call->err.cls != DIF_OK) {
		return; /* a callback has said why, or the caller canceled */
	}
	if (rc == CURLE_WRITE_ERROR && r->enough) {
		return;
	}
	if (rc == CURLE_COULDNT_CONNECT && call->refused.cls != DIF_OK) {
		call->err = call->refused;
		return;
	}
	if (rc != CURLE_OK) {
		explain(call, rc);
	} else if (!r->done || (r->engaged && r->expect >= 0 && r->sunk != (uint64_t)r->expect)) {
		/* libcurl is content with a header that breaks off, and takes it for one without
		 * a body. */
		explain(call, CURLE_PARTIAL_FILE);
	}
}

/* --- the response --- */

static int64_t retry_after(const struct reply *r)
{
	const char *text = value_of(r, "retry-after");
	uint64_t seconds = 0;
	if (text == NULL) {
		return -1;
	}
	if (dif_parse_uint(text, RETRY_AFTER_MAX_S, &seconds)) {
		return (int64_t)seconds * 1000;
	}
	int64_t at = dif_undate(text);
	if (at < 0) {
		return -1;
	}
	int64_t ms = at * 1000 - dif_wall_ms();
	return ms < 0 ? 0 : ms < RETRY_AFTER_MAX_S * 1000 ? ms : RETRY_AFTER_MAX_S * 1000;
}

static double rate_of(struct dif_http_call *call)
{
	curl_off_t bytes = 0, all = 0, first = 0;
	(void)curl_easy_getinfo(call->easy, CURLINFO_SIZE_DOWNLOAD_T, &bytes);
	(void)curl_easy_getinfo(call->easy, CURLINFO_TOTAL_TIME_T, &all);
	(void)curl_easy_getinfo(call->easy, CURLINFO_STARTTRANSFER_TIME_T, &first);
	return bytes >= MEASURED_MIN && all > first ? (double)bytes * 1e6 / (double)(all - first)
	                                            : 0;
}

void dif_http_response(struct dif_http_call *call, struct dif_http_response *out)
{
	struct reply *r = &call->reply;
	long sent = 0;
	(void)curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &sent);
	bool good = call->err.cls == DIF_OK;
	for (uint32_t i = 0; i < r->nfields; i++) {
		r->fields[i] =
			(struct dif_field){r->head.p + r->at[i].name, r->head.p + r->at[i].value};
	}
	*out = (struct dif_http_response){
		.status = good ? r->status : 0,
		.sent = call->connected && sent > 0,
		.resent = call->sendings > 1,
		.fields = r->fields,
		.nfields = good ? r->nfields : 0,
		.body = {good ? dif_buf_str(&r->body) : "", good ? r->body.n : 0},
		.sunk = r->sunk,
		.retry_after_ms = good ? retry_after(r) : -1,
		.tls = r->tls,
		.cert_ends = r->cert_ends,
		.bytes_per_s = good ? rate_of(call) : 0,
		.err = call->err,
	};
	out->err.retry_after = out->retry_after_ms;
}
