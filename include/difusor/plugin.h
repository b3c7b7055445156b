/* difusor/plugin.h - the contract between the agent and its plug-ins. This file is its manual.
 *
 * A plug-in speaks one provider's protocol and does no I/O. Every verb is a chain of small steps. A
 * step either asks the host for exactly one thing (http, exchange, file, read, pause) and names the
 * next step, or ends the operation with done or fail. It never opens a socket or a file, starts a
 * thread, reads a clock or the environment.
 *
 *   static void on_head(struct dif_op *op, const struct dif_reply *r)
 *   {
 *           if (!host->good(op, r)) {
 *                   return; // the op has failed with the class of the reply
 *           }
 *           host->done(op, &(struct dif_result){.object = {.tag = host->field(r, "etag", 0)}});
 *   }
 *
 * Rules:
 *   - When a verb or a step returns there is one outstanding host call or one outcome; anything
 *     else is a breach, is reported with the plug-in's name, and ends the op as PERMANENT. The
 *     other plug-ins go on.
 *   - The verb is the unit of retry. The host restarts it at its entry with zeroed scratch and
 *     arena, fresh time and the current credential. What must outlive an attempt (cursor, upload,
 *     token) leaves the verb as a value.
 *   - After a write whose outcome is unknown (no reply, or 5xx) the host reads the key back by
 *     `head` before it starts the verb again. So every verb is safe to repeat.
 *   - All plug-in code runs on the loop thread. Instance memory is constant after open.
 *   - Text and trees made by the host live as long as the attempt; a reply as long as its step.
 *   - A failed allocation never needs a check where the host returns text: it returns "" and the
 *     op fails when the step returns. Only `alloc` can give NULL.
 *   - Tables only grow at the end. A member is used only if it lies inside the size that the other
 *     side stated.
 *
 * Loading: the library exports dif_plugin_main and nothing else, and leaves nothing undefined but
 * libc's memory and string functions (docs/PLUGINS.md has the list).
 */
#ifndef DIFUSOR_PLUGIN_H
#define DIFUSOR_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DIF_ABI_MAGIC 0xd1f05001u
#define DIF_ABI_MAJOR 1u
#define DIF_ABI_MINOR 0u

#define DIF_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define DIF_LEN(a) ((uint32_t)(sizeof(a) / sizeof *(a)))

/* --- values --- */

struct dif_bytes {
	const void *p;
	uint64_t n;
};

/* An HTTP header, a metadata item, an extended attribute. */
struct dif_field {
	const char *name;
	const char *value;
};

/* What a failure means. The class alone decides retry, breaker and failover. */
enum dif_class {
	DIF_OK,
	DIF_TRANSIENT, /* again, with back-off: reset, 500, 502 */
	DIF_THROTTLED, /* again, slower: 429, 503 SlowDown */
	DIF_AUTH,      /* one login, then stop: 401, 403 */
	DIF_NOT_FOUND, /* an answer, not a failure */
	DIF_CONFLICT,  /* a condition was lost: 409, 412 */
	DIF_PERMANENT, /* never again as it is */
	DIF_INTEGRITY, /* the bytes are not the bytes */
	DIF_CANCELED,
	DIF_CLASSES
};

enum dif_digest {
	DIF_NO_DIGEST,
	DIF_CRC32,
	DIF_CRC32C,
	DIF_CRC64NVME,
	DIF_MD5,
	DIF_SHA1,
	DIF_SHA256,
	DIF_SHA384,
	DIF_SHA512,
	DIF_DIGESTS
};
#define DIF_HAS(d) (1u << (d))
/* Room for digests to come; frozen, because arrays of objects cross the boundary. */
#define DIF_DIGEST_SLOTS 16

enum dif_enc {
	DIF_HEX,       /* lower case */
	DIF_BASE64,    /* with padding */
	DIF_BASE64URL, /* without padding */
	DIF_PATH,      /* RFC 3986 unreserved and '/' stay, all else %XX in capitals */
	DIF_QUERY,     /* the same, '/' becomes %2F; dec takes '+' for a space */
	DIF_XML,       /* enc only: & < > " ' and control characters as references */
	DIF_JSON       /* enc only: the inside of a JSON string */
};

enum dif_date {
	DIF_DATE_HTTP,      /* Sun, 06 Nov 1994 08:49:37 GMT (RFC 9110) */
	DIF_DATE_ISO_BASIC, /* 19941106T084937Z (SigV4) */
	DIF_DATE_ISO,       /* 1994-11-06T08:49:37Z (RFC 3339) */
	DIF_DATE_AKAMAI,    /* 19941106T08:49:37+0000 (EdgeGrid) */
	DIF_DATE_EPOCH      /* 784111777 */
};

enum dif_format { DIF_AS_XML, DIF_AS_JSON, DIF_AS_INI };

/* Bytes to store, as a view: a plug-in sees length and digests, never content. */
struct dif_blob {
	uint64_t size;
	uint32_t has; /* DIF_HAS bits of the digests that are known */
	uint32_t reserved;
	struct dif_bytes digest[DIF_DIGEST_SLOTS]; /* binary, CRCs in big-endian order */
	uint64_t host;                             /* the host's own handle */
};

/* One piece of a request body: either bytes, or a range of a blob. */
struct dif_piece {
	struct dif_bytes bytes;
	const struct dif_blob *blob;
	uint64_t offset, length; /* of the blob */
};

/* A credential, as `login` returned it. The meaning of the parts is the plug-in's own. Plain bytes
 * in wiped memory; the host replaces every part of 8 or more characters in sentences, logs and
 * traces. */
#define DIF_CRED_PARTS 6
struct dif_cred {
	const char *part[DIF_CRED_PARTS];
	int64_t expires; /* seconds since 1970, INT64_MAX: never */
};

struct dif_op_host; /* the host's side of an op */

struct dif_op {
	uint32_t size;
	uint32_t attempt; /* 0 first; > 0: an earlier attempt may have had its effect */
	const void *self; /* the instance, constant after open */
	const void *in;   /* the verb's input, valid until the outcome */
	void *scratch;    /* zeroed at each attempt */
	/* pinned for the attempt; parts are "" where the kind has no login */
	const struct dif_cred *cred;
	struct dif_op_host *host;
};

/* One file, as the file call answers it. */
struct dif_file {
	const char *path; /* below the root */
	const char *tag;  /* changes with every write of the file */
	uint64_t size;
	int64_t modified; /* seconds since 1970 */
	const struct dif_field *meta;
	uint32_t nmeta;
	uint32_t reserved;
};

struct dif_reply {
	uint32_t size;
	/* HTTP status; file calls answer in HTTP's words: 200, 404, 412; 0: no reply */
	int32_t status;
	uint32_t cls; /* enum dif_class; what host/op would make of it without faults and explain */
	uint32_t nfields;
	const struct dif_field *fields; /* names in lower case */
	struct dif_bytes body;          /* NUL follows */
	uint64_t sunk;                  /* bytes that went into the sink */
	const struct dif_file *files;
	uint32_t nfiles;
	uint32_t more; /* file LIST: there is another page */
};

typedef void dif_step(struct dif_op *op, const struct dif_reply *r);
typedef void dif_verb(struct dif_op *op);

/* --- what a step may ask, one thing at a time --- */

enum {
	DIF_HTTP_WANT_FAILURE =
		1, /* transport failures come to the step, status 0; else host/op retries */
	DIF_HTTP_NO_PROXY = 2,
	DIF_HTTP_LINK_LOCAL = 4 /* login only: the clouds' metadata addresses, plain HTTP allowed */
};

struct dif_sink; /* where a get's bytes go; the host's own */

struct dif_http {
	const char *method, *url; /* the URL as signed; sent byte for byte */
	const struct dif_field *fields;
	const struct dif_piece
		*body; /* the host sums its length and replays it when the connection breaks */
	uint32_t nfields, npieces;
	uint32_t flags;
	uint32_t timeout_ms;   /* 0: the instance's */
	uint64_t reply_max;    /* 0: 1 MiB; ceiling 8 MiB */
	struct dif_sink *sink; /* engaged only by 200 when sink_offset is 0, or by 206 with the
	                          asked range and sink_tag */
	uint64_t sink_offset;
	const char *sink_tag; /* NULL: any */
};

enum dif_file_verb { DIF_FILE_STAT, DIF_FILE_PUT, DIF_FILE_GET, DIF_FILE_REMOVE, DIF_FILE_LIST };

/* A confined file call below the instance's root (caps.root): no symlink is followed, nothing
 * leaves the root. Paths with a component `.difusor` lie in caps.side instead, and LIST never shows
 * them. PUT is one transaction: compare, write a temporary file, attributes, fsync, rename, fsync
 * of the folder. */
struct dif_file_call {
	uint32_t verb;      /* enum dif_file_verb */
	uint32_t if_absent; /* PUT: 412 where the file exists */
	const char *path;
	const struct dif_piece *body;
	const struct dif_field *meta; /* in place before the rename */
	uint32_t npieces, nmeta;
	const char *if_tag;         /* PUT, REMOVE: 412 where the tag differs */
	const char *prefix, *after; /* LIST: names in byte order below prefix, behind after */
	uint32_t max, reserved;
	struct dif_sink *sink; /* GET; NULL: the bytes come as the reply's body, 1 MiB at most */
	uint64_t offset, length;
};

enum {
	/* One message, and as many repeats as its time allows (after 1 s, 2 s, 4 s); the last of it
	 * goes over a stream. */
	DIF_EXCHANGE_DATAGRAM = 1,
	/* Each message behind its length in two bytes, as DNS does it over TCP. */
	DIF_EXCHANGE_STREAM = 2
};

/* One message out, one back. The reply has status 200 and the message as its body; no answer within
 * the time is a transport failure. */
struct dif_exchange_call {
	const char *peer; /* "host:port", one of caps.hosts */
	struct dif_bytes send;
	uint32_t form;  /* DIF_EXCHANGE_* */
	uint32_t flags; /* DIF_HTTP_WANT_FAILURE */
	/* What does not begin with the first so many bytes of what was sent is none of ours and
	 * is dropped. */
	uint32_t match;
	uint32_t reply_max;  /* 0: 64 KiB */
	uint32_t timeout_ms; /* 0: the instance's */
	uint32_t reserved;
};

/* --- what verbs take and give --- */

struct dif_object {
	const char *key;
	/* opaque: exactly what a condition takes, and equal from list, head and put */
	const char *tag;
	uint64_t size;
	int64_t modified;    /* seconds since 1970, 0: unknown */
	uint32_t has;        /* digests that the store itself computed or verified */
	uint32_t meta_known; /* 0: this list does not tell metadata, ask head */
	struct dif_bytes digest[DIF_DIGEST_SLOTS];
	const char *type, *encoding, *cache; /* NULL: not told */
	const struct dif_field *meta;        /* names in lower case without the provider's prefix */
	uint32_t nmeta, reserved;
};

/* list: one page -> rows by host->object, result.cursor */
struct dif_list {
	const char *prefix;
	const char *cursor; /* NULL: the first page */
	uint32_t max;       /* rows, at most caps.list_max */
	uint32_t want_meta;
};

/* head and get share one input, so that they can share a step. -> result.object, or not_modified;
 * result.total on get */
struct dif_get {
	const char *key;
	uint64_t offset, length; /* length 0: to the end */
	const char *if_tag, *unless_tag;
	struct dif_sink *sink; /* NULL for head */
	int64_t at;            /* seconds since 1970: the time that a name template stands for */
};

/* put -> result.object.tag, and whatever digests the reply tells */
struct dif_put {
	const char *key;
	const struct dif_blob *blob;
	const char *type, *encoding, *cache; /* NULL: none */
	const struct dif_field *meta;        /* order, sha256, ...: names [a-z0-9] */
	uint32_t nmeta;
	uint32_t use; /* enum dif_digest: the digest that guards the upload, from caps.digests */
	const char *if_tag; /* replace exactly this */
	uint32_t if_absent; /* create only */
	uint32_t reserved;
};

/* Large objects, in parts: part_begin (no upload yet) -> result.upload; part_put -> result.token
 * and result.accepted; part_finish -> result.object.tag, the object is visible only now, under
 * the conditions of put; part_abort: nothing of it stays. An upload value is a capability: never
 * logged, never stored. A part_put that is repeated (attempt > 0) finds out first what has
 * arrived where the protocol needs that. NOT_FOUND from part_put or part_finish: the upload is
 * gone (its life has ended, the server has lost it), and the object begins again with
 * part_begin. */
struct dif_part {
	/* Of the whole object; put->blob tells its size and digests, not its bytes. */
	const struct dif_put *put;
	const char *upload; /* NULL for part_begin */
	/* part_put: the bytes of this part, with caps.part_digest known. */
	const struct dif_blob *blob;
	uint64_t offset; /* part_put: where they stand in the object */
	uint32_t number; /* part_put: 1, 2, ... */
	uint32_t ntokens;
	const char *const *tokens; /* part_finish: of all parts, in order */
};

/* remove -> an item for every key, good or not; a key without an item has failed */
struct dif_remove {
	const char *const *keys;
	const char *const *tags; /* NULL, or a tag or NULL for each */
	uint32_t n;              /* at most caps.delete_max */
	uint32_t reserved;
};

/* --- CDN: what a cache is to forget --- */

enum dif_purge_scope {
	DIF_PURGE_URLS = 1, /* exactly these */
	DIF_PURGE_PREFIXES, /* all below these; each ends with '/' */
	DIF_PURGE_TAGS,     /* all objects that carry one of these */
	DIF_PURGE_ALL       /* everything of this instance; no items */
};

/* purge -> result.settled, or result.ticket and wait_ms. Repeating it is harmless: `idem` is the
 * same for a repeat and for nothing else. The host purges after the store has the bytes, never
 * before, and keeps the counts within the caps. */
struct dif_purge {
	uint32_t scope; /* enum dif_purge_scope, one that caps.purge_scopes has */
	uint32_t n;
	/* URLS, PREFIXES: the address as a reader's program sends it, absolute and percent-encoded,
	 * and the same from its path on. TAGS: both name the tag. */
	const char *const *urls;
	const char *const *paths;
	const char *idem; /* 32 hex digits */
	uint32_t node;    /* which of caps.nodes is asked */
	uint32_t reserved;
};

/* purge_state, and set_state of steering -> result.settled, or wait_ms. FAILED at the provider is
 * a failure of class TRANSIENT: the host purges anew. */
struct dif_ticket {
	const char *id;
};

/* --- steering: where a name leads --- */

/* One place that a name may lead to. */
struct dif_target {
	const char *name;  /* the destination's, [a-z0-9-]: tells records of one name apart */
	const char *value; /* host name or address, without a dot at its end */
	uint32_t weight;   /* 0: nobody is sent there */
	uint32_t reserved;
};

/* get (targets NULL) -> a target for every one that stands there now, by host->target; result.tag
 * where there is something to put a condition on, result.ttl_s. An absent record is no failure: no
 * target. Foreign targets are told, too, with the name they have there, else their value.
 *
 * set -> exactly these targets, result.settled or a ticket. A provider that knows no weights gets
 * only targets whose weight is not 0 (caps.flags DIF_CAP_WEIGHTS is not set). A repeated set is
 * harmless, and CONFLICT where if_tag was lost: the host reads again and decides anew, so nothing
 * is read back in between. */
struct dif_route {
	const char *name; /* "www.prep.example", without a dot at its end; what it is is the
	                     plug-in's: a record, a pool, a profile */
	const char *type; /* "A", "AAAA", "CNAME" */
	const struct dif_target *targets;
	uint32_t n, ttl_s;
	const char *if_tag; /* NULL: whatever stands there */
	const char *idem;
};

/* --- lease: who does the work --- */

/* acquire -> result.lease and fence where it is ours now (also where it was: a repeat finds its own
 * owner), else lease NULL and holder. renew (lease) -> ttl_s; NOT_FOUND: it is over. release
 * (lease) -> ok, also where it is over. read -> holder and fence, holder NULL: nobody. The fence
 * rises with every new holder. Validity counts from the time of asking, which is the host's. */
struct dif_lease_call {
	const char *name;  /* [a-z0-9.-] */
	const char *owner; /* unique to one run of one agent */
	const char *lease; /* renew, release: as acquire told it */
	uint32_t ttl_s;
	uint32_t reserved;
};

struct dif_result {
	uint32_t size; /* may stay 0: the members known to ABI 1.0 */
	uint32_t not_modified;
	struct dif_object object;
	const char *cursor;   /* list: NULL: that was the last page */
	uint64_t total;       /* get: size of the whole object */
	struct dif_cred cred; /* login */
	const char *upload;   /* part_begin */
	const char *token;    /* part_put: what part_finish names the part by */
	uint64_t accepted;    /* part_put: bytes of it that have arrived; the rest is sent again */
	/* purge, set and what asks about them: */
	const char *ticket; /* NULL where it is settled */
	uint32_t settled;
	uint32_t wait_ms; /* ask again after so long; 0: the host's own pace */
	const char *tag;  /* get of a route */
	const char *lease, *holder;
	uint64_t fence;
	uint32_t ttl_s; /* get of a route, acquire, renew */
	uint32_t reserved;
};

struct dif_item {
	uint32_t index;
	uint32_t cls; /* enum dif_class; DIF_OK where the key is gone */
	const char *code, *what;
};

/* --- host services --- */

struct dif_node; /* a parsed tree */
struct dif_text; /* a text being built */

struct dif_host {
	uint32_t size, abi_major, abi_minor, flags;

	/* The one thing a step may ask. Each returns at once; next is called later, on the loop. */
	void (*http)(struct dif_op *, const struct dif_http *, dif_step *next);
	void (*file)(struct dif_op *, const struct dif_file_call *, dif_step *next);
	/* login only: a small trusted file (64 KiB, owner root or self, not writable by others;
	 * links as trusted are followed). 200, or 404 where it is absent, is an answer. */
	void (*read)(struct dif_op *, const char *path, dif_step *next);
	void (*pause)(struct dif_op *, uint32_t ms, dif_step *next);

	/* Outcomes. */
	void (*done)(struct dif_op *, const struct dif_result *);
	void (*fail)(struct dif_op *, uint32_t cls, const char *code, const char *fmt, ...)
		DIF_PRINTF(4, 5);
	/* True for 2xx. Else the op has failed: code and sentence by the kind's explain, class by
	 * its faults. */
	bool (*good)(struct dif_op *, const struct dif_reply *);
	/* Fails the op for a reply that is wrong although its status is good. */
	void (*refuse)(struct dif_op *, const struct dif_reply *, const char *code,
	               const char *what);
	void (*object)(struct dif_op *, const struct dif_object *); /* one row of a page; copied */
	/* one key of a batch; copied; class by faults where cls is DIF_CLASSES */
	void (*item)(struct dif_op *, const struct dif_item *);

	/* Memory and text of the attempt. Text is never NULL. */
	void *(*alloc)(struct dif_op *, size_t); /* zeroed */
	const char *(*fmt)(struct dif_op *, const char *fmt, ...)DIF_PRINTF(2, 3);
	struct dif_text *(*text)(struct dif_op *);
	void (*add)(struct dif_text *, const char *fmt, ...) DIF_PRINTF(2, 3);
	void (*add_bytes)(struct dif_text *, const void *, size_t);
	struct dif_bytes (*end)(struct dif_text *); /* NUL follows */
	const char *(*enc)(struct dif_op *, uint32_t enc, const void *, size_t);
	struct dif_bytes (*dec)(struct dif_op *, uint32_t enc,
	                        const char *); /* .p NULL where it is malformed */

	/* Readers. All take NULL and give NULL or "". Paths have dots between names: "Error.Code".
	 */
	const struct dif_node *(*parse)(struct dif_op *, uint32_t format, struct dif_bytes);
	/* good + parse + root check + refuse in one; NULL: the op has failed. root NULL: any. */
	const struct dif_node *(*tree)(struct dif_op *, const struct dif_reply *, uint32_t format,
	                               const char *root);
	const struct dif_node *(*get)(const struct dif_node *, const char *path);
	/* The next of the same name after prev, the first where prev is NULL; for a JSON array name
	 * is "". */
	const struct dif_node *(*next)(const struct dif_node *parent, const char *name,
	                               const struct dif_node *prev);
	const char *(*str)(const struct dif_node *);
	uint64_t (*num)(struct dif_op *, const struct dif_node *,
	                uint64_t max); /* fails the op beyond max or no number */
	const char *(*field)(const struct dif_reply *, const char *name,
	                     uint32_t i); /* i-th value of a header, or NULL */
	/* Headers that begin with prefix, as metadata without it. Returns their number. */
	uint32_t (*metas)(struct dif_op *, const struct dif_reply *, const char *prefix,
	                  const struct dif_field **out);
	/* The children of a node as metadata (lists in XML or JSON that tell it). */
	uint32_t (*fields_of)(struct dif_op *, const struct dif_node *,
	                      const struct dif_field **out);

	/* Crypto. */
	struct dif_bytes (*hash)(struct dif_op *, uint32_t digest, struct dif_bytes);
	struct dif_bytes (*hmac)(struct dif_op *, uint32_t digest, struct dif_bytes key,
	                         struct dif_bytes);
	struct dif_bytes (*sign)(struct dif_op *, const char *alg, const char *pem,
	                         struct dif_bytes);        /* "RS256" */
	bool (*equal)(struct dif_bytes, struct dif_bytes); /* constant time */
	void (*random)(struct dif_op *, void *, size_t);

	/* Time. */
	int64_t (*now)(struct dif_op *); /* seconds since 1970, corrected by what the peer thinks */
	const char *(*date)(struct dif_op *, uint32_t date, int64_t seconds);
	const char *(*strftime)(struct dif_op *, const char *pattern, int64_t seconds); /* UTC */
	int64_t (*undate)(const char *); /* any of the formats above; -1 where it is none */

	/* One line of log about this op. level: 0 debug, 1 info, 2 warning, 3 error. */
	void (*log)(struct dif_op *, uint32_t level, const char *fmt, ...) DIF_PRINTF(3, 4);

	/* The one thing a step may ask, too. */
	void (*exchange)(struct dif_op *, const struct dif_exchange_call *, dif_step *next);
	void (*target)(struct dif_op *, const struct dif_target *); /* one of a route; copied */

	/* A secret that came in a file or a reply and goes out again: it shows as *** in every
	 * sentence and log line while the attempt lasts. Credentials and secret options are hidden
	 * by the host. NULL and "" are nothing. */
	void (*hide)(struct dif_op *, const char *value);
};

/* --- options, as data --- */

/* The member that `offset` names has the type in brackets. Unset strings without a default are
 * NULL. */
enum dif_type {
	DIF_STRING,    /* [const char *] min, max: length */
	DIF_URL,       /* [const char *] http or https, no query */
	DIF_FILE_PATH, /* [const char *] absolute */
	DIF_ENUM,      /* [const char *] one of choices */
	DIF_BOOL,      /* [uint32_t] yes or no */
	DIF_INT,       /* [int64_t] min..max */
	DIF_SIZE,      /* [int64_t] bytes: 64KiB, 5GB */
	DIF_DURATION   /* [int64_t] milliseconds: 250ms, 15s, 10min, 24h */
};
enum {
	DIF_SECRET = 1, /* never shown; takes env:, file:, credential: references */
	DIF_NEEDED = 2,
	/* One of a set: where the section gives any of the set, the environment is asked for none
	 * of it. A key of the file with a token of the environment would be nobody's credential. */
	DIF_TOGETHER = 4
};

struct dif_option {
	const char *name, *def, *help;
	uint32_t type, flags;
	int64_t min, max;
	const char *choices; /* DIF_ENUM: blanks between */
	const char *env;     /* environment variables that the host consults where the option is not
	                        given */
	uint32_t offset, reserved;
};

/* --- descriptor --- */

/* The first row that fits decides: a row fits where its status is 0 or equal and its code is NULL
 * or equal. */
struct dif_fault {
	int32_t status;
	const char *code;
	uint32_t cls;
};

enum {
	DIF_CAP_COND = 1, /* if_tag and if_absent on put are believed to work; the host proves it */
	DIF_CAP_COND_REMOVE = 2, /* tags on remove work */
	DIF_CAP_LIST_META = 4,   /* list tells metadata */
	DIF_CAP_UNIQUE_TAG = 8,  /* a tag never returns, unlike a hash of the content */
	DIF_CAP_HEADERS = 16,    /* type, encoding and cache are kept and served */
	DIF_CAP_READ_ONLY = 32,  /* a source: list, head and get only */
	DIF_CAP_WEIGHTS = 64     /* steering: targets have weights; else all are equal */
};

/* What open tells of the instance; the pointers are constant for its life. */
struct dif_caps {
	uint32_t size, flags;
	/* NULL-terminated "host" or "host:port": all that may be spoken to */
	const char *const *hosts;
	uint64_t put_max;
	uint32_t delete_max, list_max, key_max, meta_max;
	uint32_t digests[8]; /* enum dif_digest accepted on put, cheapest first, 0 ends */
	double writes_per_s, key_writes_per_s; /* 0: no limit known */
	uint32_t renew_before_s;               /* login this long before a credential expires */
	uint32_t clock_window_s; /* AUTH with a Date further off than this is a clock to correct,
	                            not a bad secret */
	/* Parts: bounds of one in bytes (all but the last are at least part_min and a multiple of
	 * part_align), how many, how many side by side (1: in order), which digest of each the host
	 * makes (0: none). part_max 0: the store takes no parts. */
	uint64_t part_min, part_max, part_align;
	uint32_t part_count, part_parallel, part_digest, reserved;
	const char *root; /* file calls: the folder; NULL: none */
	const char *side; /* file calls: where temporary files and the marker lie */

	/* CDN. Counts of items; 0: no bound known. */
	uint32_t purge_scopes;   /* DIF_HAS bits of enum dif_purge_scope */
	uint32_t purge_max;      /* URLs in one purge */
	uint32_t purge_wide_max; /* prefixes or tags in one purge */
	uint32_t purge_bytes; /* all items of one purge, with purge_item_bytes for each besides */
	uint32_t purge_item_bytes;
	uint32_t purge_in_flight;      /* URLs that are not settled */
	uint32_t purge_wide_in_flight; /* prefixes, tags, everything: purges that are not settled */
	uint32_t purge_worth; /* more changed URLs than this are cheaper as one wider purge */
	uint32_t nodes;       /* caches that each must be asked by itself; 0 and 1: one */
	uint32_t settle_ms;   /* how long a purge takes, usually; what readers may see till then */
	double purges_per_s, purge_urls_per_s;

	/* Steering. */
	uint32_t weight_max; /* the host scales into 0 to this */
	uint32_t ttl_min_s, ttl_max_s;
	uint32_t targets_max;
};

/* What open may use: text in the instance's arena. */
struct dif_opening {
	uint32_t size, reserved;
	const char *(*fmt)(struct dif_opening *, const char *fmt, ...)DIF_PRINTF(2, 3);
	/* Splits scheme://host[:port][/path] into its parts; false where it is malformed. */
	bool (*url)(struct dif_opening *, const char *url, const char **scheme,
	            const char **authority, const char **path);
	struct dif_bytes (*dec)(struct dif_opening *, uint32_t enc, const char *);
	/* Fails the open: one sentence with the remedy. */
	void (*refuse)(struct dif_opening *, const char *fmt, ...) DIF_PRINTF(2, 3);
	const char *name; /* the section's */
};

struct dif_kind_common {
	uint32_t size;
	uint32_t self_size, scratch_size, flags;
	const struct dif_fault *faults; /* ends with a row of class DIF_OK: then by status */
	/* Finds the provider's code and sentence in a reply; leaves what it does not find. NULL:
	 * none. */
	void (*explain)(struct dif_op *, const struct dif_reply *, const char **code,
	                const char **what);
	/* Options are in self already. Synchronous. */
	bool (*open)(void *self, struct dif_opening *, struct dif_caps *);
	dif_verb *probe; /* cheapest proof that the instance can be reached and may read */
	dif_verb *login; /* NULL: no credential */
};

struct dif_store {
	struct dif_kind_common c;
	dif_verb *list, *head, *get, *put, *remove;
	dif_verb *part_begin, *part_put, *part_finish, *part_abort; /* all or none */
};

struct dif_cdn {
	struct dif_kind_common c;
	dif_verb *purge,
		*purge_state; /* purge_state NULL: every purge is settled when it is done */
};

struct dif_steer {
	struct dif_kind_common c;
	dif_verb *get, *set, *set_state; /* set_state NULL: likewise */
};

struct dif_leaser {
	struct dif_kind_common c;
	dif_verb *acquire, *renew, *release, *read;
};

enum dif_kind { DIF_STORE = 1, DIF_CDN, DIF_STEER, DIF_LEASE };

enum {
	DIF_OFFER_HTTP = 1 /* takes the options of every HTTP plug-in: ca_file, plain,
	                      private_network, rate, timeout */
};

struct dif_offer {
	uint32_t kind, flags;
	const char *name, *what; /* what: one line for people */
	const struct dif_option *options;
	uint32_t noptions, reserved;
	const struct dif_kind_common *verbs; /* struct dif_store, _cdn, _steer, _leaser, by kind */
};

struct dif_plugin {
	uint32_t magic, size, abi_major, abi_minor;
	/* sizes of the structs whose arrays or tables the host walks */
	uint32_t offer_size, option_size, fault_size, field_size, object_size, piece_size;
	uint32_t target_size, reserved;
	const char *version;
	const struct dif_offer *offers;
	uint32_t noffers, reserved2;
};
#define DIF_PLUGIN_SIZES                                                                       \
	.magic = DIF_ABI_MAGIC, .size = sizeof(struct dif_plugin), .abi_major = DIF_ABI_MAJOR, \
	.abi_minor = DIF_ABI_MINOR, .offer_size = sizeof(struct dif_offer),                    \
	.option_size = sizeof(struct dif_option), .fault_size = sizeof(struct dif_fault),      \
	.field_size = sizeof(struct dif_field), .object_size = sizeof(struct dif_object),      \
	.piece_size = sizeof(struct dif_piece), .target_size = sizeof(struct dif_target)

/* The one exported symbol. Keeps the host table for the life of the process; returns NULL where it
 * cannot work with it. */
__attribute__((visibility("default"))) const struct dif_plugin *
dif_plugin_main(const struct dif_host *host);

#endif
