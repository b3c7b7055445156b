/* http_private - what the files of host/http share. Nobody else includes this.
 *
 *   http.c          the life of a call: queued, running, ended, spare; the client
 *   http_loop.c     libcurl's sockets and timer on the loop
 *   http_policy.c   which URL and which address a request may touch
 *   http_request.c  a call's options: method, headers, and how the body goes
 *   http_body.c     the bytes of a request
 *   http_reply.c    what comes back: headers, sink or bounded bytes, failures as errors
 */
#ifndef DIF_HOST_HTTP_PRIVATE_H
#define DIF_HOST_HTTP_PRIVATE_H

#include <curl/curl.h>
#include <sys/socket.h>

#include "base/barrier.h"
#include "base/list.h"
#include "host/http.h"

/* 256 connections are shared among the stores (design rule 6); the rest is for probes, purges and
 * the source, which must not wait behind them. Further calls queue, before their time runs. */
#define RUNNING_MAX 320
#define HOST_MAX 256            /* a DNS name has 253 characters at most */
#define REPLY_DEFAULT (1 << 20) /* a list page of 1,000 keys is about 400 kB */
#define REPLY_CEILING (8 << 20)
#define FIELDS_MAX 128       /* clouds send about 20, and up to 60 metadata items */
#define HEAD_MAX (64 * 1024) /* all headers of a reply; clouds keep below 16 KiB */

/* Where a request goes. */
struct target {
	char host[HOST_MAX];       /* lower case, an IPv6 literal without brackets */
	char shown[HOST_MAX + 16]; /* for people: the port only where it is not the scheme's */
	uint32_t port;
	bool https;
	bool literal;   /* the host is an address */
	bool localhost; /* the host is this name */
	bool proxied;   /* what is connected to is the operator's proxy */
};

enum call_state { CALL_SPARE, CALL_QUEUED, CALL_RUNNING, CALL_ENDED, CALL_TELLING };

/* Where the reading of a body has come to. */
struct reader {
	const struct dif_piece *pieces;
	uint32_t npieces;
	uint32_t at;                    /* the piece being read */
	uint64_t done;                  /* bytes of it */
	struct dif_body_stream *stream; /* of that piece, NULL: not open */
	bool waiting;                   /* the stream said LATER and has not said ready yet */
	bool paused;                    /* libcurl was told to wait */
};

/* The reply so far. Memory is kept from call to call. */
struct reply {
	int status;
	bool done;           /* all headers are there */
	bool engaged;        /* the body goes to the sink */
	bool enough;         /* ended by us, the answer stands: no more than a bound was wanted */
	uint64_t sunk;       /* bytes written to the sink */
	int64_t expect;      /* bytes that the sink must get, -1: not known */
	struct dif_buf head; /* NUL-terminated names and values */
	struct {
		uint32_t name, value; /* in head */
	} at[FIELDS_MAX];
	struct dif_field fields[FIELDS_MAX]; /* made of it once head has stopped moving */
	uint32_t nfields;
	struct dif_buf body;
	const char *tls;
	int64_t cert_ends; /* seconds since 1970, 0: not known */
};

struct dif_http_call {
	struct dif_link link; /* in the client's list of its state */
	enum call_state state;
	struct dif_http_client *client;
	CURL *easy;
	bool in_multi;
	bool resume; /* the body is ready, but libcurl was busy when it said so */

	struct dif_http_request req; /* method, url and fields are unset: they are in text */
	struct target target;
	dif_http_cb *cb;
	void *data;

	char *text; /* URL, method and header lines; wiped after use */
	size_t text_n, text_cap;
	const char *url, *method;
	struct curl_slist *lines; /* list nodes over text; libcurl only reads them */
	uint32_t nlines, lines_cap;
	uint64_t body_size;
	void *joined; /* small pieces in one */
	struct reader reader;

	int64_t started, moved; /* loop time: begin, last byte either way */
	int64_t bytes;          /* both ways, when it last moved */
	bool connected;         /* a connection is there; before, libcurl counts the time */
	uint32_t sendings;      /* how often the request was about to be sent */
	int local;              /* errno where a socket could not be made */

	struct reply reply;
	struct dif_error err;     /* DIF_OK: libcurl's result decides */
	struct dif_error refused; /* why an address was not spoken to; matters if no other was */
	char why[CURL_ERROR_SIZE];
};

struct sock;

struct dif_http_client {
	uv_loop_t *loop;
	CURLM *multi;
	uv_timer_t timer; /* libcurl's */
	uv_timer_t kick;  /* outcomes that must not be told from where they were found */
	uv_timer_t sweep; /* idle and overall time; runs while calls do */
	struct dif_barrier open;
	struct dif_link queued, running, ended, spare;
	uint32_t nrunning, nspare;
	bool in_curl; /* on the stack: nothing of libcurl's may be called */
	bool closing;
	struct sock **socks; /* by descriptor */
	size_t nsocks;
	const char *ca_file, *ca_path; /* the system's */
	const char *proxy, *no_proxy;  /* the environment's, NULL: none */
};

/* http.c */
/* Ends a call with an error; cb comes from the loop. From anywhere. */
void dif_http_end(struct dif_http_call *call, enum dif_class cls, const char *code, const char *fmt,
                  ...) DIF_PRINTF(4, 5);
void dif_http_kick(struct dif_http_client *c);
/* Tells every transfer that libcurl has finished. Never from a libcurl callback. */
void dif_http_drain(struct dif_http_client *c);

/* http_loop.c */
bool dif_http_loop_init(struct dif_http_client *c); /* the multi's callbacks */
curl_socket_t dif_http_loop_open(struct dif_http_client *c, const struct curl_sockaddr *address);
int dif_http_loop_close(void *client, curl_socket_t fd); /* CURLOPT_CLOSESOCKETFUNCTION */

/* http_policy.c */
bool dif_http_target(struct target *t, const char *url, const char *method, struct dif_error *err);
/* The host list, and the address rules as far as the URL alone decides them. */
bool dif_http_may_ask(const struct target *t, const struct dif_http_policy *policy, uint32_t flags,
                      struct dif_error *err);
bool dif_http_may_reach(const struct target *t, const struct dif_http_policy *policy,
                        uint32_t flags, const struct sockaddr *address, struct dif_error *err);
bool dif_http_may_reach_text(const struct target *t, const struct dif_http_policy *policy,
                             uint32_t flags, const char *ip, struct dif_error *err);
/* Does the environment's no_proxy list name this host? */
bool dif_http_no_proxy(const char *list, const char *host);

/* http_request.c */
CURL *dif_http_easy_new(struct dif_http_call *call); /* with the options that never change */
/* Copies and checks; false: err says why. */
bool dif_http_prepare(struct dif_http_call *call, const struct dif_http_request *req,
                      struct dif_error *err);
bool dif_http_setup(struct dif_http_call *call); /* the options of this request */
void dif_http_request_reset(struct dif_http_call *call);

/* http_body.c */
bool dif_http_body_measure(struct dif_http_call *call, struct dif_error *err);
/* One stretch of memory that is the whole body, NULL: there is none. */
const char *dif_http_body_whole(struct dif_http_call *call);
void dif_http_body_close(struct reader *r);
size_t dif_http_on_read(char *to, size_t size, size_t nmemb, void *data);
int dif_http_on_seek(void *data, curl_off_t offset, int origin);
void dif_http_resume(struct dif_http_call *call);

/* http_reply.c */
size_t dif_http_on_header(char *p, size_t size, size_t n, void *data);
size_t dif_http_on_body(char *p, size_t size, size_t n, void *data);
void dif_http_reply_reset(struct reply *r);
/* Sets err from libcurl's result, and fills the response. */
void dif_http_conclude(struct dif_http_call *call, CURLcode rc);
void dif_http_response(struct dif_http_call *call, struct dif_http_response *r);

#endif
