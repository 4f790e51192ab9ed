/* SPDX-License-Identifier: MIT */
#include "admin/session.h"

#include "admin/later.h"
#include "base/assert.h"
#include "base/container.h"
#include "base/mem.h"

#define SESSION_MAGIC 0x61646d6eu

/* As the header draws it. */
enum state { IDLE, READING, WAITING, ANSWERING, ENDED };

struct admin_session {
    struct km_session session;
    uint32_t magic;
    enum state state;
    const kama_allocator *mem;
    const struct km_admin_handler *handler;
    km_ns now;      /* of the last feed or tick */
    km_ns deadline; /* of the state */
    bool is_last;   /* the connection ends behind this answer */
    size_t held;    /* bytes of the answer that were announced */
    struct km_admin_reply reply;
    size_t head_len;
    enum { HEAD, BODY, NOTHING } next; /* to be taken */
    char head[KM_ADMIN_REPLY_HEAD_BYTES];
    struct km_admin_request request;
};

static struct admin_session *session_of(struct km_session *session)
{
    struct admin_session *s =
        KM_CONTAINER_OF(session, struct admin_session, session);
    KM_ASSERT(s->magic == SESSION_MAGIC);
    return s;
}

static void enter(struct admin_session *s, enum state state, int64_t limit_ms)
{
    s->state = state;
    s->deadline = km_ns_after_ms(s->now, limit_ms);
}

/* -- answers ----------------------------------------------------------------- */

static void give_back(struct admin_session *s)
{
    if (s->held > 0) {
        s->handler->release(s->handler->arg, s->held);
        s->held = 0;
    }
    km_buf_reset(&s->reply.body, 0);
}

static void hold(struct admin_session *s)
{
    size_t bytes = s->reply.body.len;
    if (bytes > 0 && !s->handler->hold(s->handler->arg, bytes)) {
        km_buf_reset(&s->reply.body,
                     0); /* the error needs none of its memory */
        km_admin_reply_error(&s->reply, KAMA_ERR_OVERLOADED, 503,
                             "too many answers were not read yet; try again "
                             "later");
        s->is_last = true;
    } else {
        s->held = bytes;
    }
}

/* The answer is complete, and begins to be sent. */
static void send_reply(struct admin_session *s)
{
    const struct km_admin_request *r = &s->request;
    hold(s);
    enum km_admin_connection connection = KM_ADMIN_LAST;
    if (!s->is_last) {
        connection =
            r->parser.http_minor == 0 ? KM_ADMIN_KEPT_OPEN : KM_ADMIN_GOES_ON;
    }
    s->head_len = km_admin_reply_head(&s->reply, connection, s->head);
    s->next = HEAD;
    enter(s, ANSWERING, KM_ADMIN_ANSWER_MS);
}

static kama_status status_of(int code)
{
    switch (code) {
    case 413:
    case 414:
    case 431:
        return KAMA_ERR_TOO_LARGE;
    case 405:
    case 505:
        return KAMA_ERR_UNSUPPORTED;
    case 408:
        return KAMA_ERR_TIMEOUT;
    default:
        return KAMA_ERR_MALFORMED;
    }
}

static void refuse(struct admin_session *s, int code, const char *sentence)
{
    s->is_last = true;
    km_admin_reply_error(&s->reply, status_of(code), code, sentence);
    send_reply(s);
}

static void answer(struct admin_session *s, bool more_came)
{
    s->is_last = more_came || !s->request.keeps_alive;
    s->handler->answer(s->handler->arg, &s->request, &s->reply);
    if (s->reply.later == NULL) {
        send_reply(s);
        return;
    }
    s->reply.later->session = &s->session;
    s->state = WAITING;
    s->deadline = KM_NS_NEVER; /* the work has its own */
}

km_ns km_admin_session_idle_since(struct km_session *session)
{
    const struct admin_session *s = session_of(session);
    return s->state == IDLE
               ? s->deadline - (km_ns)KM_ADMIN_IDLE_MS * KM_NS_PER_MS
               : KM_NS_NEVER;
}

void km_admin_session_finish(struct km_session *session, km_ns now)
{
    struct admin_session *s = session_of(session);
    struct km_admin_later *later = s->reply.later;
    KM_ASSERT(s->state == WAITING && later != NULL);
    s->now = now;
    s->reply.later = NULL;
    later->finish(later, &s->reply);
    send_reply(s);
}

/* All bytes of the answer were taken and written. */
static void end_answer(struct admin_session *s)
{
    give_back(s);
    if (s->is_last) {
        s->state = ENDED;
        return;
    }
    km_admin_request_begin(&s->request);
    enter(s, IDLE, KM_ADMIN_IDLE_MS);
}

/* -- the functions of a session ------------------------------------------------ */

static kama_status feed(struct km_session *session, const uint8_t *data,
                        size_t len, km_ns now)
{
    struct admin_session *s = session_of(session);
    size_t used;
    s->now = now;
    if (s->state >= WAITING) {
        s->is_last = true; /* so that the client sends it again */
        return KAMA_OK;
    }
    if (s->state == IDLE) {
        enter(s, READING, KM_ADMIN_REQUEST_MS);
    }
    switch (km_admin_request_feed(&s->request, data, len, &used)) {
    case KM_ADMIN_MORE:
        break;
    case KM_ADMIN_COMPLETE:
        answer(s, used < len);
        break;
    case KM_ADMIN_REFUSED:
        refuse(s, s->request.code, s->request.sentence);
        break;
    }
    return KAMA_OK;
}

static kama_bytes next_piece(struct admin_session *s)
{
    bool has_body = !s->request.is_head && s->reply.body.len > 0;
    switch (s->next) {
    case HEAD:
        s->next = has_body ? BODY : NOTHING;
        return kama_bytes_make(s->head, s->head_len);
    case BODY:
        s->next = NOTHING;
        return km_buf_bytes(&s->reply.body);
    case NOTHING:
        break;
    }
    return kama_bytes_make(NULL, 0);
}

static kama_status take(struct km_session *session, kama_bytes *ret_bytes)
{
    struct admin_session *s = session_of(session);
    *ret_bytes = kama_bytes_make(NULL, 0);
    if (s->state == ANSWERING) {
        *ret_bytes = next_piece(s);
        if (ret_bytes->len == 0) {
            end_answer(s);
        }
    }
    return KAMA_OK;
}

static bool alive(struct km_session *session)
{
    return session_of(session)->state != ENDED;
}

/* A client that has shut its half may still read the answer. */
static void eof(struct km_session *session)
{
    struct admin_session *s = session_of(session);
    s->is_last = true;
    if (s->state < WAITING) {
        s->state = ENDED;
    }
}

static km_ns deadline(struct km_session *session)
{
    return session_of(session)->deadline;
}

static kama_status tick(struct km_session *session, km_ns now)
{
    struct admin_session *s = session_of(session);
    s->now = now;
    if (s->state == READING) {
        refuse(s, 408,
               "the request was not complete after " KM_TEXT_OF(
                   KM_ADMIN_REQUEST_MS) " ms");
        return KAMA_OK;
    }
    return s->state == ANSWERING ? KAMA_ERR_DISCONNECTED : KAMA_ERR_TIMEOUT;
}

static void close_session(struct km_session *session)
{
    struct admin_session *s = session_of(session);
    if (s->reply.later != NULL) {
        s->reply.later->session = NULL;
    }
    give_back(s);
    km_admin_reply_fini(&s->reply);
    s->magic = 0;
    km_mem_free(s->mem, s);
}

static bool wants_read(struct km_session *session)
{
    return session_of(session)->state < WAITING;
}

static const struct km_session_ops ops = {
    .name = "admin",
    .feed = feed,
    .take = take,
    .alive = alive,
    .eof = eof,
    .deadline = deadline,
    .tick = tick,
    .close = close_session,
    .wants_read = wants_read,
};

struct km_session *km_admin_session_new(const kama_allocator *mem,
                                        const struct km_admin_handler *handler,
                                        km_ns now)
{
    struct admin_session *s = km_mem_zalloc(mem, 1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    s->session.ops = &ops;
    s->magic = SESSION_MAGIC;
    s->mem = mem;
    s->handler = handler;
    s->now = now;
    km_admin_reply_init(&s->reply, mem);
    km_admin_request_begin(&s->request);
    enter(s, IDLE, KM_ADMIN_IDLE_MS);
    return &s->session;
}
