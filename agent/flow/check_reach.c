/* check_reach - what the first answer of a source or a store tells.
 *
 *   no answer                  reach      no-go, and nothing more is asked of it
 *   an answer                  reach, tls, clock
 *     who are you?             credentials  no-go
 *     you may not              credentials  go; the rights are tried one by one
 *     no such bucket           bucket       no-go
 */
#include <stdlib.h>

#include "base/clock.h"
#include "flow/check_private.h"

#define SKEW_WARN_S 5  /* more is no matter of the network */
#define SKEW_STOP_S 60 /* cuts that are ordered by when they were seen would come out of order */

/* What the rights are called where they have to be given. */
static const struct {
	const char *plugin, *right[RIGHTS];
} rights[] = {
	{"s3", {"s3:PutObject", "s3:ListBucket", "s3:GetObject", "s3:DeleteObject"}},
	{"gcs",
         {"storage.objects.create", "storage.objects.list", "storage.objects.get",
          "storage.objects.delete"}},
	{"azure",
         {"the role Storage Blob Data Contributor", "the role Storage Blob Data Contributor",
          "the role Storage Blob Data Contributor", "the role Storage Blob Data Contributor"}},
	{"dir",
         {"write permission on the folder", "read permission on the folder",
          "read permission on the files", "write permission on the folder"}},
};

const char *check_right(const struct subject *s, enum right right)
{
	static const char *const any[RIGHTS] = {"the right to put", "the right to list",
	                                        "the right to get", "the right to delete"};
	for (size_t i = 0; i < DIF_LEN(rights); i++) {
		if (strcmp(rights[i].plugin, dif_instance_offer(s->i)->name) == 0) {
			return rights[i].right[right];
		}
	}
	return any[right];
}

static bool has_code(const struct dif_error *err, const char *const *codes)
{
	for (; *codes != NULL; codes++) {
		if (strcmp(err->code, *codes) == 0) {
			return true;
		}
	}
	return false;
}

/* 401 and these codes doubt who we are; every other refusal is about what we may. Azure's
 * AuthorizationFailure comes to a key that has all rights: it is the wrong one, or the account's
 * firewall does not know this machine. */
bool check_lacks_right(const struct dif_error *err)
{
	static const char *const unknown[] = {"InvalidAccessKeyId",
	                                      "SignatureDoesNotMatch",
	                                      "ExpiredToken",
	                                      "InvalidToken",
	                                      "TokenRefreshRequired",
	                                      "RequestTimeTooSkewed",
	                                      "AuthenticationFailed",
	                                      "AuthorizationFailure",
	                                      "InvalidAuthenticationInfo",
	                                      "AuthorizationHeaderMalformed",
	                                      NULL};
	return err->cls == DIF_AUTH && err->status == 403 && !has_code(err, unknown);
}

static bool is_missing(const struct dif_error *err)
{
	static const char *const missing[] = {"NoSuchBucket", "ContainerNotFound", "notFound",
	                                      NULL};
	return err->status == 404 || has_code(err, missing);
}

void check_tell_clock(struct subject *s, int64_t peer)
{
	if (peer < 0) {
		check_tell(s, "clock", DIF_NOT_CHECKED, "it does not say what time it has");
		return;
	}
	int64_t skew = dif_wall_ms() / 1000 - peer, off = skew < 0 ? -skew : skew;
	char span[DIF_DATE_MAX];
	if (off < SKEW_WARN_S) {
		check_tell(s, "clock", DIF_GO, "agrees with ours");
		return;
	}
	check_tell(s, "clock", off < SKEW_STOP_S ? DIF_WARNING : DIF_NO_GO,
	           "ours is %s %s that of the peer; have this machine's clock set by NTP",
	           dif_span(span, off * 1000), skew < 0 ? "behind" : "ahead of");
}

static void tell_access(struct subject *s, const struct dif_error *err)
{
	const char *advice =
		dif_arena_fmt(&s->arena, "put the right credential into [%s]%s", s->section,
	                      strcmp(err->code, "AuthorizationFailure") == 0
	                              ? ", or let this machine through the account's firewall"
	                              : "");
	if (err->cls != DIF_AUTH) {
		check_tell(s, "credentials", DIF_GO, "accepted");
	} else if (check_lacks_right(err)) {
		check_tell(s, "credentials", DIF_GO, "not refused; what they may do follows");
	} else {
		check_fail(s, "credentials", err, advice);
	}
}

static void tell_bucket(struct subject *s, const struct dif_error *err)
{
	if (is_missing(err)) {
		check_fail(s, "bucket", err,
		           dif_arena_fmt(&s->arena, "create it, or correct its name in [%s]",
		                         s->section));
	} else if (err->cls == DIF_OK) {
		check_tell(s, "bucket", DIF_GO, "is there");
	}
}

static void give_up(struct subject *s)
{
	if (s->d != NULL) {
		check_tell(s, "all else", DIF_NOT_CHECKED, "the points above come first");
		check_skip_to(s, check_site);
	} else {
		check_skip_to(s, NULL);
	}
	check_next(s);
}

static void on_reached(void *data, const struct dif_outcome *out)
{
	struct subject *s = data;
	const struct dif_error *err = &out->err;
	char took[DIF_DATE_MAX];
	bool is_answer = err->cls == DIF_OK || err->cls == DIF_AUTH || is_missing(err);
	if (!is_answer) {
		check_fail(s, "reach", err, NULL);
		give_up(s);
		return;
	}
	if (!check_is_http(s)) {
		if (err->cls != DIF_OK) {
			check_fail(s, "reach", err, "look at the folder's owner and permissions");
			give_up(s);
			return;
		}
		check_tell(s, "reach", DIF_GO, "the folder is there");
		check_next(s);
		return;
	}
	check_tell(s, "reach", DIF_GO, "answers in %s", dif_span(took, out->took_ms));
	check_tell_tls(s, "tls", out->tls, out->cert_ends);
	check_tell_clock(s, out->peer_date);
	tell_access(s, err);
	if (s->d != NULL || s->source->prefix != NULL) {
		tell_bucket(s, err);
	}
	if ((err->cls == DIF_AUTH && !check_lacks_right(err)) ||
	    (s->d != NULL && is_missing(err))) {
		give_up(s);
		return;
	}
	check_next(s);
}

void check_reach(struct subject *s)
{
	check_op(s, DIF_PROBE, NULL, QUESTION_MS, on_reached);
}
