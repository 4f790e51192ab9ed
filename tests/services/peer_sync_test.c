/* SPDX-License-Identifier: MIT */
/* ctest: timeout=120 */
/* kama.peer.v1.Peer/Sync over a real connection, between a call and a node whose
 * sync loop is a script: admission, order, room, and how a stream ends. */
#include "services/peer_sync.h"

#include "base/limits.h"
#include "base/status.h"
#include "group/registry.h"
#include "helpers/failmalloc.h"
#include "rpc/channel_kit.h"
#include "services/env.h"
#include "services/serve_env.h"
#include "wire/msg/peer.h"

#include <string.h>

#define SYNC "/kama.peer.v1.Peer/Sync"
#define FRAME_BYTES (16u << 10)

/* -- a node whose sync loop is a script ------------------------------------- */

struct world {
    struct km_loop *loop;
    struct km_loop *sync_loop;
    struct km_registry registry;
    struct km_service_env env;
    struct km_server *server;
    struct km_mem_probe probe;
    struct caller caller;
    struct latch drained;
    atomic_int refusal;
    atomic_uint asked, known_after; /* so many questions about the sender */
    /* -- the sync loop's -- */
    struct latch open; /* the first message waits for it, if gated */
    struct latch begun, got, ended;
    bool gated;
    bool without_memory;
    bool replies;
    const char *refuse_at; /* the message that is refused */
    struct km_peer_stream *stream;
    struct km_buf messages; /* the short ones, each with '|' */
    size_t bytes;
};

static kama_status admit(void *arg, const struct km_msg_peer_sender *sender)
{
    struct world *w = arg;
    KM_ASSERT(km_bytes_eq(sender->cluster, KM_LIT("c")));
    kama_status status = (kama_status)atomic_load(&w->refusal);
    if (atomic_fetch_add(&w->asked, 1) < atomic_load(&w->known_after)) {
        status = KAMA_ERR_NOT_MEMBER;
    }
    return status == KAMA_OK ? status : km_fail(status, "a stranger");
}

static const struct km_service_peer_ops peer_ops = {.admit = admit};

static struct km_loop *loop_of(void *arg)
{
    return ((struct world *)arg)->sync_loop;
}

static void *begin(void *arg, struct km_peer_stream *stream)
{
    struct world *w = arg;
    w->stream = stream;
    latch_hit(&w->begun);
    return w->without_memory ? NULL : w;
}

static void on_message(void *arg, void *in, kama_bytes message)
{
    struct world *w = arg;
    KM_ASSERT(in == w);
    if (w->gated) {
        w->gated = false;
        latch_wait(&w->open, 1);
    }
    w->bytes += message.len;
    if (message.len < 16) {
        KM_ASSERT(km_buf_append(&w->messages, message.data, message.len) ==
                      KAMA_OK &&
                  km_buf_append(&w->messages, "|", 1) == KAMA_OK);
    }
    if (w->replies) {
        km_peer_stream_reply(w->stream, message);
    }
    if (w->refuse_at != NULL && km_bytes_eq(message, KAMA_STR(w->refuse_at))) {
        km_peer_stream_refuse(w->stream, KAMA_ERR_STATE, "in bad order");
        km_peer_stream_refuse(w->stream, KAMA_ERR_CLOSED, "too late");
    }
    latch_hit(&w->got);
}

static void end(void *arg, void *in)
{
    struct world *w = arg;
    KM_ASSERT(in == w);
    w->stream = NULL;
    latch_hit(&w->ended);
}

static const struct km_service_sync_ops sync_ops = {
    .loop = loop_of, .begin = begin, .message = on_message, .end = end};

static kama_status world_serve(struct world *w, bool clustered)
{
    kama_status status = km_service_env_init(
        &w->env, &w->probe.allocator, km_clock_system(), &w->registry, "kama");
    assert_int_equal(status, KAMA_OK);
    if (clustered) {
        w->env.peers = (struct km_service_peers){&peer_ops, w};
        w->env.sync = (struct km_service_sync){&sync_ops, w};
    }
    serve_env(&w->env, &w->loop, &w->server);
    return status;
}

static void world_open(struct world *w, bool clustered)
{
    memset(w, 0, sizeof *w);
    km_mem_probe_init(&w->probe);
    latch_init(&w->open);
    latch_init(&w->begun);
    latch_init(&w->got);
    latch_init(&w->ended);
    latch_init(&w->drained);
    km_buf_init(&w->messages, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_registry_init(&w->registry, km_mem_default()), KAMA_OK);
    assert_int_equal(km_loop_new(NULL, NULL, 0, &w->loop), KAMA_OK);
    assert_int_equal(km_loop_start(w->loop), KAMA_OK);
    assert_int_equal(km_loop_new(NULL, NULL, 1, &w->sync_loop), KAMA_OK);
    assert_int_equal(km_loop_start(w->sync_loop), KAMA_OK);
    assert_int_equal(world_serve(w, clustered), KAMA_OK);
    caller_begin(&w->caller, km_server_address(w->server));
}

static void on_drained(void *arg, unsigned cut)
{
    (void)cut;
    latch_hit(&((struct world *)arg)->drained);
}

/* The sync loop ends before the calls' loop does, as in a node. */
static void world_close(struct world *w)
{
    km_service_env_close(&w->env);
    km_server_drain(w->server, 0, on_drained, w);
    latch_wait(&w->drained, 1);
    km_loop_stop(w->sync_loop);
    km_loop_join(w->sync_loop);
    km_service_env_settle(&w->env);
    km_loop_stop(w->loop);
    km_loop_join(w->loop);
    km_server_free(w->server);
    caller_end(&w->caller);
    assert_int_equal(latch_count(&w->ended),
                     w->without_memory ? 0 : latch_count(&w->begun));
    assert_int_equal(atomic_load(&w->probe.live_blocks), 0);
    km_service_env_fini(&w->env);
    km_registry_fini(&w->registry);
    km_loop_free(w->loop);
    km_loop_free(w->sync_loop);
    km_buf_fini(&w->messages);
    latch_fini(&w->open);
    latch_fini(&w->begun);
    latch_fini(&w->got);
    latch_fini(&w->ended);
    latch_fini(&w->drained);
}

/* -- the other node ----------------------------------------------------------- */

/* A stream, and what it sends. */
struct talk {
    struct outcome outcome;
    kama_bytes message;
    unsigned frames; /* are still to be sent, as the stream is writable */
    size_t queued;   /* bytes that wait at this side */
};

static void send_message(void *arg)
{
    struct talk *talk = arg;
    if (talk->outcome.call != NULL) {
        kama_status status =
            km_channel_call_send(talk->outcome.call, talk->message);
        KM_ASSERT(status == KAMA_OK || status == KAMA_ERR_CLOSED);
    }
}

static void say(struct talk *talk, kama_bytes message)
{
    talk->message = message;
    on_loop(talk->outcome.caller->loop, send_message, talk);
}

static void half_close(void *arg)
{
    struct talk *talk = arg;
    km_channel_call_half_close(talk->outcome.call);
}

static void talk_open(struct talk *talk, struct world *w)
{
    memset(talk, 0, sizeof *talk);
    outcome_init(&talk->outcome, &w->caller, SYNC);
    talk->outcome.options.unary = false;
    talk->outcome.options.repeat = KM_CHANNEL_REPEAT_NEVER;
    talk->outcome.keep_open = true;
    outcome_launch(&talk->outcome);
}

/* Sends the first message, which introduces this side. */
static void say_hello(struct talk *talk)
{
    const struct km_msg_peer_sender sender = {.cluster = KM_LIT("c"),
                                              .service = KM_LIT("s"),
                                              .id = KM_LIT("0123456789abcdef")};
    const struct km_msg_sync_hello hello = {.sender = sender};
    struct km_msg_sync_request request = {.first_seq = 0};
    struct km_buf inner;
    struct km_buf outer;
    km_buf_init(&inner, km_mem_default(), SIZE_MAX);
    km_buf_init(&outer, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_pb_append(&inner, &km_msg_sync_hello_pb, &hello),
                     KAMA_OK);
    request.hello = km_buf_bytes(&inner);
    assert_int_equal(km_pb_append(&outer, &km_msg_sync_request_pb, &request),
                     KAMA_OK);
    say(talk, km_buf_bytes(&outer));
    km_buf_fini(&inner);
    km_buf_fini(&outer);
}

static void talk_cancel(struct talk *talk)
{
    on_loop(talk->outcome.caller->loop, outcome_cancel, &talk->outcome);
}

/* Waits for the end, which must be this one. */
static void talk_close(struct talk *talk, kama_status status, const char *text)
{
    latch_wait(&talk->outcome.done, 1);
    if (talk->outcome.status != status) {
        fail_msg("%s: %s", kama_status_name(talk->outcome.status),
                 talk->outcome.text);
    }
    if (text != NULL) {
        assert_non_null(strstr(talk->outcome.text, text));
    }
    outcome_fini(&talk->outcome);
}

static void expect_messages(const struct world *w, const char *text)
{
    assert_int_equal(w->messages.len, strlen(text));
    assert_memory_equal(w->messages.data, text, w->messages.len);
}

static void expect_tail(const struct km_buf *buf, const char *text)
{
    size_t len = strlen(text);
    assert_true(buf->len > len);
    assert_memory_equal(buf->data + buf->len - len, text, len);
}

/* -- how a stream begins ------------------------------------------------------- */

static void test_no_cluster(void **state)
{
    struct world w;
    struct talk talk;
    (void)state;
    world_open(&w, false);
    talk_open(&talk, &w);
    say_hello(&talk);
    talk_close(&talk, KAMA_ERR_UNSUPPORTED, "in no cluster");
    world_close(&w);
}

static void test_strangers_are_refused(void **state)
{
    struct world w;
    struct talk talk;
    (void)state;
    world_open(&w, true);
    atomic_store(&w.refusal, KAMA_ERR_NOT_MEMBER);
    talk_open(&talk, &w);
    say_hello(&talk);
    talk_close(&talk, KAMA_ERR_NOT_MEMBER, "a stranger");
    assert_int_equal(latch_count(&w.begun), 0);
    world_close(&w);
}

/* A sender of which this node hears a moment later. What follows the Hello comes behind
 * it. */
static void test_a_sender_that_is_new(void **state)
{
    struct world w;
    struct talk talk;
    (void)state;
    world_open(&w, true);
    atomic_store(&w.known_after, 3);
    talk_open(&talk, &w);
    say_hello(&talk);
    say(&talk, KM_LIT("one"));
    latch_wait(&w.got, 2);
    expect_messages(&w, "one|");
    assert_int_equal(atomic_load(&w.asked), 4);
    talk_cancel(&talk);
    talk_close(&talk, KAMA_ERR_CANCELLED, NULL);
    latch_wait(&w.ended, 1);
    world_close(&w);
}

/* The call ends while its Hello waits. */
static void test_cancelled_before_it_begins(void **state)
{
    struct world w;
    struct talk talk;
    (void)state;
    world_open(&w, true);
    atomic_store(&w.refusal, KAMA_ERR_NOT_MEMBER);
    talk_open(&talk, &w);
    say_hello(&talk);
    while (atomic_load(&w.asked) < 3) {
        (void)sched_yield();
    }
    talk_cancel(&talk);
    talk_close(&talk, KAMA_ERR_CANCELLED, NULL);
    world_close(&w);
}

static void expect_malformed(struct world *w, kama_bytes message)
{
    struct talk talk;
    talk_open(&talk, w);
    say(&talk, message);
    talk_close(&talk, KAMA_ERR_MALFORMED, NULL);
    assert_int_equal(latch_count(&w->begun), 0);
}

/* A stream that does not begin with a Hello, or with one that cannot be read. */
static void test_a_stream_begins_with_hello(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, true);
    expect_malformed(&w, KM_LIT(""));
    expect_malformed(&w, KM_LIT("\x18\x01"));
    expect_malformed(&w, KM_LIT("\xff"));
    expect_malformed(&w, KM_LIT("\x0a\x01\xff"));
    world_close(&w);
}

/* -- messages, replies and refusals --------------------------------------------- */

static void test_messages_keep_their_order(void **state)
{
    struct world w;
    struct talk talk;
    (void)state;
    world_open(&w, true);
    w.replies = true;
    talk_open(&talk, &w);
    say_hello(&talk);
    say(&talk, KM_LIT("one"));
    say(&talk, KM_LIT(""));
    say(&talk, KM_LIT("three"));
    latch_wait(&talk.outcome.got, 4);
    expect_messages(&w, "one||three|");
    expect_tail(&talk.outcome.messages, "|one||three|");
    on_loop(w.caller.loop, half_close, &talk);
    talk_close(&talk, KAMA_OK, NULL);
    latch_wait(&w.ended, 1);
    world_close(&w);
}

/* The first refusal counts, and no message comes after it. */
static void test_the_node_refuses(void **state)
{
    struct world w;
    struct talk talk;
    (void)state;
    world_open(&w, true);
    w.refuse_at = "two";
    w.gated = true;
    talk_open(&talk, &w);
    say_hello(&talk);
    say(&talk, KM_LIT("two"));
    say(&talk, KM_LIT("three"));
    latch_hit(&w.open);
    talk_close(&talk, KAMA_ERR_STATE, "in bad order");
    latch_wait(&w.ended, 1);
    expect_messages(&w, "two|");
    world_close(&w);
}

static void test_no_memory_for_the_stream(void **state)
{
    struct world w;
    struct talk talk;
    (void)state;
    world_open(&w, true);
    w.without_memory = true;
    talk_open(&talk, &w);
    say_hello(&talk);
    talk_close(&talk, KAMA_ERR_NO_MEMORY, NULL);
    world_close(&w);
}

/* -- room -------------------------------------------------------------------------- */

static char frame[FRAME_BYTES];

static void push(void *arg)
{
    struct talk *talk = arg;
    while (talk->outcome.call != NULL && talk->frames > 0 &&
           km_channel_call_writable(talk->outcome.call)) {
        kama_status status = km_channel_call_send(
            talk->outcome.call, kama_bytes_make(frame, sizeof frame));
        KM_ASSERT(status == KAMA_OK);
        talk->frames--;
    }
    if (talk->outcome.call != NULL) {
        talk->queued = km_channel_call_queued_bytes(talk->outcome.call);
    }
}

static bool is_stuck(struct talk *talk)
{
    size_t before = talk->queued;
    on_loop(talk->outcome.caller->loop, push, talk);
    return talk->frames > 0 && talk->queued > 0 && talk->queued == before;
}

/* Sends until nothing moves any more. Returns how many bytes have left this side. */
static size_t fill(struct talk *talk, unsigned frames)
{
    unsigned stuck = 0;
    talk->frames = frames;
    while (stuck < 200) {
        stuck = is_stuck(talk) ? stuck + 1 : 0;
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return (size_t)(frames - talk->frames) * FRAME_BYTES - talk->queued;
}

/* While the node applies nothing, the call takes little more than the limit; then
 * everything arrives. */
static void test_a_node_that_is_busy(void **state)
{
    struct world w;
    struct talk talk;
    unsigned frames = 256;
    (void)state;
    world_open(&w, true);
    w.gated = true;
    talk_open(&talk, &w);
    say_hello(&talk);
    latch_wait(&w.begun, 1);
    size_t taken = fill(&talk, frames);
    assert_in_range(taken, KM_SYNC_QUEUED_BYTES - FRAME_BYTES,
                    KM_SYNC_QUEUED_BYTES + 2 * KM_H2_STREAM_WINDOW_BYTES);
    latch_hit(&w.open);
    for (;;) {
        on_loop(w.caller.loop, push, &talk);
        if (latch_count(&w.got) == frames + 1) {
            break;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_true(w.bytes > (size_t)frames * FRAME_BYTES);
    talk_cancel(&talk);
    talk_close(&talk, KAMA_ERR_CANCELLED, NULL);
    latch_wait(&w.ended, 1);
    world_close(&w);
}

/* -- how a stream ends ---------------------------------------------------------------- */

/* The call ends while its messages and the node's answers are under way. */
static void test_cancelled_under_way(void **state)
{
    struct world w;
    struct talk talk;
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        world_open(&w, true);
        w.gated = true;
        w.replies = true;
        w.refuse_at = i % 2 == 0 ? "two" : NULL;
        talk_open(&talk, &w);
        say_hello(&talk);
        say(&talk, KM_LIT("one"));
        say(&talk, KM_LIT("two"));
        latch_wait(&w.begun, 1);
        if (i % 4 < 2) {
            talk_cancel(&talk);
            talk_close(&talk, KAMA_ERR_CANCELLED, NULL);
            latch_hit(&w.open);
        } else {
            latch_hit(&w.open);
            talk_cancel(&talk);
            latch_wait(&talk.outcome.done, 1);
            outcome_fini(&talk.outcome);
        }
        latch_wait(&w.ended, 1);
        world_close(&w);
    }
}

static void refuse_here(void *arg)
{
    struct world *w = arg;
    km_peer_stream_refuse(w->stream, KAMA_ERR_CLOSED, "this node stops");
}

/* A node that stops ends its streams, and its server drains. */
static void test_the_node_stops(void **state)
{
    struct world w;
    struct talk talk;
    (void)state;
    world_open(&w, true);
    talk_open(&talk, &w);
    say_hello(&talk);
    latch_wait(&w.got, 1);
    on_loop(w.sync_loop, refuse_here, &w);
    talk_close(&talk, KAMA_ERR_CLOSED, "this node stops");
    world_close(&w);
}

/* The drain cuts a stream off that nobody has ended. */
static void test_the_drain_cuts_it_off(void **state)
{
    struct world w;
    struct talk talk;
    (void)state;
    world_open(&w, true);
    talk_open(&talk, &w);
    say_hello(&talk);
    latch_wait(&w.got, 1);
    world_close(&w);
    latch_wait(&talk.outcome.done, 1);
    outcome_fini(&talk.outcome);
}

/* Each allocation of the method fails in turn. */
static void test_no_memory(void **state)
{
    bool reached = true;
    (void)state;
    for (long long n = 1; reached; n++) {
        struct world w;
        struct talk talk;
        world_open(&w, true);
        w.replies = true;
        atomic_store(&w.known_after, 1);
        w.probe.fail_at = atomic_load(&w.probe.allocs) + n;
        talk_open(&talk, &w);
        say_hello(&talk);
        say(&talk, KM_LIT("one"));
        while (latch_count(&talk.outcome.done) == 0 &&
               latch_count(&talk.outcome.got) < 2) {
            (void)sched_yield();
        }
        reached = atomic_load(&w.probe.allocs) >= w.probe.fail_at;
        if (reached) {
            talk_close(&talk, KAMA_ERR_NO_MEMORY, NULL);
        } else {
            talk_cancel(&talk);
            talk_close(&talk, KAMA_ERR_CANCELLED, NULL);
        }
        world_close(&w);
        assert_true(n < 100 && (reached || n > 4));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_cluster),
        cmocka_unit_test(test_strangers_are_refused),
        cmocka_unit_test(test_a_sender_that_is_new),
        cmocka_unit_test(test_cancelled_before_it_begins),
        cmocka_unit_test(test_a_stream_begins_with_hello),
        cmocka_unit_test(test_messages_keep_their_order),
        cmocka_unit_test(test_the_node_refuses),
        cmocka_unit_test(test_no_memory_for_the_stream),
        cmocka_unit_test(test_a_node_that_is_busy),
        cmocka_unit_test(test_cancelled_under_way),
        cmocka_unit_test(test_the_node_stops),
        cmocka_unit_test(test_the_drain_cuts_it_off),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
