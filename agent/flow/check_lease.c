/* check_lease - can the lease be asked for: its service answers and knows us, and who has it. It is
 * not taken.
 */
#include "flow/check_private.h"

#include "base/clock.h"

static void on_read(void *data, const struct dif_outcome *out)
{
	struct subject *s = data;
	const char *holder = out->result.holder;
	char took[DIF_DATE_MAX];
	if (out->err.cls == DIF_AUTH) {
		check_fail(s, "credentials", &out->err,
		           dif_arena_fmt(&s->arena,
		                         "put a user into [%s] that may read and write there",
		                         s->section));
	} else if (out->err.cls != DIF_OK) {
		check_fail(s, "reach", &out->err, NULL);
	} else {
		check_tell(s, "reach", DIF_GO, "answers in %s", dif_span(took, out->took_ms));
		if (check_is_http(s)) {
			check_tell_tls(s, "tls", out->tls, out->cert_ends);
			check_tell_clock(s, out->peer_date);
		}
		check_tell(s, "credentials", DIF_GO, "accepted");
		if (holder != NULL && *holder != '\0') {
			check_tell(s, "holder", DIF_GO, "'%s' has it: that agent publishes",
			           holder);
		} else {
			check_tell(s, "holder", DIF_GO, "nobody has it now");
		}
	}
	check_next(s);
}

static void ask(struct subject *s)
{
	s->lease_call = (struct dif_lease_call){
		.name = s->lease->name, .owner = "", .ttl_s = (uint32_t)(s->lease->ttl / 1000)};
	check_op(s, DIF_LEASE_READ, &s->lease_call, QUESTION_MS, on_read);
}

check_ask *const check_lease_asks[] = {ask, NULL};
