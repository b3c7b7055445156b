#include "unit/support/peer.h"

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

#define CONNECTIONS_MAX 1024

struct conn {
	struct peer *peer;
	pthread_t thread;
	int fd;
	SSL *ssl;
	char buf[16384];
	size_t n;
};

struct peer {
	peer_answer *answer;
	void *data;
	int listener;
	unsigned port;
	SSL_CTX *ctx;
	pthread_t thread;
	atomic_bool stop;
	atomic_uint nconns, nrequests;
	struct conn *conns[CONNECTIONS_MAX];
};

static ssize_t receive(struct conn *c, void *to, size_t max)
{
	if (c->ssl != NULL) {
		return SSL_read(c->ssl, to, (int)max);
	}
	return recv(c->fd, to, max, 0);
}

void peer_send_bytes(void *conn, const void *p, size_t n)
{
	struct conn *c = conn;
	for (size_t at = 0; at < n;) {
		size_t left = n - at < 1 << 20 ? n - at : 1 << 20;
		ssize_t k = c->ssl != NULL ? SSL_write(c->ssl, (const char *)p + at, (int)left)
		                           : send(c->fd, (const char *)p + at, left, MSG_NOSIGNAL);
		if (k <= 0) {
			return;
		}
		at += (size_t)k;
	}
}

void peer_send(void *conn, const char *fmt, ...)
{
	char text[8192];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	peer_send_bytes(conn, text, (size_t)n);
}

/* Reads the head of a request into r; what follows it stays in buf. */
static bool read_head(struct conn *c, struct peer_request *r)
{
	char *end;
	c->buf[c->n] = '\0';
	while ((end = strstr(c->buf, "\r\n\r\n")) == NULL) {
		ssize_t k = c->n < sizeof c->buf - 1
		                    ? receive(c, c->buf + c->n, sizeof c->buf - 1 - c->n)
		                    : 0;
		if (k <= 0) {
			return false;
		}
		r->sends++;
		c->n += (size_t)k;
		c->buf[c->n] = '\0';
	}
	size_t head = (size_t)(end + 2 - c->buf);
	char *lines = strstr(c->buf, "\r\n") + 2;
	sscanf(c->buf, "%15s %511s", r->method, r->path);
	snprintf(r->head, sizeof r->head, "%.*s", (int)(c->buf + head - lines), lines);
	memmove(c->buf, end + 4, c->n - head - 2);
	c->n -= head + 2;
	return true;
}

static bool read_body(struct conn *c, struct peer_request *r)
{
	const char *length = strcasestr(r->head, "content-length:");
	uint64_t left = length != NULL ? strtoull(length + 15, NULL, 10) : 0;
	if (strcasestr(r->head, "expect: 100-continue") != NULL) {
		peer_send(c, "HTTP/1.1 100 Continue\r\nX-Early: yes\r\n\r\n");
	}
	while (left > 0) {
		if (c->n == 0) {
			ssize_t k = receive(c, c->buf, sizeof c->buf - 1);
			if (k <= 0) {
				return false;
			}
			r->sends++;
			c->n = (size_t)k;
		}
		size_t take = c->n < left ? c->n : (size_t)left;
		for (size_t i = 0; i < take; i++) {
			r->body_sum += (unsigned char)c->buf[i];
		}
		r->body_size += take;
		left -= take;
		memmove(c->buf, c->buf + take, c->n - take);
		c->n -= take;
	}
	return true;
}

static void end(struct conn *c, enum peer_end how)
{
	char waste[256];
	if (how == PEER_HANG) {
		while (receive(c, waste, sizeof waste) > 0) {
		}
	}
	if (how == PEER_RESET) {
		struct linger now = {.l_onoff = 1};
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	} else if (c->ssl != NULL) {
		SSL_shutdown(c->ssl);
	}
	shutdown(c->fd, how == PEER_RESET ? SHUT_RD : SHUT_RDWR);
}

static void *serve(void *arg)
{
	struct conn *c = arg;
	if (c->ssl != NULL && SSL_accept(c->ssl) != 1) {
		shutdown(c->fd, SHUT_RDWR);
		return NULL;
	}
	enum peer_end how = PEER_KEEP;
	for (unsigned nth = 0; how == PEER_KEEP; nth++) {
		struct peer_request r = {.nth = nth};
		if (!read_head(c, &r)) {
			how = PEER_CLOSE;
			break;
		}
		c->peer->nrequests++;
		if (strncmp(r.path, "/early", 6) != 0 && !read_body(c, &r)) {
			how = PEER_CLOSE;
			break;
		}
		how = c->peer->answer(c->peer, c, &r);
	}
	end(c, how);
	if (how == PEER_RESET) {
		close(c->fd);
		c->fd = -1;
	}
	return NULL;
}

static void *accept_all(void *arg)
{
	struct peer *p = arg;
	for (;;) {
		int fd = accept(p->listener, NULL, NULL);
		if (fd == -1 || p->stop) {
			if (fd != -1) {
				close(fd);
			}
			return NULL;
		}
		assert_true(p->nconns < CONNECTIONS_MAX);
		struct conn *c = calloc(1, sizeof *c);
		c->peer = p;
		c->fd = fd;
		if (p->ctx != NULL) {
			c->ssl = SSL_new(p->ctx);
			SSL_set_fd(c->ssl, fd);
		}
		p->conns[p->nconns] = c;
		p->nconns++;
		pthread_create(&c->thread, NULL, serve, c);
	}
}

static SSL_CTX *context(const char *name, int max_tls)
{
	char file[128];
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	assert_non_null(ctx);
	snprintf(file, sizeof file, "%s-cert.pem", name);
	assert_int_equal(SSL_CTX_use_certificate_chain_file(ctx, test_path(file)), 1);
	snprintf(file, sizeof file, "%s-key.pem", name);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, test_path(file), SSL_FILETYPE_PEM), 1);
	if (max_tls != 0) {
		SSL_CTX_set_security_level(ctx, 0);
		assert_int_equal(SSL_CTX_set_min_proto_version(ctx, 0), 1);
		assert_int_equal(SSL_CTX_set_max_proto_version(ctx, max_tls), 1);
	}
	return ctx;
}

struct peer *peer_start(peer_answer *answer, void *data, const char *tls, int max_tls)
{
	struct peer *p = calloc(1, sizeof *p);
	p->answer = answer;
	p->data = data;
	p->ctx = tls != NULL ? context(tls, max_tls) : NULL;
	p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(p->listener >= 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	assert_int_equal(bind(p->listener, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(p->listener, 512), 0);
	assert_int_equal(getsockname(p->listener, (struct sockaddr *)&a, &n), 0);
	p->port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&p->thread, NULL, accept_all, p), 0);
	return p;
}

void peer_stop(struct peer *p)
{
	p->stop = true;
	shutdown(p->listener, SHUT_RDWR);
	pthread_join(p->thread, NULL);
	close(p->listener);
	for (unsigned i = 0; i < p->nconns; i++) {
		struct conn *c = p->conns[i];
		if (c->fd != -1) {
			shutdown(c->fd, SHUT_RDWR);
		}
		pthread_join(c->thread, NULL);
		SSL_free(c->ssl);
		if (c->fd != -1) {
			close(c->fd);
		}
		free(c);
	}
	SSL_CTX_free(p->ctx);
	free(p);
}

unsigned peer_port(const struct peer *p)
{
	return p->port;
}

void *peer_data(struct peer *p)
{
	return p->data;
}

unsigned peer_connections(struct peer *p)
{
	return p->nconns;
}

unsigned peer_requests(struct peer *p)
{
	return p->nrequests;
}
