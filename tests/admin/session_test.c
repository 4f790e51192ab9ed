/* SPDX-License-Identifier: MIT */
/* One connection of the admin port, without sockets and with a time of the test's
 * own. */
#include "admin/session.h"

#include "admin/later.h"
#include "base/bytes.h"
#include "base/container.h"
#include "helpers/failmalloc.h"

#include <stdio.h>

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define MS KM_NS_PER_MS

/* A connection, and a handler that answers with `body_bytes` bytes. */
struct client {
    struct km_admin_handler handler;
    struct km_session *session;
    km_ns now;
    size_t body_bytes;
    struct km_admin_later *later; /* that answers; NULL: the handler does */
    unsigned answers;
    const struct km_admin_reply *reply; /* the last one */
    size_t unread;
    size_t unread_max;
    char text[2048]; /* all that was taken since the last look */
    size_t text_len;
};

static void answer(void *arg, const struct km_admin_request *request,
                   struct km_admin_reply *reply)
{
    struct client *c = arg;
    (void)request;
    c->answers++;
    if (c->later != NULL) {
        km_admin_reply_wait(reply, c->later);
        return;
    }
    c->reply = reply;
    km_admin_reply_text(reply, 200, "");
    for (size_t i = 0; i < c->body_bytes; i++) {
        assert_int_equal(km_buf_append(&reply->body, "x", 1), KAMA_OK);
    }
}

static bool hold(void *arg, size_t bytes)
{
    struct client *c = arg;
    bool fits = c->unread + bytes <= c->unread_max;
    c->unread += fits ? bytes : 0;
    return fits;
}

static void release(void *arg, size_t bytes)
{
    struct client *c = arg;
    assert_true(c->unread >= bytes);
    c->unread -= bytes;
}

static void begin(struct client *c)
{
    memset(c, 0, sizeof *c);
    c->handler = (struct km_admin_handler){answer, hold, release, c};
    c->now = 100 * KM_NS_PER_S;
    c->body_bytes = 3;
    c->unread_max = 1000;
    c->session = km_admin_session_new(km_mem_default(), &c->handler, c->now);
    assert_non_null(c->session);
}

static void end(struct client *c)
{
    c->session->ops->close(c->session);
    assert_int_equal(c->unread, 0);
}

static void send_text(struct client *c, const char *text)
{
    assert_int_equal(c->session->ops->feed(c->session, (const uint8_t *)text,
                                           strlen(text), c->now),
                     KAMA_OK);
}

/* Takes all that there is to be written. Returns it as text. */
static const char *take(struct client *c)
{
    kama_bytes bytes;
    c->text_len = 0;
    do {
        assert_int_equal(c->session->ops->take(c->session, &bytes), KAMA_OK);
        assert_true(c->text_len + bytes.len < sizeof c->text);
        if (bytes.len > 0) {
            memcpy(c->text + c->text_len, bytes.data, bytes.len);
        }
        c->text_len += bytes.len;
    } while (bytes.len > 0);
    c->text[c->text_len] = '\0';
    return c->text;
}

static bool is_open(struct client *c)
{
    return c->session->ops->alive(c->session);
}

static bool wants_read(struct client *c)
{
    return c->session->ops->wants_read(c->session);
}

static kama_status tick_at_deadline(struct client *c)
{
    c->now = c->session->ops->deadline(c->session);
    return c->session->ops->tick(c->session, c->now);
}

static void assert_begins(const char *text, const char *head)
{
    if (strncmp(text, head, strlen(head)) != 0) {
        fail_msg("\"%s\" does not begin with \"%s\"", text, head);
    }
}

/* One request after the other; each answer has its length, and nothing is read
 * while an answer waits. */
static void test_one_after_the_other(void **state)
{
    struct client c;
    (void)state;
    begin(&c);
    for (unsigned i = 1; i <= 3; i++) {
        assert_true(wants_read(&c));
        send_text(&c, GET);
        assert_false(wants_read(&c));
        assert_int_equal(c.unread, 3);
        const char *text = take(&c);
        assert_begins(text, "HTTP/1.1 200 OK\r\n");
        assert_non_null(strstr(text, "Content-Length: 3\r\n"));
        assert_non_null(strstr(text, "\r\n\r\nxxx"));
        assert_non_null(strstr(text, "Cache-Control: no-store\r\n"));
        assert_non_null(strstr(text, "X-Content-Type-Options: nosniff\r\n"));
        assert_non_null(strstr(text, "default-src 'none'"));
        assert_null(strstr(text, "Connection:"));
        assert_int_equal(c.answers, i);
        assert_int_equal(c.unread, 0);
        assert_true(is_open(&c));
    }
    end(&c);
}

/* HEAD has the same head and no body. */
static void test_head(void **state)
{
    struct client c;
    (void)state;
    begin(&c);
    send_text(&c, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    const char *text = take(&c);
    assert_non_null(strstr(text, "Content-Length: 3\r\n"));
    assert_string_equal(text + strlen(text) - 4, "\r\n\r\n");
    assert_true(is_open(&c));
    end(&c);
}

/* Two requests in the same bytes: the first is answered with the word that this
 * is the last answer, and the second is dropped. */
static void test_pipelined(void **state)
{
    struct client c;
    (void)state;
    begin(&c);
    send_text(&c, GET GET);
    assert_non_null(strstr(take(&c), "Connection: close\r\n"));
    assert_int_equal(c.answers, 1);
    assert_false(is_open(&c));
    end(&c);
}

static void test_versions(void **state)
{
    struct client c;
    (void)state;
    begin(&c);
    send_text(&c, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_non_null(strstr(take(&c), "Connection: keep-alive\r\n"));
    assert_true(is_open(&c));
    send_text(&c, "GET / HTTP/1.0\r\n\r\n");
    assert_non_null(strstr(take(&c), "Connection: close\r\n"));
    assert_false(is_open(&c));
    end(&c);
}

static void test_refused(void **state)
{
    struct client c;
    (void)state;
    begin(&c);
    send_text(&c, "POST / HTTP/1.1\r\nHost: a\r\n\r\n" GET);
    const char *text = take(&c);
    assert_begins(text, "HTTP/1.1 405 Method Not Allowed\r\n");
    assert_non_null(strstr(text, "Allow: GET, HEAD\r\n"));
    assert_non_null(strstr(text, "\"error\":\"KAMA_ERR_UNSUPPORTED\""));
    assert_int_equal(c.answers, 0);
    assert_false(is_open(&c));
    end(&c);
}

/* A request that comes byte by byte has 5 s in all. */
static void test_slow_request(void **state)
{
    struct client c;
    (void)state;
    begin(&c);
    km_ns began = c.now += 20000 * MS;
    for (unsigned i = 0; i < 10; i++) {
        send_text(&c, i == 0 ? "G" : i == 1 ? "E" : i == 2 ? "T" : " ");
        c.now += 400 * MS;
    }
    assert_true(c.session->ops->deadline(c.session) == began + 5000 * MS);
    assert_int_equal(tick_at_deadline(&c), KAMA_OK);
    assert_begins(take(&c), "HTTP/1.1 408 Request Timeout\r\n");
    assert_false(is_open(&c));
    end(&c);
}

static void test_idle(void **state)
{
    struct client c;
    (void)state;
    begin(&c);
    assert_true(c.session->ops->deadline(c.session) == c.now + 30000 * MS);
    assert_int_equal(tick_at_deadline(&c), KAMA_ERR_TIMEOUT);
    assert_string_equal(take(&c), "");
    end(&c);
}

/* A client that does not read its answer is cut off. */
static void test_unread_answer(void **state)
{
    struct client c;
    kama_bytes bytes;
    (void)state;
    begin(&c);
    send_text(&c, GET);
    assert_int_equal(c.session->ops->take(c.session, &bytes), KAMA_OK);
    assert_true(c.session->ops->deadline(c.session) == c.now + 30000 * MS);
    assert_int_equal(tick_at_deadline(&c), KAMA_ERR_DISCONNECTED);
    assert_int_equal(c.unread, 3);
    end(&c);
}

/* Too many answers wait already: an error comes instead, and is the last. */
static void test_too_much_waits(void **state)
{
    struct client c;
    (void)state;
    begin(&c);
    c.body_bytes = c.unread_max + 1;
    send_text(&c, GET);
    const char *text = take(&c);
    assert_begins(text, "HTTP/1.1 503 ");
    assert_non_null(strstr(text, "KAMA_ERR_OVERLOADED"));
    assert_non_null(strstr(text, "Connection: close\r\n"));
    assert_false(is_open(&c));
    end(&c);
}

/* The error that comes instead does not keep the memory of the answer, however long
 * its client does not read it. */
static void test_an_error_instead_is_small(void **state)
{
    struct client c;
    (void)state;
    begin(&c);
    c.body_bytes = 100 * c.unread_max;
    send_text(&c, GET);
    assert_in_range(c.reply->body.cap, 1, c.unread_max);
    assert_begins(take(&c), "HTTP/1.1 503 ");
    end(&c);
}

/* A client that has shut its half gets the answer that it waits for. */
static void test_half_closed(void **state)
{
    struct client c;
    (void)state;
    begin(&c);
    send_text(&c, GET);
    c.session->ops->eof(c.session);
    assert_true(is_open(&c));
    assert_begins(take(&c), "HTTP/1.1 200 OK\r\n");
    assert_false(is_open(&c));
    end(&c);
    begin(&c);
    send_text(&c, "GET /");
    c.session->ops->eof(c.session);
    assert_false(is_open(&c));
    end(&c);
}

struct work {
    struct km_admin_later later;
    unsigned answered;
    unsigned dropped;
};

static void finish(struct km_admin_later *later, struct km_admin_reply *reply)
{
    struct work *work = KM_CONTAINER_OF(later, struct work, later);
    if (reply == NULL) {
        work->dropped++;
    } else {
        work->answered++;
        km_admin_reply_text(reply, 200, "at last");
    }
}

static void ask_later(struct client *c, struct work *work)
{
    begin(c);
    *work = (struct work){.later = {.finish = finish}};
    c->later = &work->later;
    send_text(c, GET);
    assert_string_equal(take(c), "");
    assert_ptr_equal(work->later.session, c->session);
    assert_true(is_open(c));
    assert_false(c->session->ops->wants_read(c->session));
    assert_int_equal(c->session->ops->deadline(c->session), KM_NS_NEVER);
}

/* A connection waits for an answer that comes later, and then goes on. */
static void test_an_answer_that_comes_later(void **state)
{
    struct client c;
    struct work work;
    (void)state;
    ask_later(&c, &work);
    c.now += 2 * KM_NS_PER_S;
    km_admin_session_finish(c.session, c.now);
    assert_int_equal(work.answered, 1);
    assert_begins(take(&c), "HTTP/1.1 200 OK\r\n");
    assert_true(c.session->ops->wants_read(c.session));
    c.later = NULL;
    send_text(&c, GET);
    assert_begins(take(&c), "HTTP/1.1 200 OK\r\n");
    end(&c);
}

/* A client that has shut its half reads the answer; one that has sent more is told
 * that it is the last one; one that is gone is forgotten. */
static void test_clients_of_an_answer_that_comes_later(void **state)
{
    struct client c;
    struct work work;
    (void)state;
    ask_later(&c, &work);
    c.session->ops->eof(c.session);
    assert_true(is_open(&c));
    km_admin_session_finish(c.session, c.now);
    assert_non_null(strstr(take(&c), "Connection: close\r\n"));
    assert_false(is_open(&c));
    end(&c);
    ask_later(&c, &work);
    send_text(&c, GET);
    km_admin_session_finish(c.session, c.now);
    assert_non_null(strstr(take(&c), "Connection: close\r\n"));
    end(&c);
    ask_later(&c, &work);
    end(&c);
    assert_null(work.later.session);
    assert_int_equal(work.answered + work.dropped, 0);
}

/* Without memory there is no connection, or an answer without a body that says
 * so; it is whole in each case. */
static kama_status ask_once(const kama_allocator *mem, void *arg)
{
    struct client c = {.unread_max = 1000, .now = KM_NS_PER_S};
    (void)arg;
    c.handler = (struct km_admin_handler){answer, hold, release, &c};
    c.session = km_admin_session_new(mem, &c.handler, c.now);
    if (c.session == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    send_text(&c, "GET / HTTP/2.0\r\n\r\n");
    const char *text = take(&c);
    assert_non_null(strstr(text, "\r\n\r\n"));
    if (strncmp(text, "HTTP/1.1 505 ", 13) != 0) {
        assert_begins(text, "HTTP/1.1 500 ");
        assert_non_null(strstr(text, "Content-Length: 0\r\n"));
    }
    assert_false(is_open(&c));
    end(&c);
    return KAMA_OK;
}

static void test_no_memory(void **state)
{
    (void)state;
    km_test_fail_each(ask_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_after_the_other),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_slow_request),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_unread_answer),
        cmocka_unit_test(test_too_much_waits),
        cmocka_unit_test(test_an_error_instead_is_small),
        cmocka_unit_test(test_half_closed),
        cmocka_unit_test(test_an_answer_that_comes_later),
        cmocka_unit_test(test_clients_of_an_answer_that_comes_later),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
