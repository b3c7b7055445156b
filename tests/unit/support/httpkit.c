#include "unit/support/httpkit.h"

static void http_on_answer(void *data, const struct dif_http_response *r)
{
	struct answer *a = data;
	a->calls++;
	a->status = r->status;
	a->sent = r->sent;
	a->resent = r->resent;
	a->body_size = r->body.n;
	a->sunk = r->sunk;
	a->retry_after = r->retry_after_ms;
	a->cert_ends = r->cert_ends;
	a->nfields = r->nfields;
	a->rate = r->bytes_per_s;
	a->err = r->err;
	assert_int_equal(((const char *)r->body.p)[r->body.n], '\0');
	snprintf(a->body, sizeof a->body, "%s", (const char *)r->body.p);
	snprintf(a->tls, sizeof a->tls, "%s", r->tls != NULL ? r->tls : "");
	size_t n = 0;
	for (uint32_t i = 0; i < r->nfields && n < sizeof a->fields; i++) {
		n += (size_t)snprintf(a->fields + n, sizeof a->fields - n, "%s=%s\n",
		                      r->fields[i].name, r->fields[i].value);
	}
}

static enum peer_end reply(struct peer *p, void *conn, const struct peer_request *r);

void http_open(struct world *w, const char *tls, int max_tls)
{
	*w = (struct world){.engine = dif_engine_new(NULL)};
	assert_non_null(w->engine);
	w->peer = peer_start(reply, w, tls, max_tls);
	snprintf(w->host, sizeof w->host, "127.0.0.1:%u", peer_port(w->peer));
	snprintf(w->url, sizeof w->url, "%s://%s", tls != NULL ? "https" : "http", w->host);
	w->hosts[0] = w->host;
	w->policy.hosts = w->hosts;
	w->policy.ca_file = tls != NULL ? test_path("good-ca.pem") : NULL;
}

void http_close(struct world *w)
{
	dif_engine_free(w->engine);
	peer_stop(w->peer);
}

void http_wait(struct world *w, const struct answer *a, int n)
{
	while (a->calls < n) {
		uv_run(&w->engine->loop, UV_RUN_ONCE);
	}
}

void http_begin(struct world *w, const char *path, struct dif_http_request q, struct answer *a,
                size_t slot)
{
	char url[256];
	snprintf(url, sizeof url, "%s%s", w->url, path);
	q.url = url;
	q.method = q.method != NULL ? q.method : "GET";
	q.policy = q.policy != NULL ? q.policy : &w->policy;
	int before = a->calls;
	w->calls[slot] = dif_http_start(w->engine->http, &q, http_on_answer, a);
	assert_non_null(w->calls[slot]);
	assert_int_equal(a->calls, before); /* never before start returns */
}

struct answer http_ask(struct world *w, const char *path, struct dif_http_request q)
{
	struct answer a = {0};
	http_begin(w, path, q, &a, 0);
	http_wait(w, &a, 1);
	assert_int_equal(a.calls, 1);
	return a;
}

/* --- what the peer says --- */

static void reply_echo(void *conn, const struct peer_request *r)
{
	char text[9216];
	int n = snprintf(text, sizeof text, "%s %s %llu %llu %u\n%s", r->method, r->path,
	                 (unsigned long long)r->body_size, (unsigned long long)r->body_sum,
	                 r->sends, r->head);
	peer_send(conn,
	          "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: \"e1\"\r\nX-Two:  a b \r\n\r\n",
	          n);
	if (strcmp(r->method, "HEAD") != 0) {
		peer_send_bytes(conn, text, (size_t)n);
	}
}

static void reply_bytes(void *conn, const char *head, size_t n)
{
	char *p = malloc(n + 1);
	memset(p, 'x', n);
	peer_send(conn, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", head, n);
	peer_send_bytes(conn, p, n);
	free(p);
}

static const struct {
	const char *path, *text;
	enum peer_end end;
} canned[] = {
	{"/headless", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Le", PEER_CLOSE},
	{"/truncated", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789", PEER_CLOSE},
	{"/garbage", "hello, who are you?\r\n\r\n", PEER_CLOSE},
	{"/redirect", "HTTP/1.1 302 Found\r\nLocation: /echo\r\nContent-Length: 0\r\n\r\n",
         PEER_KEEP},
	{"/busy", "HTTP/1.1 503 Slow\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy",
         PEER_KEEP},
	{"/date",
         "HTTP/1.1 429 Slow\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
         "Content-Length: 0\r\n\r\n",
         PEER_KEEP},
	{"/nonsense", "HTTP/1.1 503 Slow\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n",
         PEER_KEEP},
	{"/empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", PEER_KEEP},
	{"/chunked",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
         "5\r\nhello\r\n0\r\nX-Trailer: no\r\n\r\n",
         PEER_KEEP},
	{"/part",
         "HTTP/1.1 206 Partial\r\nContent-Range: bytes 100-104/200\r\nETag: \"t\"\r\n"
         "Content-Length: 5\r\n\r\nhello",
         PEER_KEEP},
	{"/shortpart",
         "HTTP/1.1 206 Partial\r\nContent-Range: bytes 100-109/200\r\nETag: \"t\"\r\n"
         "Connection: close\r\n\r\nhello",
         PEER_CLOSE},
	{"/longpart",
         "HTTP/1.1 206 Partial\r\nContent-Range: bytes 100-101/200\r\nETag: \"t\"\r\n"
         "Connection: close\r\n\r\nhello",
         PEER_CLOSE},
	{"/hang", "", PEER_HANG},
	{"/reset", "", PEER_RESET},
	{"/hungup", "", PEER_CLOSE},
	{"/early", "HTTP/1.1 403 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
         PEER_HANG},
};

static enum peer_end reply(struct peer *p, void *conn, const struct peer_request *r)
{
	(void)p;
	for (size_t i = 0; i < DIF_LEN(canned); i++) {
		if (strcmp(r->path, canned[i].path) == 0) {
			peer_send_bytes(conn, canned[i].text, strlen(canned[i].text));
			return canned[i].end;
		}
	}
	if (strcmp(r->method, "CONNECT") == 0) {
		peer_send(conn, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
		return PEER_CLOSE;
	}
	if (strncmp(r->path, "/once", 5) == 0 && r->nth > 0) {
		/* only a fresh connection gets an answer */
		return strcmp(r->path, "/once/reset") == 0 ? PEER_RESET : PEER_CLOSE;
	}
	if (strncmp(r->path, "/bytes/", 7) == 0) {
		reply_bytes(conn, "200 OK", strtoul(r->path + 7, NULL, 10));
	} else if (strncmp(r->path, "/error/", 7) == 0) {
		reply_bytes(conn, "500 Bad", strtoul(r->path + 7, NULL, 10));
	} else if (strcmp(r->path, "/headers") == 0) {
		peer_send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
		for (int i = 0; i < 200; i++) {
			peer_send(conn, "X-%d: v\r\n", i);
		}
		peer_send(conn, "\r\n");
	} else {
		reply_echo(conn, r);
	}
	return PEER_KEEP;
}

void assert_echo(const struct answer *a, const char *what, uint64_t n, uint64_t sum)
{
	char want[128];
	assert_int_equal(a->err.cls, DIF_OK);
	assert_int_equal(a->status, 200);
	snprintf(want, sizeof want, "%s %llu %llu ", what, (unsigned long long)n,
	         (unsigned long long)sum);
	assert_memory_equal(a->body, want, strlen(want));
}
