/* sink - an object store for benchmarks: S3 (path style) and Azure Blob shapes over TLS, in memory.
 *
 * One thread per connection, blocking; only one of them works at a time, so that a sink takes one
 * core at most from the client under test: a real store has machines of its own. Objects keep
 * their bytes, MD5 as ETag, headers and metadata; conditions on writes are kept; bodies that are
 * not what their digest says (signed SHA-256, Content-MD5) are refused; LIST answers pages in key
 * order. Signatures are not checked: real servers prove correctness, this one must only not be the
 * bottleneck. GET /__stats tells counts.
 *
 *   sink PORT CERT KEY [DELAY_MS]        port 0: a free one; prints "port N"
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX 32768
#define BODY_MAX (1u << 30)
#define SLOTS (1u << 20) /* of the table of objects; many more than a benchmark has */
#define FIELDS 64
#define META_MAX 2048

struct object {
	char *key; /* /bucket/key, decoded */
	uint8_t *body;
	size_t size;
	char etag[40]; /* quoted */
	char *headers; /* as they go back: lines of name: value */
	time_t at;
};

struct conn {
	SSL *ssl;
	char head[HEAD_MAX];
	size_t have; /* bytes in head */
};

struct request {
	char method[8];
	char *path, *query; /* path decoded */
	char *names[FIELDS], *values[FIELDS];
	int n;
	size_t length;
	uint8_t *body;
};

static SSL_CTX *tls;
static int delay_ms;
static struct object *table[SLOTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the table */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER; /* of whoever works */
static atomic_ulong puts_done, gets_done, heads_done, lists_done, removes_done, bytes_in, conns;

/* --- objects; all under the lock --- */

static uint32_t find_slot(const char *key)
{
	uint32_t h = 2166136261u;
	for (const char *c = key; *c != '\0'; c++) {
		h = (h ^ (uint8_t)*c) * 16777619u;
	}
	uint32_t i = h % SLOTS;
	while (table[i] != NULL && strcmp(table[i]->key, key) != 0) {
		i = (i + 1) % SLOTS;
	}
	return i;
}

/* A removed object leaves a body-less stone, so that chains of the table stay whole. */
static struct object *find(const char *key)
{
	struct object *o = table[find_slot(key)];
	return o != NULL && o->body != NULL ? o : NULL;
}

static int by_key(const void *a, const void *b)
{
	return strcmp((*(struct object *const *)a)->key, (*(struct object *const *)b)->key);
}

/* --- connection --- */

static bool send_all(struct conn *c, const void *p, size_t n)
{
	return n == 0 || SSL_write(c->ssl, p, (int)n) == (int)n;
}

__attribute__((format(printf, 5, 6))) static bool answer(struct conn *c, const char *status,
                                                         const char *headers, const char *body,
                                                         const char *fmt, ...)
{
	char head[4096];
	va_list ap;
	int n = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s", status,
	                 body != NULL ? strlen(body) : 0, headers);
	va_start(ap, fmt);
	n += vsnprintf(head + n, sizeof head - (size_t)n, fmt, ap);
	va_end(ap);
	n += snprintf(head + n, sizeof head - (size_t)n, "\r\n");
	return send_all(c, head, (size_t)n) && (body == NULL || send_all(c, body, strlen(body)));
}

static const char *field(const struct request *r, const char *name)
{
	for (int i = 0; i < r->n; i++) {
		if (strcasecmp(r->names[i], name) == 0) {
			return r->values[i];
		}
	}
	return NULL;
}

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	                              : -1;
}

static void decode(char *s)
{
	char *to = s;
	for (; *s != '\0'; s++) {
		if (*s == '%' && hex(s[1]) >= 0 && hex(s[2]) >= 0) {
			*to++ = (char)(hex(s[1]) * 16 + hex(s[2]));
			s += 2;
		} else {
			*to++ = *s == '+' ? '+' : *s;
		}
	}
	*to = '\0';
}

/* The decoded value of a query parameter; malloc'ed, "" if absent. */
static char *parameter(const struct request *r, const char *name)
{
	size_t n = strlen(name);
	for (const char *q = r->query; q != NULL && *q != '\0';) {
		size_t len = strcspn(q, "&");
		if (len > n && strncmp(q, name, n) == 0 && q[n] == '=') {
			char *v = strndup(q + n + 1, len - n - 1);
			decode(v);
			return v;
		}
		q += len + (q[len] == '&');
	}
	return strdup("");
}

/* --- verbs --- */

static bool condition_holds(const struct request *r, const struct object *o)
{
	const char *none = field(r, "if-none-match"), *match = field(r, "if-match");
	return !(none != NULL && o != NULL) &&
	       !(match != NULL && (o == NULL || strcmp(match, o->etag) != 0));
}

static char *kept_headers(const struct request *r)
{
	char *out = malloc(META_MAX);
	size_t n = 0;
	out[0] = '\0';
	for (int i = 0; i < r->n; i++) {
		const char *name = r->names[i];
		if (strncasecmp(name, "x-ms-blob-", 10) == 0 &&
		    strncasecmp(name + 10, "type", 4) != 0) {
			name += 10; /* x-ms-blob-cache-control comes back as cache-control */
		} else if (strncasecmp(name, "x-amz-meta-", 11) != 0 &&
		           strncasecmp(name, "x-ms-meta-", 10) != 0 &&
		           strcasecmp(name, "content-type") != 0 &&
		           strcasecmp(name, "cache-control") != 0 &&
		           strcasecmp(name, "content-encoding") != 0) {
			continue;
		}
		int w = snprintf(out + n, META_MAX - n, "%s: %s\r\n", name, r->values[i]);
		n += w > 0 && (size_t)w < META_MAX - n ? (size_t)w : 0;
	}
	return out;
}

static bool is_as_told(const struct request *r, const uint8_t md5[16])
{
	const char *told = field(r, "x-amz-content-sha256"), *told_md5 = field(r, "content-md5");
	char text[32];
	EVP_EncodeBlock((unsigned char *)text, md5, 16);
	if (told_md5 != NULL && strcmp(told_md5, text) != 0) {
		return false;
	}
	if (told == NULL || strlen(told) != 64) {
		return true; /* UNSIGNED-PAYLOAD */
	}
	uint8_t md[EVP_MAX_MD_SIZE];
	EVP_Digest(r->body, r->length, md, NULL, EVP_sha256(), NULL);
	for (int i = 0; i < 32; i++) {
		if (hex(told[2 * i]) * 16 + hex(told[2 * i + 1]) != md[i]) {
			return false;
		}
	}
	return true;
}

static bool put(struct conn *c, struct request *r)
{
	uint8_t md[EVP_MAX_MD_SIZE];
	char etag[40] = "\"";
	EVP_Digest(r->body, r->length, md, NULL, EVP_md5(), NULL);
	if (!is_as_told(r, md)) {
		return field(r, "x-ms-version") != NULL
		               ? answer(c, "400 Bad Request", "x-ms-error-code: Md5Mismatch\r\n",
		                        "", "%s", "")
		               : answer(c, "400 Bad Request", "Content-Type: application/xml\r\n",
		                        "<Error><Code>BadDigest</Code></Error>", "%s", "");
	}
	for (int i = 0; i < 16; i++) {
		snprintf(etag + 1 + 2 * i, 4, "%02x\"", md[i]);
	}
	char *headers = kept_headers(r);
	pthread_mutex_lock(&lock);
	uint32_t i = find_slot(r->path);
	struct object *o = table[i];
	if (!condition_holds(r, o != NULL && o->body != NULL ? o : NULL)) {
		pthread_mutex_unlock(&lock);
		free(headers);
		return answer(c, "412 Precondition Failed", "Content-Type: application/xml\r\n",
		              "<Error><Code>PreconditionFailed</Code></Error>", "%s", "");
	}
	if (o == NULL) {
		o = table[i] = calloc(1, sizeof *o);
		o->key = strdup(r->path);
	}
	free(o->body);
	free(o->headers);
	o->body = r->body;
	o->size = r->length;
	o->headers = headers;
	o->at = time(NULL);
	memcpy(o->etag, etag, sizeof etag);
	r->body = NULL;
	pthread_mutex_unlock(&lock);
	puts_done++;
	bytes_in += r->length;
	bool azure = field(r, "x-ms-blob-type") != NULL;
	return answer(c, azure ? "201 Created" : "200 OK", "", NULL, "ETag: %s\r\n", etag);
}

static bool get(struct conn *c, struct request *r, bool head)
{
	char text[64], line[META_MAX + 512];
	pthread_mutex_lock(&lock);
	const struct object *o = find(r->path);
	if (o == NULL) {
		pthread_mutex_unlock(&lock);
		return answer(c, "404 Not Found", "",
		              head ? NULL : "<Error><Code>NoSuchKey</Code></Error>", "%s", "");
	}
	struct tm tm;
	strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&o->at, &tm));
	int n = snprintf(line, sizeof line,
	                 "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nETag: %s\r\n"
	                 "Last-Modified: %s\r\n%s\r\n",
	                 o->size, o->etag, text, o->headers);
	uint8_t *copy = head ? NULL : malloc(o->size + 1);
	size_t size = o->size;
	if (copy != NULL) {
		memcpy(copy, o->body, size);
	}
	pthread_mutex_unlock(&lock);
	bool ok = send_all(c, line, (size_t)n) && (head || send_all(c, copy, size));
	free(copy);
	head ? heads_done++ : gets_done++;
	return ok;
}

static bool remove_one(struct conn *c, struct request *r)
{
	pthread_mutex_lock(&lock);
	struct object *o = find(r->path);
	bool azure = field(r, "x-ms-version") != NULL;
	bool holds = condition_holds(r, o);
	if (o != NULL && holds) {
		free(o->body);
		o->body = NULL;
	}
	pthread_mutex_unlock(&lock);
	removes_done++;
	return answer(c,
	              !holds  ? "412 Precondition Failed"
	              : azure ? "202 Accepted"
	                      : "204 No Content",
	              "", NULL, "%s", "");
}

/* POST /bucket?delete: every <Key> of the body. */
static bool remove_many(struct conn *c, struct request *r)
{
	char path[4096];
	r->body[r->length] = '\0';
	for (char *k = strstr((char *)r->body, "<Key>"); k != NULL; k = strstr(k, "<Key>")) {
		k += 5;
		char *end = strstr(k, "</Key>");
		if (end == NULL) {
			break;
		}
		snprintf(path, sizeof path, "%s/%.*s", r->path, (int)(end - k), k);
		pthread_mutex_lock(&lock);
		struct object *o = find(path);
		if (o != NULL) {
			free(o->body);
			o->body = NULL;
		}
		pthread_mutex_unlock(&lock);
		removes_done++;
	}
	return answer(c, "200 OK", "Content-Type: application/xml\r\n",
	              "<DeleteResult></DeleteResult>", "%s", "");
}

static void escape(FILE *out, const char *s, bool url)
{
	for (; *s != '\0'; s++) {
		bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
		             (*s >= '0' && *s <= '9') || strchr("-_.~/", *s) != NULL;
		if (plain) {
			fputc(*s, out);
		} else if (url) {
			fprintf(out, "%%%02X", (uint8_t)*s);
		} else if (strchr("&<>\"'", *s) != NULL) {
			fprintf(out, "&#%d;", *s);
		} else {
			fputc(*s, out);
		}
	}
}

static void row(FILE *out, const struct object *o, size_t skip, bool azure, bool url)
{
	char at[64];
	struct tm tm;
	gmtime_r(&o->at, &tm);
	if (azure) {
		strftime(at, sizeof at, "%a, %d %b %Y %H:%M:%S GMT", &tm);
		fputs("<Blob><Name>", out);
		escape(out, o->key + skip, false);
		fprintf(out,
		        "</Name><Properties><Last-Modified>%s</Last-Modified><Etag>%.*s</Etag>"
		        "<Content-Length>%zu</Content-Length></Properties></Blob>",
		        at, (int)strlen(o->etag) - 2, o->etag + 1, o->size);
		return;
	}
	strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
	fputs("<Contents><Key>", out);
	escape(out, o->key + skip, url);
	fprintf(out,
	        "</Key><LastModified>%s</LastModified><ETag>&quot;%.*s&quot;</ETag><Size>%zu</Size>"
	        "<StorageClass>STANDARD</StorageClass></Contents>",
	        at, (int)strlen(o->etag) - 2, o->etag + 1, o->size);
}

/* The objects below /bucket/prefix behind `after`, sorted. */
static size_t collect(const char *bucket, const char *prefix, const char *after,
                      struct object **all)
{
	char start[4096], behind[4096];
	size_t n = 0;
	int len = snprintf(start, sizeof start, "%s/%s", bucket, prefix);
	snprintf(behind, sizeof behind, "%s/%s", bucket, after);
	for (uint32_t i = 0; i < SLOTS; i++) {
		struct object *o = table[i];
		if (o != NULL && o->body != NULL && strncmp(o->key, start, (size_t)len) == 0 &&
		    (*after == '\0' || strcmp(o->key, behind) > 0)) {
			all[n++] = o;
		}
	}
	qsort(all, n, sizeof *all, by_key);
	return n;
}

static bool list(struct conn *c, struct request *r, bool azure)
{
	bool v2 = strstr(r->query, "list-type=2") != NULL;
	char *prefix = parameter(r, "prefix"), *encoding = parameter(r, "encoding-type");
	char *after = parameter(r, azure || !v2 ? "marker" : "continuation-token");
	char *text = NULL;
	size_t size = 0, shown = 0, skip = strlen(r->path) + 1;
	struct object **all = malloc(SLOTS * sizeof *all);
	FILE *out = open_memstream(&text, &size);
	pthread_mutex_lock(&lock);
	size_t n = collect(r->path, prefix, after, all);
	shown = n > 1000 ? 1000 : n;
	fputs(azure ? "<?xml version=\"1.0\"?><EnumerationResults><Blobs>"
	            : "<?xml version=\"1.0\"?><ListBucketResult>",
	      out);
	for (size_t i = 0; i < shown; i++) {
		row(out, all[i], skip, azure, strcmp(encoding, "url") == 0);
	}
	const char *last = shown < n ? all[shown - 1]->key + skip : "";
	if (azure) {
		fputs("</Blobs><NextMarker>", out);
		escape(out, last, false);
		fputs("</NextMarker></EnumerationResults>", out);
	} else {
		fprintf(out,
		        "<KeyCount>%zu</KeyCount><MaxKeys>1000</MaxKeys>"
		        "<IsTruncated>%s</IsTruncated>",
		        shown, shown < n ? "true" : "false");
		fputs(v2 ? "<NextContinuationToken>" : "<NextMarker>", out);
		escape(out, last, !v2 && strcmp(encoding, "url") == 0);
		fputs(v2 ? "</NextContinuationToken></ListBucketResult>"
		         : "</NextMarker></ListBucketResult>",
		      out);
	}
	pthread_mutex_unlock(&lock);
	fclose(out);
	bool ok = answer(c, "200 OK", "Content-Type: application/xml\r\n", text, "%s", "");
	free(text);
	free(all);
	free(prefix);
	free(encoding);
	free(after);
	lists_done++;
	return ok;
}

static bool stats(struct conn *c)
{
	char text[512];
	snprintf(text, sizeof text,
	         "{\"put\":%lu,\"get\":%lu,\"head\":%lu,\"list\":%lu,\"remove\":%lu,\"bytes\":%lu,"
	         "\"connections\":%lu}\n",
	         puts_done, gets_done, heads_done, lists_done, removes_done, bytes_in, conns);
	return answer(c, "200 OK", "Content-Type: application/json\r\n", text, "%s", "");
}

static bool serve(struct conn *c, struct request *r)
{
	bool azure = field(r, "x-ms-version") != NULL;
	int depth = 0;
	for (const char *p = r->path; *p != '\0'; p++) {
		depth += *p == '/' && p[1] != '\0';
	}
	bool is_bucket = depth <= (azure ? 2 : 1);
	if (strcmp(r->path, "/__stats") == 0) {
		return stats(c);
	}
	size_t n = strlen(r->path);
	if (is_bucket && n > 1 && r->path[n - 1] == '/') {
		r->path[n - 1] = '\0';
	}
	if (strcmp(r->method, "GET") == 0) {
		return is_bucket ? list(c, r, azure) : get(c, r, false);
	}
	if (strcmp(r->method, "HEAD") == 0) {
		return is_bucket ? answer(c, "200 OK", "", NULL, "%s", "") : get(c, r, true);
	}
	if (strcmp(r->method, "PUT") == 0) {
		return is_bucket ? answer(c, azure ? "201 Created" : "200 OK", "", NULL, "%s", "")
		                 : put(c, r);
	}
	if (strcmp(r->method, "DELETE") == 0) {
		return remove_one(c, r);
	}
	if (strcmp(r->method, "POST") == 0 && strncmp(r->query, "delete", 6) == 0) {
		return remove_many(c, r);
	}
	return answer(c, "400 Bad Request", "", NULL, "%s", "");
}

/* --- reading --- */

static int read_some(struct conn *c, void *to, size_t n)
{
	struct pollfd fd = {.fd = SSL_get_fd(c->ssl), .events = POLLIN};
	if (SSL_pending(c->ssl) == 0) {
		poll(&fd, 1, -1);
	}
	pthread_mutex_lock(&turn);
	int got = SSL_read(c->ssl, to, (int)n);
	pthread_mutex_unlock(&turn);
	return got;
}

/* Until the empty line is in; its end, 0: the peer went. */
static size_t read_head(struct conn *c)
{
	for (;;) {
		char *end = memmem(c->head, c->have, "\r\n\r\n", 4);
		if (end != NULL) {
			return (size_t)(end - c->head) + 4;
		}
		if (c->have == sizeof c->head) {
			return 0;
		}
		int n = read_some(c, c->head + c->have, sizeof c->head - c->have);
		if (n <= 0) {
			return 0;
		}
		c->have += (size_t)n;
	}
}

static bool parse(char *head, struct request *r)
{
	char *save = NULL;
	char *line = strtok_r(head, "\r\n", &save);
	char *space = line != NULL ? strchr(line, ' ') : NULL;
	if (space == NULL || (size_t)(space - line) >= sizeof r->method) {
		return false;
	}
	memcpy(r->method, line, (size_t)(space - line));
	r->path = space + 1;
	r->path[strcspn(r->path, " ")] = '\0';
	char *mark = strchr(r->path, '?');
	r->query = mark != NULL ? mark + 1 : r->path + strlen(r->path);
	if (mark != NULL) {
		*mark = '\0';
	}
	decode(r->path);
	while ((line = strtok_r(NULL, "\r\n", &save)) != NULL && r->n < FIELDS) {
		char *colon = strchr(line, ':');
		if (colon != NULL) {
			*colon = '\0';
			r->names[r->n] = line;
			r->values[r->n++] = colon + 1 + strspn(colon + 1, " ");
		}
	}
	const char *length = field(r, "content-length");
	r->length = length != NULL ? strtoul(length, NULL, 10) : 0;
	return r->length <= BODY_MAX;
}

static bool read_body(struct conn *c, struct request *r, size_t head)
{
	size_t n = c->have - head < r->length ? c->have - head : r->length;
	r->body = malloc(r->length + 1);
	memcpy(r->body, c->head + head, n);
	memmove(c->head, c->head + head + n, c->have - head - n);
	c->have -= head + n;
	const char *expect = field(r, "expect");
	if (expect != NULL && n < r->length &&
	    !send_all(c, "HTTP/1.1 100 Continue\r\n\r\n",
	              sizeof "HTTP/1.1 100 Continue\r\n\r\n" - 1)) {
		return false;
	}
	while (n < r->length) {
		size_t most = r->length - n < (1u << 20) ? r->length - n : 1u << 20;
		int got = read_some(c, r->body + n, most);
		if (got <= 0) {
			return false;
		}
		n += (size_t)got;
	}
	return true;
}

static bool one_request(struct conn *c)
{
	struct request r = {0};
	size_t head = read_head(c);
	if (head == 0) {
		return false;
	}
	char *copy = strndup(c->head, head);
	bool ok = parse(copy, &r) && read_body(c, &r, head);
	if (delay_ms > 0) {
		usleep((useconds_t)delay_ms * 1000);
	}
	pthread_mutex_lock(&turn);
	ok = ok && serve(c, &r);
	pthread_mutex_unlock(&turn);
	free(r.body);
	free(copy);
	return ok;
}

static void *connection(void *data)
{
	int fd = (int)(intptr_t)data;
	struct conn *c = calloc(1, sizeof *c);
	c->ssl = SSL_new(tls);
	SSL_set_fd(c->ssl, fd);
	if (SSL_accept(c->ssl) == 1) {
		conns++;
		while (one_request(c)) {
		}
	}
	SSL_free(c->ssl);
	close(fd);
	free(c);
	return NULL;
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
	                         .sin_port = htons(port),
	                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof at;
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&at, n) != 0 || listen(fd, 1024) != 0) {
		return -1;
	}
	getsockname(fd, (struct sockaddr *)&at, &n);
	printf("port %u\n", ntohs(at.sin_port));
	fflush(stdout);
	return fd;
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fputs("usage: sink PORT CERT KEY [DELAY_MS]\n", stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	delay_ms = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 0;
	tls = SSL_CTX_new(TLS_server_method());
	if (SSL_CTX_use_certificate_chain_file(tls, argv[2]) != 1 ||
	    SSL_CTX_use_PrivateKey_file(tls, argv[3], SSL_FILETYPE_PEM) != 1) {
		fputs("sink: could not read the certificate or its key\n", stderr);
		return 1;
	}
	int fd = listen_on((uint16_t)strtoul(argv[1], NULL, 10));
	if (fd == -1) {
		fprintf(stderr, "sink: could not listen: %s\n", strerror(errno));
		return 1;
	}
	for (;;) {
		pthread_t t;
		int one = 1, peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (peer == -1) {
			continue;
		}
		setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		if (pthread_create(&t, NULL, connection, (void *)(intptr_t)peer) == 0) {
			pthread_detach(t);
		} else {
			close(peer);
		}
	}
}
