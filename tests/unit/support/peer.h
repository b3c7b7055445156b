/* peer - an HTTP/1.1 server for tests, in threads of its own, on 127.0.0.1 and a port that was
 * free. It reads a request with its body and asks `answer` what to send. */
#ifndef DIF_TESTS_PEER_H
#define DIF_TESTS_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer;

struct peer_request {
	char method[16], path[512];
	char head[8192];    /* the header lines, each with its CR LF */
	uint64_t body_size; /* as received */
	uint64_t body_sum;  /* sum of its bytes */
	unsigned sends;     /* in how many reads the request came, body included */
	unsigned nth;       /* of its connection, from 0 */
};

/* How an exchange ends. */
enum peer_end { PEER_KEEP, PEER_CLOSE, PEER_RESET, PEER_HANG /* until the client hangs up */ };

/* Called when a request is whole; for a path that begins with /early, before its body. */
typedef enum peer_end peer_answer(struct peer *p, void *conn, const struct peer_request *r);

/* tls: the name given to test_pki, NULL: plain HTTP. max_tls: 0, or a TLS1_x_VERSION. */
struct peer *peer_start(peer_answer *answer, void *data, const char *tls, int max_tls);
void peer_stop(struct peer *p);
unsigned peer_port(const struct peer *p);
void *peer_data(struct peer *p);
void peer_send(void *conn, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void peer_send_bytes(void *conn, const void *p, size_t n);
unsigned peer_connections(struct peer *p); /* so far */
unsigned peer_requests(struct peer *p);    /* so far, also unanswered ones */

#endif
