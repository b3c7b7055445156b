/* check_cdn - may the CDN be purged: by the cheapest proof that its plug-in has, a purge of what is
 * not there, or a question that only who may purge is answered.
 */
#include "flow/check_private.h"

#include "base/clock.h"

static void on_probed(void *data, const struct dif_outcome *out)
{
	struct subject *s = data;
	char took[DIF_DATE_MAX];
	if (out->err.cls == DIF_AUTH) {
		check_fail(s, "credentials", &out->err,
		           dif_arena_fmt(&s->arena,
		                         "put a credential into [%s] that may purge there",
		                         s->section));
	} else if (out->err.cls != DIF_OK) {
		check_fail(s, "reach", &out->err, NULL);
	} else {
		check_tell(s, "reach", DIF_GO, "answers in %s", dif_span(took, out->took_ms));
		if (check_is_http(s)) {
			check_tell_tls(s, "tls", out->tls, out->cert_ends);
			check_tell_clock(s, out->peer_date);
		}
		check_tell(s, "credentials", DIF_GO, "accepted: it may be purged");
	}
	check_next(s);
}

static void probe(struct subject *s)
{
	check_op(s, DIF_PROBE, NULL, QUESTION_MS, on_probed);
}

check_ask *const check_cdn_asks[] = {probe, NULL};
