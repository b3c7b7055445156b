/* http_request - a call's options: method, headers, and how the body goes.
 *
 * An easy handle is used again and again. What never changes is set when it is made; what differs
 * is set each time, also back.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/http_private.h"

#define CONNECT_MS 5000
#define EXPECT_MIN (1 << 20)    /* from here a refusal is worth a round trip */
#define REQUEST_MAX (64 * 1024) /* URL and headers; servers take 8 to 16 KiB */
#define REQUEST_FIELDS_MAX 256  /* metadata included */
#define METHOD_MAX 16
#define OWN_LINES 3        /* Expect, Accept, Content-Type */
#define MAXAGE_S 20L       /* servers close idle connections after 5 to 60 s */
#define MAXLIFETIME_S 300L /* follows DNS, and outlives no revoked certificate for long */
#define DNS_CACHE_S 60L
#define CA_CACHE_S 300L /* parsing the system's bundle costs 20 ms for each connection */

/* --- headers --- */

static bool is_token(const char *s, size_t max)
{
	static const char others[] = "!#$%&'*+-.^_`|~";
	size_t n = 0;
	for (; s[n] != '\0'; n++) {
		char c = s[n];
		bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		            (c >= '0' && c <= '9') || strchr(others, c) != NULL;
		if (!good || n >= max) {
			return false;
		}
	}
	return n > 0;
}

/* No line breaks, no control characters: a value must not become a header of its own. */
static bool is_value(const char *s)
{
	for (; *s != '\0'; s++) {
		if (((unsigned char)*s < ' ' && *s != '\t') || *s == 127) {
			return false;
		}
	}
	return true;
}

/* What the transport says itself. */
static bool is_ours(const char *name)
{
	static const char *const ours[] = {"content-length", "transfer-encoding", "connection",
	                                   "expect", "te"};
	for (size_t i = 0; i < DIF_LEN(ours); i++) {
		if (strcasecmp(name, ours[i]) == 0) {
			return true;
		}
	}
	return false;
}

static bool make_room(struct dif_http_call *call, size_t text, uint32_t lines)
{
	if (text > call->text_cap) {
		char *p = malloc(text);
		if (p == NULL) {
			return false;
		}
		free(call->text);
		call->text = p;
		call->text_cap = text;
	}
	if (lines > call->lines_cap) {
		struct curl_slist *l = malloc(lines * sizeof *l);
		if (l == NULL) {
			return false;
		}
		free(call->lines);
		call->lines = l;
		call->lines_cap = lines;
	}
	call->text_n = 0;
	call->nlines = 0;
	return true;
}

static char *copy(struct dif_http_call *call, const char *s, size_t n)
{
	char *to = call->text + call->text_n;
	memcpy(to, s, n);
	to[n] = '\0';
	call->text_n += n + 1;
	assert(call->text_n <= call->text_cap);
	return to;
}

static void add_line(struct dif_http_call *call, char *line)
{
	struct curl_slist *l = &call->lines[call->nlines];
	*l = (struct curl_slist){.data = line};
	if (call->nlines > 0) {
		call->lines[call->nlines - 1].next = l;
	}
	call->nlines++;
}

/* "Name: value"; libcurl wants "Name;" where there is no value. */
static void add_field(struct dif_http_call *call, const struct dif_field *f)
{
	size_t name = strlen(f->name), value = strlen(f->value);
	char *line = copy(call, f->name, name);
	if (value == 0) {
		line[name] = ';';
		line[name + 1] = '\0';
		call->text_n++;
	} else {
		line[name] = ':';
		line[name + 1] = ' ';
		memcpy(line + name + 2, f->value, value + 1);
		call->text_n += 2 + value;
	}
	add_line(call, line);
}

static bool has(const struct dif_http_request *req, const char *name)
{
	for (uint32_t i = 0; i < req->nfields; i++) {
		if (strcasecmp(req->fields[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

static bool copy_text(struct dif_http_call *call, const struct dif_http_request *req)
{
	size_t url = strlen(req->url), method = strlen(req->method);
	size_t need = url + method + 2;
	for (uint32_t i = 0; i < req->nfields; i++) {
		need += strlen(req->fields[i].name) + strlen(req->fields[i].value) + 4;
	}
	/* "Expect:" and the like, in writable memory because a list node wants that. */
	static const char *const off[OWN_LINES] = {"Expect:", "Accept:", "Content-Type:"};
	need += sizeof "Expect:" + sizeof "Accept:" + sizeof "Content-Type:";
	if (!make_room(call, need, req->nfields + OWN_LINES)) {
		return false;
	}
	call->url = copy(call, req->url, url);
	call->method = copy(call, req->method, method);
	for (uint32_t i = 0; i < req->nfields; i++) {
		if (!is_ours(req->fields[i].name)) {
			add_field(call, &req->fields[i]);
		}
	}
	/* Without a word a silent server would be waited for, a second for each object. */
	bool silent[OWN_LINES] = {call->body_size <= EXPECT_MIN, !has(req, "accept"),
	                          !has(req, "content-type")};
	for (size_t i = 0; i < OWN_LINES; i++) {
		if (silent[i]) {
			add_line(call, copy(call, off[i], strlen(off[i])));
		}
	}
	return true;
}

static bool check_text(const struct dif_http_request *req, struct dif_error *err)
{
	size_t n = strlen(req->url);
	if (!is_token(req->method, METHOD_MAX)) {
		dif_error_set(err, DIF_PERMANENT, "could not ask: the method is not a word");
		return false;
	}
	for (uint32_t i = 0; i < req->nfields && i < REQUEST_FIELDS_MAX; i++) {
		const struct dif_field *f = &req->fields[i];
		n += strlen(f->name) + strlen(f->value);
		if (!is_token(f->name, SIZE_MAX) || !is_value(f->value)) {
			dif_error_set(err, DIF_PERMANENT,
			              "could not ask (%s): header %u has a character that no "
			              "header can have",
			              req->method, i);
			return false;
		}
	}
	if (req->nfields > REQUEST_FIELDS_MAX || n > REQUEST_MAX) {
		dif_error_set(err, DIF_PERMANENT,
		              "could not ask (%s): more than %d headers, or %d bytes of URL and "
		              "headers",
		              req->method, REQUEST_FIELDS_MAX, REQUEST_MAX);
		return false;
	}
	return true;
}

static bool through_proxy(const struct dif_http_call *call)
{
	const struct dif_http_client *c = call->client;
	const struct target *t = &call->target;
	uint32_t direct = DIF_HTTP_NO_PROXY | DIF_HTTP_LINK_LOCAL;
	return c->proxy != NULL && t->https && !t->literal && !t->localhost &&
	       (call->req.flags & direct) == 0 && !dif_http_no_proxy(c->no_proxy, t->host);
}

bool dif_http_prepare(struct dif_http_call *call, const struct dif_http_request *req,
                      struct dif_error *err)
{
	call->req = *req;
	call->req.reply_max = req->reply_max == 0               ? REPLY_DEFAULT
	                      : req->reply_max <= REPLY_CEILING ? req->reply_max
	                                                        : REPLY_CEILING;
	/* These were the caller's; the copies are in text. */
	call->req.method = call->req.url = NULL;
	call->req.fields = NULL;
	call->err = call->refused = (struct dif_error){.retry_after = -1};
	call->why[0] = '\0';
	call->resume = call->connected = false;
	call->sendings = 0;
	call->local = 0;
	call->bytes = 0;
	dif_http_reply_reset(&call->reply);
	call->reply.body.max = (size_t)call->req.reply_max;
	if (!check_text(req, err) || !dif_http_target(&call->target, req->url, req->method, err)) {
		return false;
	}
	call->target.proxied = through_proxy(call);
	if (!dif_http_may_ask(&call->target, req->policy, req->flags, err) ||
	    !dif_http_body_measure(call, err)) {
		return false;
	}
	if (!copy_text(call, req)) {
		dif_error_set(err, DIF_TRANSIENT, "could not reach '%s': out of memory",
		              call->target.shown);
		(void)snprintf(err->code, sizeof err->code, "local");
		return false;
	}
	return true;
}

/* --- options --- */

static curl_socket_t on_open(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct dif_http_call *call = data;
	(void)purpose;
	if (!dif_http_may_reach(&call->target, call->req.policy, call->req.flags, &address->addr,
	                        &call->refused)) {
		return CURL_SOCKET_BAD;
	}
	curl_socket_t fd = dif_http_loop_open(call->client, address);
	if (fd == CURL_SOCKET_BAD) {
		call->local = errno;
	}
	return fd;
}

/* Just before the request is sent, on a new connection or a kept one. */
static int on_request(void *data, char *ip, char *own_ip, int port, int own_port)
{
	struct dif_http_call *call = data;
	(void)own_ip;
	(void)port;
	(void)own_port;
	if (!dif_http_may_reach_text(&call->target, call->req.policy, call->req.flags, ip,
	                             &call->err)) {
		return CURL_PREREQFUNC_ABORT;
	}
	call->connected = true;
	call->sendings++;
	call->moved = (int64_t)uv_now(call->client->loop);
	return CURL_PREREQFUNC_OK;
}

static bool set_once(CURL *e, struct dif_http_call *call)
{
	static const struct {
		CURLoption option;
		long value;
	} longs[] = {
		{CURLOPT_FOLLOWLOCATION, 0},
		{CURLOPT_NOSIGNAL, 1},
		/* A name look-up that hangs is left alone; to wait for it would stop the loop. */
		{CURLOPT_QUICK_EXIT, 1},
		{CURLOPT_SSL_VERIFYPEER, 1},
		{CURLOPT_SSL_VERIFYHOST, 2},
		{CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
		{CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_S},
		/* 7.88 mishandles uploads over HTTP/2, and object stores speak 1.1 only. */
		{CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
		{CURLOPT_PATH_AS_IS, 1},
		{CURLOPT_NETRC, CURL_NETRC_IGNORED},
		{CURLOPT_TCP_KEEPALIVE, 1},
		{CURLOPT_TCP_NODELAY, 1},
		{CURLOPT_MAXAGE_CONN, MAXAGE_S},
		{CURLOPT_MAXLIFETIME_CONN, MAXLIFETIME_S},
		{CURLOPT_DNS_CACHE_TIMEOUT, DNS_CACHE_S},
		{CURLOPT_SUPPRESS_CONNECT_HEADERS, 1},
		{CURLOPT_NOPROGRESS, 1},
	};
	for (size_t i = 0; i < DIF_LEN(longs); i++) {
		if (curl_easy_setopt(e, longs[i].option, longs[i].value) != CURLE_OK) {
			return false;
		}
	}
	const struct dif_http_client *c = call->client;
	return curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, "https") == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_USERAGENT, "difusor/" DIFUSOR_VERSION) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_NOPROXY, "") == CURLE_OK &&
	       /* With a folder besides the file libcurl would keep no parsed certificates. */
	       curl_easy_setopt(e, CURLOPT_CAPATH, c->ca_path) == CURLE_OK;
}

static bool set_data(CURL *e, struct dif_http_call *call)
{
	static const CURLoption options[] = {
		CURLOPT_PRIVATE,  CURLOPT_HEADERDATA, CURLOPT_WRITEDATA,     CURLOPT_READDATA,
		CURLOPT_SEEKDATA, CURLOPT_PREREQDATA, CURLOPT_OPENSOCKETDATA};
	for (size_t i = 0; i < DIF_LEN(options); i++) {
		if (curl_easy_setopt(e, options[i], call) != CURLE_OK) {
			return false;
		}
	}
	/* The connection outlives the call, so this one is the client's. */
	return curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, call->client) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_ERRORBUFFER, call->why) == CURLE_OK;
}

static bool set_callbacks(CURL *e)
{
	return curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, dif_http_on_header) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, dif_http_on_body) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_READFUNCTION, dif_http_on_read) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, dif_http_on_seek) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_request) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_open) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, dif_http_loop_close) == CURLE_OK;
}

CURL *dif_http_easy_new(struct dif_http_call *call)
{
	CURL *e = curl_easy_init();
	if (e != NULL && set_once(e, call) && set_data(e, call) && set_callbacks(e)) {
		return e;
	}
	curl_easy_cleanup(e);
	return NULL;
}

static bool set_peer(struct dif_http_call *call)
{
	CURL *e = call->easy;
	const struct dif_http_client *c = call->client;
	const struct dif_http_policy *p = call->req.policy;
	long connect = p->connect_timeout_ms != 0 ? (long)p->connect_timeout_ms : CONNECT_MS;
	const char *ca = p->ca_file != NULL ? p->ca_file : c->ca_file;
	/* A section's own authorities replace the system's, they do not join them. */
	const char *folder = p->ca_file != NULL ? NULL : c->ca_path;
	return curl_easy_setopt(e, CURLOPT_CAINFO, ca) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_CAPATH, folder) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_SSLCERT, p->client_cert) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_SSLKEY, p->client_key) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, connect) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_PROXY, call->target.proxied ? c->proxy : "") == CURLE_OK;
}

/* A method without a body of its own says nothing about a length; PUT, POST and PATCH must. */
static bool may_lack_body(const char *method)
{
	return strcmp(method, "PUT") != 0 && strcmp(method, "POST") != 0 &&
	       strcmp(method, "PATCH") != 0;
}

static bool set_body(struct dif_http_call *call)
{
	CURL *e = call->easy;
	const char *m = call->method;
	/* Takes back what the handle did last: method, NOBODY and UPLOAD. */
	if (curl_easy_setopt(e, CURLOPT_POSTFIELDS, NULL) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_HTTPGET, 1L) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, NULL) != CURLE_OK) {
		return false;
	}
	if (call->body_size == 0 && may_lack_body(m)) {
		if (strcmp(m, "HEAD") == 0) {
			return curl_easy_setopt(e, CURLOPT_NOBODY, 1L) == CURLE_OK;
		}
		return strcmp(m, "GET") == 0 ||
		       curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, m) == CURLE_OK;
	}
	curl_off_t size = (curl_off_t)call->body_size;
	const char *bytes = dif_http_body_whole(call);
	if (bytes != NULL) {
		return curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, size) == CURLE_OK &&
		       curl_easy_setopt(e, CURLOPT_POSTFIELDS, bytes) == CURLE_OK &&
		       curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, m) == CURLE_OK;
	}
	return curl_easy_setopt(e, CURLOPT_UPLOAD, 1L) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, size) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, m) == CURLE_OK;
}

bool dif_http_setup(struct dif_http_call *call)
{
	return curl_easy_setopt(call->easy, CURLOPT_URL, call->url) == CURLE_OK &&
	       curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER,
	                        call->nlines > 0 ? call->lines : NULL) == CURLE_OK &&
	       set_peer(call) && set_body(call);
}

void dif_http_request_reset(struct dif_http_call *call)
{
	call->reader = (struct reader){0};
	free(call->joined);
	call->joined = NULL;
	if (call->text != NULL) {
		explicit_bzero(call->text, call->text_n); /* it held signatures and tokens */
	}
	call->text_n = 0;
	call->nlines = 0;
}
