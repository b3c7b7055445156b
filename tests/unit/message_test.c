/* message - datagrams and streams, against servers on the same loop. */
#include "support.h"

#include <sys/socket.h>
#include <unistd.h>

#include "host/message.h"

#define ASKED "IDquestion"
#define GOOD "IDanswer"

static const char *const nobody[] = {NULL};

struct server {
	struct dif_engine *e;
	uv_udp_t udp;
	uv_tcp_t tcp, peer;
	uv_timer_t timer;
	bool has_udp, has_tcp, has_peer;
	char name[64];
	const char *hosts[2];
	uint32_t datagrams, streams;
	uint32_t silent;    /* datagrams that get no answer */
	const char *wrong;  /* sent before every answer */
	const uint8_t *raw; /* of a stream: sent byte by byte in the place of an answer */
	size_t raw_n, raw_at;
	bool late; /* stops to listen at the first datagram, and answers it in mid-stream */
	struct sockaddr_in asker, own;
	uint8_t asked[256];
	size_t asked_n;
	char in[1024];
};

struct outcome {
	int calls, status;
	struct dif_error err;
	char body[256];
	size_t n;
};

static void on_answer(void *data, const struct dif_reply *r, const struct dif_error *err)
{
	struct outcome *o = data;
	o->calls++;
	o->status = r->status;
	o->err = *err;
	o->n = r->body.n < sizeof o->body ? r->body.n : sizeof o->body;
	memcpy(o->body, r->body.p, o->n);
}

static void on_alloc(uv_handle_t *h, size_t size, uv_buf_t *buf)
{
	struct server *s = h->data;
	(void)size;
	*buf = uv_buf_init(s->in, sizeof s->in);
}

static void reply_datagram(struct server *s, const char *text, const struct sockaddr *to)
{
	uv_buf_t buf = uv_buf_init((char *)text, (unsigned)strlen(text));
	assert_int_equal(uv_udp_try_send(&s->udp, &buf, 1, to), strlen(text));
}

static void on_datagram(uv_udp_t *u, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
                        unsigned flags)
{
	struct server *s = u->data;
	(void)flags;
	if (n <= 0 || from == NULL) {
		return;
	}
	s->asked_n = (size_t)n;
	memcpy(s->asked, buf->base, (size_t)n);
	s->datagrams++;
	if (s->late) {
		int size = sizeof s->own;
		memcpy(&s->asker, from, sizeof s->asker);
		uv_udp_getsockname(u, (struct sockaddr *)&s->own, &size);
		uv_close((uv_handle_t *)u, NULL);
		s->has_udp = false;
		return;
	}
	if (s->silent > 0) {
		s->silent--;
		return;
	}
	if (s->wrong != NULL) {
		reply_datagram(s, s->wrong, from);
	}
	reply_datagram(s, GOOD, from);
}

static void answer_late(const struct server *s)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&s->own, sizeof s->own), 0);
	assert_int_equal(
		sendto(fd, "late", 4, 0, (const struct sockaddr *)&s->asker, sizeof s->asker), 4);
	close(fd);
}

static void on_step(uv_timer_t *t)
{
	struct server *s = t->data;
	if (s->late && s->raw_at == 5) {
		answer_late(s);
	}
	uv_buf_t buf = uv_buf_init((char *)s->raw + s->raw_at, 1);
	if (s->raw_at == s->raw_n || uv_try_write((uv_stream_t *)&s->peer, &buf, 1) != 1) {
		uv_timer_stop(t);
		return;
	}
	s->raw_at++;
}

static void on_stream(uv_stream_t *st, ssize_t n, const uv_buf_t *buf)
{
	struct server *s = st->data;
	if (n > 0) {
		assert_true(s->asked_n + (size_t)n <= sizeof s->asked);
		memcpy(s->asked + s->asked_n, buf->base, (size_t)n);
		s->asked_n += (size_t)n;
		uv_timer_start(&s->timer, on_step, 0, 1);
	}
}

static void on_connection(uv_stream_t *st, int status)
{
	struct server *s = st->data;
	assert_int_equal(status, 0);
	assert_false(s->has_peer);
	s->streams++;
	s->asked_n = 0;
	uv_tcp_init(&s->e->loop, &s->peer);
	s->peer.data = s;
	s->has_peer = true;
	assert_int_equal(uv_accept(st, (uv_stream_t *)&s->peer), 0);
	uv_read_start((uv_stream_t *)&s->peer, on_alloc, on_stream);
}

static int port_of(const struct sockaddr_storage *a)
{
	return ntohs(((const struct sockaddr_in *)(const void *)a)->sin_port);
}

/* With both, UDP and TCP have the same port. */
static void server_open(struct server *s, bool udp, bool tcp)
{
	struct dif_error err = {0};
	struct sockaddr_storage at;
	int n = sizeof at;
	*s = (struct server){
		.e = dif_engine_new(&err), .raw = (const uint8_t *)"\0\010" GOOD, .raw_n = 10};
	assert_non_null(s->e);
	uv_ip4_addr("127.0.0.1", 0, (struct sockaddr_in *)(void *)&at);
	uv_timer_init(&s->e->loop, &s->timer);
	s->timer.data = s->udp.data = s->tcp.data = s;
	if (tcp) {
		uv_tcp_init(&s->e->loop, &s->tcp);
		assert_int_equal(uv_tcp_bind(&s->tcp, (struct sockaddr *)&at, 0), 0);
		assert_int_equal(uv_listen((uv_stream_t *)&s->tcp, 4, on_connection), 0);
		uv_tcp_getsockname(&s->tcp, (struct sockaddr *)&at, &n);
		s->has_tcp = true;
	}
	if (udp) {
		uv_udp_init(&s->e->loop, &s->udp);
		assert_int_equal(uv_udp_bind(&s->udp, (struct sockaddr *)&at, 0), 0);
		uv_udp_recv_start(&s->udp, on_alloc, on_datagram);
		uv_udp_getsockname(&s->udp, (struct sockaddr *)&at, &n);
		s->has_udp = true;
	}
	snprintf(s->name, sizeof s->name, "127.0.0.1:%d", port_of(&at));
	s->hosts[0] = s->name;
}

static void server_close(struct server *s)
{
	uv_close((uv_handle_t *)&s->timer, NULL);
	if (s->has_udp) {
		uv_close((uv_handle_t *)&s->udp, NULL);
	}
	if (s->has_tcp) {
		uv_close((uv_handle_t *)&s->tcp, NULL);
	}
	if (s->has_peer) {
		uv_close((uv_handle_t *)&s->peer, NULL);
	}
	dif_engine_free(s->e); /* asserts that nothing else is open */
}

static struct outcome ask_at(struct server *s, const char *peer, const char *const *hosts,
                             uint32_t form, uint32_t timeout_ms, bool cancel)
{
	struct outcome o = {0};
	const struct dif_http_policy policy = {.hosts = hosts};
	const struct dif_exchange_call call = {.peer = peer,
	                                       .send = {ASKED, strlen(ASKED)},
	                                       .form = form,
	                                       .match = 2,
	                                       .reply_max = 200,
	                                       .timeout_ms = timeout_ms};
	struct dif_message_run *run =
		s->e->messenger.start(s->e->messenger.self, &call, &policy, on_answer, &o);
	assert_int_equal(o.calls, 0);
	if (cancel) {
		s->e->messenger.cancel(s->e->messenger.self, run);
		assert_int_equal(o.calls, 0);
	}
	while (o.calls == 0) {
		uv_run(&s->e->loop, UV_RUN_ONCE);
	}
	assert_int_equal(o.calls, 1);
	return o;
}

static struct outcome ask(struct server *s, uint32_t form)
{
	return ask_at(s, s->name, s->hosts, form, 20000, false);
}

static void assert_answered(const struct outcome *o)
{
	assert_int_equal(o->status, 200);
	assert_int_equal(o->n, strlen(GOOD));
	assert_memory_equal(o->body, GOOD, o->n);
}

TEST(a_datagram_is_answered)
{
	UNUSED_STATE;
	struct server s;
	server_open(&s, true, false);
	struct outcome o = ask(&s, DIF_EXCHANGE_DATAGRAM);
	assert_answered(&o);
	assert_int_equal(s.datagrams, 1);
	assert_int_equal(s.asked_n, strlen(ASKED));
	assert_memory_equal(s.asked, ASKED, s.asked_n);
	server_close(&s);
}

TEST(a_lost_datagram_is_sent_again)
{
	UNUSED_STATE;
	struct server s;
	server_open(&s, true, false);
	s.silent = 1;
	struct outcome o = ask(&s, DIF_EXCHANGE_DATAGRAM);
	assert_answered(&o);
	assert_int_equal(s.datagrams, 2);
	server_close(&s);
}

TEST(what_begins_otherwise_is_dropped)
{
	UNUSED_STATE;
	struct server s;
	server_open(&s, true, false);
	s.wrong = "XDforged";
	struct outcome o = ask(&s, DIF_EXCHANGE_DATAGRAM);
	assert_answered(&o);
	server_close(&s);
}

TEST(nobody_at_the_datagram_port_leads_to_a_stream)
{
	UNUSED_STATE;
	struct server s;
	server_open(&s, false, true);
	struct outcome o = ask(&s, DIF_EXCHANGE_DATAGRAM);
	assert_answered(&o);
	assert_int_equal(s.streams, 1);
	server_close(&s);
}

TEST(a_datagram_that_comes_late_does_not_touch_the_stream)
{
	UNUSED_STATE;
	struct server s;
	server_open(&s, true, true);
	s.late = true;
	struct outcome o = ask(&s, DIF_EXCHANGE_DATAGRAM);
	assert_answered(&o);
	assert_int_equal(s.streams, 1);
	server_close(&s);
}

TEST(a_stream_carries_lengths)
{
	UNUSED_STATE;
	struct server s;
	server_open(&s, false, true);
	struct outcome o = ask(&s, DIF_EXCHANGE_STREAM);
	assert_answered(&o);
	assert_int_equal(s.asked_n, 2 + strlen(ASKED));
	assert_memory_equal(s.asked, "\0\012" ASKED, s.asked_n);
	server_close(&s);
}

TEST(a_stream_with_a_foreign_message_goes_on)
{
	UNUSED_STATE;
	struct server s;
	server_open(&s, false, true);
	static const char two[] = "\0\003XDx\0\010" GOOD;
	s.raw = (const uint8_t *)two;
	s.raw_n = sizeof two - 1;
	struct outcome o = ask(&s, DIF_EXCHANGE_STREAM);
	assert_answered(&o);
	server_close(&s);
}

TEST(an_answer_that_is_too_long_is_none)
{
	UNUSED_STATE;
	struct server s;
	server_open(&s, false, true);
	s.raw = (const uint8_t *)"\377\377";
	s.raw_n = 2;
	struct outcome o = ask(&s, DIF_EXCHANGE_STREAM);
	assert_int_equal(o.status, 0);
	assert_int_equal(o.err.cls, DIF_TRANSIENT);
	assert_non_null(strstr(o.err.text, "too long"));
	server_close(&s);
}

TEST(silence_ends_in_time)
{
	UNUSED_STATE;
	struct server s;
	server_open(&s, true, false);
	s.silent = 100;
	struct outcome o = ask_at(&s, s.name, s.hosts, DIF_EXCHANGE_DATAGRAM, 50, false);
	assert_int_equal(o.status, 0);
	assert_int_equal(o.err.cls, DIF_TRANSIENT);
	assert_non_null(strstr(o.err.text, "no answer"));
	server_close(&s);
}

TEST(nobody_there_is_a_failure)
{
	UNUSED_STATE;
	struct server s;
	server_open(&s, false, true);
	uv_close((uv_handle_t *)&s.tcp, NULL);
	s.has_tcp = false;
	uv_run(&s.e->loop, UV_RUN_NOWAIT);
	struct outcome o = ask(&s, DIF_EXCHANGE_DATAGRAM);
	assert_int_equal(o.err.cls, DIF_TRANSIENT);
	assert_non_null(strstr(o.err.text, s.name));
	server_close(&s);
}

TEST(only_peers_of_the_section_are_asked)
{
	UNUSED_STATE;
	struct server s;
	server_open(&s, true, false);
	struct outcome o = ask_at(&s, s.name, nobody, DIF_EXCHANGE_DATAGRAM, 1000, false);
	assert_int_equal(o.err.cls, DIF_PERMANENT);
	assert_non_null(strstr(o.err.text, "not one of the hosts"));
	/* a name that resolves to a private address needs private_network */
	char local[64];
	snprintf(local, sizeof local, "localhost.localdomain%s", strchr(s.name, ':'));
	const char *const hosts[] = {local, NULL};
	o = ask_at(&s, local, hosts, DIF_EXCHANGE_DATAGRAM, 5000, false);
	assert_int_not_equal(o.status, 200);
	assert_int_equal(s.datagrams, 0);
	server_close(&s);
}

TEST(a_canceled_one_still_calls_back)
{
	UNUSED_STATE;
	struct server s;
	server_open(&s, true, true);
	struct outcome o = ask_at(&s, s.name, s.hosts, DIF_EXCHANGE_DATAGRAM, 1000, true);
	assert_int_equal(o.err.cls, DIF_CANCELED);
	o = ask_at(&s, s.name, s.hosts, DIF_EXCHANGE_STREAM, 1000, true);
	assert_int_equal(o.err.cls, DIF_CANCELED);
	server_close(&s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_datagram_is_answered),
		cmocka_unit_test(a_lost_datagram_is_sent_again),
		cmocka_unit_test(what_begins_otherwise_is_dropped),
		cmocka_unit_test(nobody_at_the_datagram_port_leads_to_a_stream),
		cmocka_unit_test(a_datagram_that_comes_late_does_not_touch_the_stream),
		cmocka_unit_test(a_stream_carries_lengths),
		cmocka_unit_test(a_stream_with_a_foreign_message_goes_on),
		cmocka_unit_test(an_answer_that_is_too_long_is_none),
		cmocka_unit_test(silence_ends_in_time),
		cmocka_unit_test(nobody_there_is_a_failure),
		cmocka_unit_test(only_peers_of_the_section_are_asked),
		cmocka_unit_test(a_canceled_one_still_calls_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
